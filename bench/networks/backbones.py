"""What all adapters share: building a network, reading its input, and taking taps along its layers.

An adapter gives a network of torchgeo, timm, torchvision or this project the interface of `bench.core.Backbone`. It
runs the network block by block, only as deep as the deepest requested layer, and leaves no hook in it. All adapters are
frozen and in eval mode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from bench.core import Band, Images, Layer, Tap
from bench.core.errors import Incompatible, MissingWeights

M = TypeVar("M", bound=nn.Module)


def seeded(build: Callable[[], M], seed: int) -> M:
    """Return the network that `build` makes with torch's random numbers at `seed`, frozen.

    The caller's generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed the generators of every GPU, which the fork does not restore.
        torch.default_generator.manual_seed(seed)
        return frozen(build())


def built(
    build: Callable[[], M],
    weights: Path | None,
    *,
    seed: int,
    entry: str,
    rename: Callable[[str], str | None] | None = None,
    prefix: str = "",
    plain_norm: str = "",
) -> M:
    """Return the network that `build` makes, frozen: with the weights of a file, or at random init without a file.

    With a file, the network is built on the meta device and takes over the tensors of the file, so that memory holds
    the weights only once. A network that computes what the file does not hold (buffers that are not saved), or that
    cannot be built on the meta device, is built as usual and then filled.

    Args:
        build: makes the network.
        weights: file of weights, or None.
        seed: of the random init.
        entry: name of the model, for messages.
        rename: see `bench.networks.checkpoints.load_state`.
        prefix: see `bench.networks.checkpoints.load_state`.
        plain_norm: see `bench.networks.checkpoints.load_state`.

    Raises:
        MissingWeights: see `bench.networks.checkpoints.load_state` and `refuse_weights`.
    """
    from bench.networks.checkpoints import load_state

    if weights is None:
        return seeded(build, seed)
    network = _built_on_meta(build) or seeded(build, seed)
    if not network.state_dict():
        refuse_weights(weights, entry)
    load_state(network, weights, entry=entry, rename=rename, prefix=prefix, plain_norm=plain_norm)
    return frozen(network)


def _built_on_meta(build: Callable[[], M]) -> M | None:
    """Return the network on the meta device, or None where a state dict would not fill all of it."""
    try:
        with torch.device("meta"):
            network = build()
    except (RuntimeError, NotImplementedError):
        return None
    saved = network.state_dict(keep_vars=True)
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return network if all(name in saved and value.is_meta for name, value in tensors) else None


def refuse_weights(weights: Path | None, entry: str) -> None:
    """Raise `MissingWeights` if a file of weights is given for a model without parameters.

    Args:
        weights: file of weights, or None.
        entry: name of the model.
    """
    if weights is not None:
        raise MissingWeights(
            f"{entry}: its network has no parameters, so the weights in {weights} cannot be used. Name the "
            "architecture that the weights belong to, or run the model without a file."
        )


def frozen(module: M) -> M:
    """Return the module itself, in eval mode and without gradients."""
    module.eval().requires_grad_(False)
    return module


def xavier_uniform_linears(network: nn.Module) -> None:
    """Set every linear layer of a network to Xavier-uniform weights and zero biases, in place."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def stack_sensors(images: Images, bands: Sequence[Band]) -> Tensor:
    """Return single-date images of all sensors as (B, C, H, W), sensors in the order of `bands`.

    Args:
        images: sensor -> (B, 1, C, H, W), C following the bands of that sensor.
        bands: every band given at load.

    Raises:
        Incompatible: a sensor is absent, or has several dates or another number of bands.
    """
    parts = []
    for sensor, count in Counter(band.sensor for band in bands).items():
        if sensor not in images:
            raise Incompatible(f"the backbone was loaded for {sensor}; the images have {' '.join(images) or 'none'}")
        values = images[sensor]
        if values.ndim != 5 or values.shape[1] != 1 or values.shape[2] != count:
            raise Incompatible(f"{sensor}: images of shape {tuple(values.shape)}; expected (B, 1, {count}, H, W)")
        parts.append(values[:, 0])
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def stacking_order(bands: Sequence[Band]) -> list[Band]:
    """Return the bands in the order of the channels of `stack_sensors`: by sensor, sensors in order of first band."""
    sensors = list(dict.fromkeys(band.sensor for band in bands))
    return sorted(bands, key=lambda band: sensors.index(band.sensor))


def check_size(pixels: Tensor, expected: tuple[int, ...]) -> None:
    """Raise `Incompatible` unless pixels (B, C, H, W) have the expected (H, W)."""
    if tuple(pixels.shape[-2:]) != expected:
        raise Incompatible(f"images of {tuple(pixels.shape[-2:])} pixels; the network takes {expected}")


def grid_of(pixels: Tensor, patch: int) -> tuple[int, int]:
    """Return the rows and columns of whole patches in pixels (..., H, W).

    Args:
        pixels: images.
        patch: side of a patch in pixels.

    Raises:
        Incompatible: a side is no multiple of the patch.
    """
    height, width = pixels.shape[-2:]
    if height % patch or width % patch:
        raise Incompatible(f"images of {(height, width)} pixels; the network takes multiples of its patch, {patch}")
    return height // patch, width // patch


def token_grid(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Return patch tokens (B, h w, D) as a grid (B, D, h, w), a view of the same memory."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *size)


def outputs_along(state: Tensor, steps: Iterable[Callable[[Tensor], Tensor]]) -> Iterator[Tensor]:
    """Yield a state, then the output of each step applied to the state before it.

    Args:
        state: the embedding.
        steps: blocks, and the final norm if there is one.
    """
    yield state
    for step in steps:
        state = step(state)
        yield state


def tap_along(
    states: Iterator[Tensor], wanted: Sequence[int], layers: Sequence[Layer], tap: Callable[[int, Tensor], Tap]
) -> list[Tap]:
    """Return a `Tap` for each index in `wanted`, computing no state beyond the deepest of them.

    Args:
        states: state of the network at each layer in turn, computed when it is drawn.
        wanted: indices into `layers`, in any order.
        layers: the layers of the backbone.
        tap: (index of a layer, its state) -> its tap.

    Raises:
        IndexError: an index names no layer.
    """
    if bad := [index for index in wanted if not 0 <= index < len(layers)]:
        raise IndexError(f"no layer {bad[0]}; there are 0..{len(layers) - 1} ({layers[0].name}..{layers[-1].name})")
    drawn = enumerate(islice(states, max(wanted, default=-1) + 1))
    taps = {index: tap(index, state) for index, state in drawn if index in wanted}
    return [taps[index] for index in wanted]


def transformer_layers(depth: int, width: int, patch: int, *, norm: bool) -> tuple[Layer, ...]:
    """Return the layers of a transformer: ``embedding``, ``block_1`` ... ``block_<depth>``, and ``norm`` if it has one.

    Args:
        depth: number of blocks.
        width: channels of a token.
        patch: side of a patch in pixels, the stride of every layer.
        norm: whether a final norm follows the last block.
    """
    names = ["embedding", *(f"block_{index}" for index in range(1, depth + 1))]
    layers = [Layer(name=n, channels=width, stride=patch, depth=i / depth) for i, n in enumerate(names)]
    return (*layers, Layer(name="norm", channels=width, stride=patch, depth=1.0)) if norm else tuple(layers)
