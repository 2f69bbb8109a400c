"""Mean activations of layers and sub-modules for each image, collected in one pass with temporary hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.core import Backbone
from bench.core.errors import Incompatible, UnknownName
from bench.features.forward import whole_taps
from bench.input.batches import Examples
from bench.input.recipe import InputRecipe

Listener = Callable[[str, tuple[Any, ...], dict[str, Any], Any], None]
Collected = dict[str, np.ndarray]
"""``block_3`` or ``block_3.fc1`` -> (n, D) float32."""


def parts_of(backbone: Backbone, wanted: Sequence[str]) -> dict[str, str]:
    """Return ``block.part`` -> path of every sub-module of some canonical names; all of them for ``*``.

    Raises:
        UnknownName: a part that no block has.
        Incompatible: the network names no parts.
    """
    blocks = backbone.modules_map
    known = list(dict.fromkeys(part for block in blocks.values() for part in block))
    if wanted and not known:
        raise Incompatible("the network names no sub-modules in its blocks; leave modules= out")
    for part in wanted:
        if part != "*" and part not in known:
            raise UnknownName("sub-module", part, [*known, "*"])
    kept = known if "*" in wanted else wanted
    return {
        f"{block}.{part}": path
        for block, parts in blocks.items()
        for part, path in parts.items()
        if part in kept and path
    }


@contextmanager
def hooked(network: nn.Module, paths: Mapping[str, str], listener: Listener) -> Iterator[None]:
    """Call ``listener(name, arguments, keywords, output)`` whenever a module has run; no hook is left at the end.

    Args:
        network: holds the modules.
        paths: name -> path of a module.
        listener: must change neither arguments nor output.
    """
    handles = []
    try:
        for name, path in paths.items():
            module = network.get_submodule(path)

            def heard(
                _: nn.Module, given: tuple[object, ...], more: dict[str, object], output: object, name: str = name
            ) -> None:
                listener(name, given, more, output)

            handles.append(module.register_forward_hook(heard, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def pooled(values: Any, images: int) -> Tensor:
    """Return one mean vector per image, (B, D), of the output of a module: (B', N, D) tokens or (B', D, h, w) maps.

    Of several things given the first is taken.

    Where a network runs dates, windows or groups of bands apart, B' is a multiple of B; they are averaged too.
    """
    flat = (values[0] if isinstance(values, tuple) else values).float()
    if flat.ndim == 4:
        flat = flat.flatten(2).transpose(1, 2)
    flat = flat.flatten(1, -2).mean(1) if flat.ndim > 2 else flat
    if len(flat) % images:
        raise Incompatible(f"a module gives {len(flat)} rows for {images} images")
    vectors: Tensor = flat.reshape(images, len(flat) // images, -1).mean(1)
    return vectors


def half(values: np.ndarray) -> np.ndarray:
    """Return values as float16 where they fit, else as they are."""
    return values.astype(np.float16) if np.abs(values).max(initial=0) < 6e4 else values


def relative(values: np.ndarray) -> np.ndarray:
    """Return (n, D) less its mean, rotated into n columns where D is larger, as float16 where that fits.

    Gram matrices stay what they are, and with them CKA, Procrustes distances and canonical correlations; what is kept
    shrinks with the square of n, and no large mean takes the digits of float16.
    """
    centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
    if values.shape[1] > len(values):
        centred = np.asarray(np.linalg.qr(centred.T, mode="r")).T
    return half(centred.astype(np.float32))


def activations(
    backbone: Backbone,
    examples: Examples,
    recipe: InputRecipe,
    parts: Mapping[str, str],
    *,
    batch: int,
    other: nn.Module | None = None,
) -> Collected:
    """Return the mean token of every layer, and of some sub-modules, for each image, in one pass.

    Args:
        backbone: the network, which is left as it was.
        examples: samples as images.
        recipe: how they were prepared.
        parts: see `parts_of`.
        batch: images per forward pass.
        other: a second copy of the network whose modules get the input of the first one's (local drift); their outputs
            are stored under ``local/<name>``.
    """
    assert isinstance(backbone, nn.Module)
    names = [layer.name for layer in backbone.layers]
    parts_of_rows: dict[str, list[np.ndarray]] = {}
    count = 0

    def collect(name: str, given: tuple[object, ...], more: dict[str, object], output: object) -> None:
        heard.setdefault(name, []).append(pooled(output, count))
        if other is not None:
            answer = other.get_submodule(parts[name])(*given, **more)
            heard.setdefault(f"local/{name}", []).append(pooled(answer, count))

    mode = backbone.training
    backbone.eval()
    if other is not None:
        other.eval()
    with torch.no_grad(), hooked(backbone, parts, collect):
        for start in range(0, len(examples), batch):
            for part in examples.read(range(start, min(start + batch, len(examples)))):
                heard: dict[str, list[Tensor]] = {}
                count = len(part.rows)
                assert part.given is not None
                taps = whole_taps(recipe, backbone, part.given, range(len(names)))
                for name, tap in zip(names, taps, strict=True):
                    parts_of_rows.setdefault(name, []).append(tap.grid.float().mean((-2, -1)).cpu().numpy())
                for name, calls in heard.items():  # a module may run once a window
                    parts_of_rows.setdefault(name, []).append(torch.stack(calls).mean(0).cpu().numpy())
    backbone.train(mode)
    return {name: np.concatenate(rows).astype(np.float32) for name, rows in parts_of_rows.items()}
