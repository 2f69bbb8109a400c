"""Networks of torchgeo and timm as backbones that can be tapped at every layer.

Each adapter runs its network block by block, as deep as the deepest layer asked for, and leaves no hook behind. All are
frozen and in eval mode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, Layer, Tap
from bench.core.errors import Incompatible

M = TypeVar("M", bound=nn.Module)
ModulesMap = dict[str, dict[str, str]]
"""Block name -> canonical sub-module name -> path for ``backbone.get_submodule``."""

# Where the parts of a block lie in timm's Block, which networks of torchgeo and terratorch are built of too; "" is the
# block itself.
TIMM_BLOCK = {
    "norm1": "norm1",
    "qkv": "attn.qkv",
    "proj": "attn.proj",
    "norm2": "norm2",
    "fc1": "mlp.fc1",
    "act": "mlp.act",
    "fc2": "mlp.fc2",
    "out": "",
}
# In patches, added by DINOv2's authors before dividing, and so part of where their networks sample positions.
POSITION_OFFSET = 0.1


def seeded(build: Callable[[], M], seed: int) -> M:
    """Return what `build` makes with torch's random numbers at `seed`, frozen; the caller's generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would move the generators of every GPU too, which the fork does not bring back.
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
    """Return what `build` makes, frozen: with the weights of a file, or at random init where there is none.

    With a file, the network is built without memory of its own and takes over the file's tensors, so that no more than
    one copy of the weights is held. Where `build` computes what the file does not hold (buffers that are not saved), or
    cannot run without memory, it is built as usual and filled.

    Args:
        build: makes the network.
        weights: its file, or None.
        seed: of the random init.
        entry: the model's name, for messages.
        rename: see `bench.networks.checkpoints.load_state`.
        prefix: see `bench.networks.checkpoints.load_state`.
        plain_norm: see `bench.networks.checkpoints.load_state`.

    Raises:
        MissingWeights: see `bench.networks.checkpoints.load_state`.
    """
    from bench.networks.checkpoints import load_state

    if weights is None:
        return seeded(build, seed)
    network = _hollow(build) or seeded(build, seed)
    load_state(network, weights, entry=entry, rename=rename, prefix=prefix, plain_norm=plain_norm)
    return frozen(network)


def _hollow(build: Callable[[], M]) -> M | None:
    """Return what `build` makes on the meta device, or None where a state dict would not fill all of it."""
    try:
        with torch.device("meta"):
            network = build()
    except (RuntimeError, NotImplementedError):
        return None
    saved = network.state_dict(keep_vars=True)
    parts = [*network.named_parameters(), *network.named_buffers()]
    return network if all(name in saved and value.is_meta for name, value in parts) else None


def frozen(module: M) -> M:
    """Return the module itself, in eval mode and without gradients."""
    module.eval().requires_grad_(False)
    return module


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
            raise Incompatible(f"{sensor}: images of shape {tuple(values.shape)}; wanted (B, 1, {count}, H, W)")
        parts.append(values[:, 0])
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def token_grid(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, h w, D) patch tokens as a grid (B, D, h, w), a view of the same memory."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *size)


def tap_along(
    states: Iterator[Tensor], wanted: Sequence[int], layers: Sequence[Layer], tap: Callable[[int, Tensor], Tap]
) -> list[Tap]:
    """Return a `Tap` for each index in `wanted`, drawing no more of `states` than the deepest needs.

    Args:
        states: what the network holds at each layer in turn, computed as it is drawn.
        wanted: indices into `layers`, in any order.
        layers: the backbone's.
        tap: reads a state at an index.

    Raises:
        IndexError: an index that names no layer.
    """
    if bad := [index for index in wanted if not 0 <= index < len(layers)]:
        raise IndexError(f"no layer {bad[0]}; there are 0..{len(layers) - 1} ({layers[0].name}..{layers[-1].name})")
    drawn = enumerate(islice(states, max(wanted, default=-1) + 1))
    taps = {index: tap(index, state) for index, state in drawn if index in wanted}
    return [taps[index] for index in wanted]


def transformer_layers(depth: int, width: int, patch: int, *, norm: bool) -> tuple[Layer, ...]:
    """Return a transformer's layers: ``embedding``, ``block_1`` ... ``block_<depth>``, and ``norm`` if it has one."""
    names = ["embedding", *(f"block_{index}" for index in range(1, depth + 1))]
    layers = [Layer(name=n, channels=width, stride=patch, depth=i / depth) for i, n in enumerate(names)]
    return (*layers, Layer(name="norm", channels=width, stride=patch, depth=1.0)) if norm else tuple(layers)


