"""Networks with noisy weights, what their blocks give, and comparisons of features that do not depend on the machine.

Equal weights at other addresses of memory can be multiplied in another order. Features of equal networks are therefore
equal up to rounding; weights are equal to the bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from bench.core import Band, ModelEntry, Tap
from bench.core.errors import MissingWeights
from bench.networks.backbones import seeded

S2 = tuple(Band(name=f"s2.b{index:02d}", unit="dn") for index in range(1, 13))
S1 = (Band(name="s1.vv", unit="db"), Band(name="s1.vh", unit="db"))
RGB = tuple(Band(name=f"rgb.{colour}", unit="uint8") for colour in ("red", "green", "blue"))
TINY_VIT: dict[str, Any] = {
    **{"img_size": 32, "patch_size": 8, "in_chans": 3, "num_classes": 0},
    **{"embed_dim": 48, "depth": 3, "num_heads": 3},
}


def tiny_vit(**settings: Any) -> VisionTransformer:
    """Return a small network of timm at random init, with `TINY_VIT` and further settings."""
    return seeded(lambda: VisionTransformer(**(TINY_VIT | settings)), 0)


class Counted(nn.Module):
    """A module that counts its calls."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.calls = module, 0

    def forward(self, *arguments: Tensor) -> Tensor:
        self.calls += 1
        return self.module(*arguments)  # type: ignore[no-any-return]


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal noise, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_noise(network: Any, scale: float = 0.05) -> Any:
    """Return the network in eval mode with noise added to every parameter, because zeros and ones hide mistakes."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data.add_(scale * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def outputs_of(blocks: Sequence[nn.Module], run: Callable[[], Any]) -> tuple[Any, list[Tensor]]:
    """Return the result of `run`, and the output of each block during that run."""
    outputs: list[Tensor] = []
    hooks = [block.register_forward_hook(lambda _, __, output: outputs.append(output)) for block in blocks]
    try:
        return run(), outputs
    finally:
        for hook in hooks:
            hook.remove()


def tokens_of(tap: Tap) -> Tensor:
    """Return the tokens (B, 1 + h w, D) of a tap with a class token."""
    assert tap.cls is not None
    return torch.cat([tap.cls[:, None], tap.grid.flatten(2).transpose(1, 2)], 1)


def assert_taps_are(taps: Sequence[Tap], states: Sequence[Tensor], prefix: int = 1) -> None:
    """Assert that taps hold the class token and the patch tokens of states (B, prefix + h w, D)."""
    assert len(taps) == len(states)
    for tap, state in zip(taps, states, strict=True):
        assert_close(tokens_of(tap), torch.cat([state[:, :1], state[:, prefix:]], 1))


def assert_close(actual: Tensor, expected: Tensor) -> None:
    """Assert that features are equal up to rounding, relative to the largest of them."""
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * max(1.0, float(expected.abs().max())))


def assert_same_taps(actual: Sequence[Tap], expected: Sequence[Tap]) -> None:
    """Assert that two lists of taps are equal up to rounding, class tokens included."""
    for tap, other in zip(actual, expected, strict=True):
        for part, wanted in zip(tap, other, strict=True):
            assert (part is None) == (wanted is None)
            if part is not None and wanted is not None:
                assert_close(part, wanted)


def assert_same_weights(actual: nn.Module, expected: nn.Module) -> None:
    """Assert that two networks have the same parameters and buffers, to the bit."""
    actual_state, other = actual.state_dict(), expected.state_dict()
    assert actual_state.keys() == other.keys()
    assert [name for name, value in actual_state.items() if not torch.equal(value, other[name])] == []


def differ(first: Tensor, other: Tensor, *, least: float = 1e-4) -> bool:
    """Return whether two results differ by more than rounding: at least `least` somewhere."""
    return float((first - other).abs().max()) > least


def assert_recorded(actual: Tensor, values: Sequence[float], moments: tuple[float, float], **tolerances: float) -> None:
    """Assert that an array is one whose summary was recorded from the publisher's own code.

    Args:
        actual: the array.
        values: as many of its values, spread evenly over the flattened array.
        moments: its mean and standard deviation.
        tolerances: ``rtol`` and ``atol`` for all of them; by default 1e-5 for values, 2e-6 for moments.
    """
    flat = actual.flatten().double()
    chosen = flat[torch.linspace(0, len(flat) - 1, len(values)).long()]
    wanted = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(chosen, wanted, **(tolerances or {"rtol": 0, "atol": 1e-5}))
    summary = torch.stack([flat.mean(), flat.std()])
    wanted = torch.tensor(moments, dtype=torch.float64)
    torch.testing.assert_close(summary, wanted, **(tolerances or {"rtol": 0, "atol": 2e-6}))


def small_timm(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Make timm build its networks narrow and shallow during a test."""
    import timm

    create = timm.create_model
    small = {"embed_dim": 48, "depth": 3, "num_heads": 4, **settings}
    monkeypatch.setattr(timm, "create_model", lambda name, **given: create(name, **{**given, **small}))


def assert_file_is_checked(entry: ModelEntry, state: dict[str, Tensor], path: Path, key: str) -> None:
    """Assert that a file that lacks a key, has one more, or has one of another shape is an error that names the key.

    Args:
        entry: the entry that loads the file.
        state: what the publisher's file holds.
        path: where to write the files.
        key: one of the keys.
    """
    for broken, message in (
        ({k: v for k, v in state.items() if k != key}, "missing from the file"),
        ({**state, "encoder.extra.weight": torch.zeros(1)}, r"unknown to the network \(.*extra\.weight"),
        ({**state, key: torch.zeros(3)}, "of another shape or type"),
    ):
        torch.save(broken, path)
        with pytest.raises(MissingWeights, match=message) as caught:
            entry.load(entry, path, 0, entry.bands)
        assert entry.name in str(caught.value)
        assert key.removeprefix("encoder.") in str(caught.value) or "extra" in str(caught.value)


@contextmanager
def torch_settings_kept() -> Iterator[None]:
    """Undo what importing terratorch as a whole does to the process."""
    precision, flag = torch.get_float32_matmul_precision(), os.environ.get("TORCH_CUDNN_V8_API_DISABLED")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        if flag is None:
            os.environ.pop("TORCH_CUDNN_V8_API_DISABLED", None)