class ViTBackbone(nn.Module):
    """A timm ``VisionTransformer``, or a network of the same parts, tapped at embedding, blocks and final norm.

    Args:
        network: has ``patch_embed.patch_size``, ``embed_dim``, ``blocks`` (timm ``Block``) and perhaps ``norm``. Images
            of other sizes than its own need ``dynamic_img_size=True``, which interpolates its position embedding.
        bands: as given at load.
        pool: how the authors pool an image, ``cls`` or ``mean`` over patch tokens.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `ModulesMap`.
    """

    def __init__(self, network: Any, bands: Sequence[Band], *, pool: Literal["cls", "mean"]) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.pool = pool
        self.prefix = int(getattr(network, "num_prefix_tokens", 1))
        self.patch = int(network.patch_embed.patch_size[0])
        self.has_norm = not isinstance(getattr(network, "norm", nn.Identity()), nn.Identity)
        depth = len(network.blocks)
        self.layers = transformer_layers(depth, int(network.embed_dim), self.patch, norm=self.has_norm)
        self.modules_map: ModulesMap = {
            f"block_{i + 1}": {name: f"network.blocks.{i}.{path}".rstrip(".") for name, path in TIMM_BLOCK.items()}
            for i in range(depth)
        }
        frozen(self)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return (B, prefix + h w, D) tokens of (B, C, H, W) pixels, with positions."""
        network: Any = self.network
        if not getattr(network, "dynamic_img_size", False):
            check_size(pixels, tuple(network.patch_embed.img_size))
        tokens: Tensor = network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(pixels))))
        return tokens

    def states(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, prefix + h w, D) at each layer in turn."""
        network: Any = self.network
        tokens = self.embed(pixels)
        yield tokens
        for step in (*network.blocks, *([network.norm] if self.has_norm else [])):
            tokens = step(tokens)
            yield tokens

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; see `bench.core.Backbone`. Dates and places are not used."""
        pixels = stack_sensors(images, self.bands)
        size = (pixels.shape[-2] // self.patch, pixels.shape[-1] // self.patch)

        def tap(index: int, tokens: Tensor) -> Tap:
            patches = tokens[:, self.prefix :]
            # Before the first block the class token is the same for every image: a constant, not a feature.
            cls = tokens[:, 0] if self.prefix and index else None
            vector = cls if cls is not None and self.pool == "cls" else patches.mean(1)
            return Tap(token_grid(patches, size), vector, cls)

        return tap_along(self.states(pixels), layers, self.layers, tap)


def resized_positions(positions: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Return learnt positions of one grid brought to another as DINOv2's authors do, and Panopticon's after them.

    Args:
        positions: (1, 1 + H W, D), the class token's first.
        old: (H, W).
        new: (h, w).

    Returns:
        (1, 1 + h w, D).
    """
    if old == new:
        return positions
    grid = positions[:, 1:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    factors = ((new[0] + POSITION_OFFSET) / old[0], (new[1] + POSITION_OFFSET) / old[1])
    grid = functional.interpolate(grid, scale_factor=factors, mode="bicubic")
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)


def check_size(pixels: Tensor, wanted: tuple[int, ...]) -> None:
    """Raise `Incompatible` unless (B, C, H, W) pixels have the (H, W) wanted."""
    if tuple(pixels.shape[-2:]) != wanted:
        raise Incompatible(f"images of {tuple(pixels.shape[-2:])} pixels; the network takes {wanted}")


class PyramidBackbone(nn.Module):
    """A network whose grid shrinks on the way (convolutional, or a Swin), tapped at its embedding and each block.

    Args:
        network: the modules of its steps can be had by path.
        bands: as given at load.
        steps: paths of the modules that lead from one layer to the next, in order: to the ``embedding`` first, then to
            ``block_1`` and so on.
        channels: of each layer.
        strides: likewise, input pixels a cell.
        norm: path of a norm after the last block, which becomes the layer ``norm``.
        channels_last: the network's maps are (B, h, w, D); taps are (B, D, h, w) all the same.
        modules_map: see `ModulesMap`; empty for a convolutional network, whose blocks have no such parts.

    Attributes:
        layers: see `bench.core.Layer`.
    """

    def __init__(
        self,
        network: nn.Module,
        bands: Sequence[Band],
        *,
        steps: Sequence[Sequence[str]],
        channels: Sequence[int],
        strides: Sequence[int],
        norm: str = "",
        channels_last: bool = False,
        modules_map: ModulesMap | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.channels_last = channels_last
        self.steps = [*(tuple(step) for step in steps), *([(norm,)] if norm else [])]
        blocks = len(steps) - 1
        names = ["embedding", *(f"block_{index}" for index in range(1, blocks + 1))]
        layers = [
            Layer(name=name, channels=width, stride=stride, depth=index / blocks)
            for index, (name, width, stride) in enumerate(zip(names, channels, strides, strict=True))
        ]
        if norm:
            layers.append(Layer(name="norm", channels=channels[-1], stride=strides[-1], depth=1.0))
        self.layers = tuple(layers)
        self.modules_map: ModulesMap = modules_map or {}
        frozen(self)

    def states(self, values: Tensor) -> Iterator[Tensor]:
        """Yield the feature maps, in the network's own layout, at each layer in turn."""
        for names in self.steps:
            for name in names:
                values = self.network.get_submodule(name)(values)
            yield values

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; the vector is the mean over the grid. Dates and places are not used."""

        def tap(index: int, values: Tensor) -> Tap:
            grid = values.permute(0, 3, 1, 2) if self.channels_last else values
            return Tap(grid, grid.mean((-2, -1)))

        return tap_along(self.states(stack_sensors(images, self.bands)), layers, self.layers, tap)
