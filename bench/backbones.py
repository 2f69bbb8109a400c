"""Networks of torchgeo and timm as backbones that can be tapped at every layer.

Each adapter runs its network block by block, as deep as the deepest layer asked for, and leaves no hook behind. All are
frozen and in eval mode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, Layer, Tap
from bench.errors import Incompatible

M = TypeVar("M", bound=nn.Module)
ModulesMap = dict[str, dict[str, str]]
"""Block name -> canonical sub-module name -> path for ``backbone.get_submodule``."""

# Where the parts of a block lie in timm's Block, which torchgeo's DOFA is built of too; "" is the block itself.
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
CROMA_BLOCK = {
    "norm1": "0.input_norm",
    "qkv": "0.to_qkv",
    "proj": "0.to_out",
    "norm2": "1.input_norm",
    "fc1": "1.net.0",
    "act": "1.net.1",
    "fc2": "1.net.3",
}
# A joint block has its feed-forward network third, after the cross-attention.
CROMA_JOINT = {
    **{name: f"2.{path[2:]}" if path.startswith("1.") else path for name, path in CROMA_BLOCK.items()},
    "cross_norm": "1.input_norm",
    "cross_q": "1.to_q",
    "cross_k": "1.to_k",
    "cross_v": "1.to_v",
    "cross_proj": "1.to_out",
}


def seeded(build: Callable[[], M], seed: int) -> M:
    """Return what `build` makes with torch's random numbers at `seed`, frozen; the caller's generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would move the generators of every GPU too, which the fork does not bring back.
        torch.default_generator.manual_seed(seed)
        return frozen(build())


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
            raise Incompatible(
                f"the backbone was loaded for {sensor}; the images have {' '.join(images) or 'no sensor'}"
            )
        values = images[sensor]
        if values.ndim != 5 or values.shape[1] != 1 or values.shape[2] != count:
            raise Incompatible(f"{sensor}: images of shape {tuple(values.shape)}; wanted (B, 1, {count}, H, W)")
        parts.append(values[:, 0])
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def check_layers(wanted: Sequence[int], layers: Sequence[Layer]) -> None:
    """Raise `IndexError` for an index that names none of a backbone's layers."""
    if bad := [index for index in wanted if not 0 <= index < len(layers)]:
        raise IndexError(f"no layer {bad[0]}; there are 0..{len(layers) - 1} ({layers[0].name}..{layers[-1].name})")


def token_grid(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, h w, D) patch tokens as a grid (B, D, h, w), a view of the same memory."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *size)


def transformer_layers(depth: int, width: int, patch: int, *, norm: bool) -> tuple[Layer, ...]:
    """Return the layers of a transformer: ``embedding``, ``block_1`` ... ``block_<depth>``, and ``norm`` if it has one."""
    names = ["embedding", *(f"block_{index}" for index in range(1, depth + 1))]
    layers = [Layer(name=n, channels=width, stride=patch, depth=i / depth) for i, n in enumerate(names)]
    return (*layers, Layer(name="norm", channels=width, stride=patch, depth=1.0)) if norm else tuple(layers)


class ViTBackbone(nn.Module):
    """A timm ``VisionTransformer``, or a network of the same parts, tapped at embedding, blocks and final norm.

    Args:
        network: has ``patch_embed.patch_size``, ``embed_dim``, ``blocks`` (timm ``Block``) and perhaps ``norm``.
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
            f"block_{index + 1}": {
                name: f"network.blocks.{index}.{path}".removesuffix(".") for name, path in TIMM_BLOCK.items()
            }
            for index in range(depth)
        }
        frozen(self)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return (B, prefix + h w, D) tokens of (B, C, H, W) pixels, with positions."""
        network: Any = self.network
        wanted = tuple(network.patch_embed.img_size or ())
        if not getattr(network, "dynamic_img_size", False) and wanted and tuple(pixels.shape[-2:]) != wanted:
            raise Incompatible(f"images of {tuple(pixels.shape[-2:])} pixels; the network takes {wanted}")
        tokens: Tensor = network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(pixels))))
        return tokens

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; see `bench.core.Backbone`. Dates and places are not used."""
        check_layers(layers, self.layers)
        if not layers:
            return []
        pixels = stack_sensors(images, self.bands)
        tall, wide = (int(extent) // self.patch for extent in pixels.shape[-2:])
        network: Any = self.network
        steps = [*network.blocks, network.norm] if self.has_norm else list(network.blocks)
        tokens = self.embed(pixels)
        taps: dict[int, Tap] = {}
        for index in range(max(layers) + 1):
            if index:
                tokens = steps[index - 1](tokens)
            if index in layers:
                taps[index] = self._tap(tokens, (tall, wide), has_seen=index > 0)
        return [taps[index] for index in layers]

    def _tap(self, tokens: Tensor, size: tuple[int, int], *, has_seen: bool) -> Tap:
        patches = tokens[:, self.prefix :]
        # Before the first block the class token is the same for every image: it would be a constant feature.
        cls = tokens[:, 0] if self.prefix and has_seen else None
        vector = cls if cls is not None and self.pool == "cls" else patches.mean(1)
        return Tap(token_grid(patches, size), vector, cls)


class DOFABackbone(ViTBackbone):
    """torchgeo's ``DOFA``: a ViT whose patch embedding is generated from the wavelengths of the bands.

    Args:
        network: ``torchgeo.models.DOFA``.
        bands: as given at load.
        wavelengths: one a band, micrometres, in the order of `stack_sensors`.
    """

    wavelengths: Tensor

    def __init__(self, network: Any, bands: Sequence[Band], *, wavelengths: Sequence[float]) -> None:
        super().__init__(network, bands, pool="mean")
        self.register_buffer("wavelengths", torch.tensor(wavelengths, dtype=torch.float32), persistent=False)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return (B, 1 + h w, D) tokens of (B, C, H, W) pixels, with positions."""
        network: Any = self.network
        if tuple(pixels.shape[-2:]) != (network.img_size, network.img_size):
            raise Incompatible(
                f"images of {tuple(pixels.shape[-2:])} pixels; the network takes {network.img_size} a side"
            )
        patches, _ = network.patch_embed(pixels, self.wavelengths)
        cls = (network.cls_token + network.pos_embed[:, :1]).expand(len(pixels), -1, -1)
        return torch.cat([cls, patches + network.pos_embed[:, 1:]], 1)


class CROMABackbone(nn.Module):
    """torchgeo's ``CROMA``, tapped along the encoder of the sensors given.

    With one sensor: that sensor's embedding, blocks and final norm, whose vector is the authors' pooled output (mean of
    tokens through the feed-forward network ``GAP_FFN``). With both: the optical embedding and blocks, then the blocks of
    the joint encoder numbered onwards, then its norm; the joint encoder starts from the radar encoder's output and looks
    at the optical one's, each after its own final norm. Positions are ALiBi biases, so any grid of 8-pixel patches fits.

    Args:
        network: ``torchgeo.models.CROMA`` with the parts that the sensors need.
        bands: as given at load; ``s2``, ``s1`` or both.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `ModulesMap`; blocks have no module that returns their output, so ``out`` is absent, and joint
            blocks have ``cross_*`` for their cross-attention besides.
    """

    def __init__(self, network: Any, bands: Sequence[Band]) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        sensors = {band.sensor for band in bands}
        self.joint = sensors == {"s1", "s2"}
        self.main = "s2" if "s2" in sensors else "s1"
        self.patch = int(network.patch_size)
        self.blocks = len(self._encoder(self.main).layers)
        deeper = len(network.joint_encoder.layers) if self.joint else 0
        self.layers = transformer_layers(self.blocks + deeper, int(network.encoder_dim), self.patch, norm=True)
        self.modules_map: ModulesMap = {}
        for index in range(self.blocks + deeper):
            own = index < self.blocks
            place = index if own else index - self.blocks
            encoder = f"network.{self.main}_encoder.transformer" if own else "network.joint_encoder"
            self.modules_map[f"block_{index + 1}"] = {
                name: f"{encoder}.layers.{place}.{path}" for name, path in (CROMA_BLOCK if own else CROMA_JOINT).items()
            }
        frozen(self)

    def _encoder(self, sensor: str) -> Any:
        network: Any = self.network
        return (network.s2_encoder if sensor == "s2" else network.s1_encoder).transformer

    def _embed(self, images: Images, sensor: str) -> tuple[Tensor, tuple[int, int]]:
        """Return (B, h w, D) tokens of one sensor and (h, w)."""
        pixels = stack_sensors(images, [band for band in self.bands if band.sensor == sensor])
        side = self.patch
        if pixels.shape[-2] % side or pixels.shape[-1] % side:
            raise Incompatible(f"images of {tuple(pixels.shape[-2:])} pixels; the network takes multiples of {side}")
        size = (pixels.shape[-2] // side, pixels.shape[-1] // side)
        # A patch is flattened as (channel, row, column), which is what unfold does.
        patches = functional.unfold(pixels, side, stride=side).transpose(1, 2)
        network: Any = self.network
        tokens: Tensor = (network.s2_encoder if sensor == "s2" else network.s1_encoder).linear_input(patches)
        return tokens, size

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; see `bench.core.Backbone`. Dates and places are not used."""
        check_layers(layers, self.layers)
        if not layers:
            return []
        deepest, final = max(layers), len(self.layers) - 1
        tokens, size = self._embed(images, self.main)
        bias = alibi(size, int(self.network.num_heads)).to(tokens)
        taps: dict[int, Tap] = {}
        context = tokens
        for index in range(deepest + 1):
            if 0 < index <= self.blocks:
                attention, feed_forward = self._encoder(self.main).layers[index - 1]
                tokens = attention(tokens, bias) + tokens
                tokens = feed_forward(tokens) + tokens
            elif self.blocks < index < final:
                if index == self.blocks + 1:
                    context = self._encoder("s2").norm_out(tokens)
                    tokens = self._encoder("s1")(self._embed(images, "s1")[0], relative_position_bias=bias)
                attention, cross_attention, feed_forward = self.network.joint_encoder.layers[index - self.blocks - 1]
                tokens = attention(tokens, bias) + tokens
                tokens = cross_attention(tokens, context, bias) + tokens
                tokens = feed_forward(tokens) + tokens
            elif index == final:
                tokens = (self.network.joint_encoder if self.joint else self._encoder(self.main)).norm_out(tokens)
            if index in layers:
                taps[index] = Tap(token_grid(tokens, size), self._pool(tokens, final=index == final))
        return [taps[index] for index in layers]

    def _pool(self, tokens: Tensor, *, final: bool) -> Tensor:
        """Return the image vector (B, D) of (B, h w, D) tokens."""
        pooled = tokens.mean(1)
        if final and not self.joint:
            network: Any = self.network
            pooled = (network.s2_GAP_FFN if self.main == "s2" else network.s1_GAP_FFN)(pooled)
        return pooled


def alibi(size: tuple[int, int], heads: int) -> Tensor:
    """Return CROMA's 2-D ALiBi attention bias (1, heads, h w, h w): minus slope times distance in patches.

    The slopes are ``2 ** (-8 i / heads)`` for head i = 1 .. heads (arXiv 2311.00566, section 3; 2108.12409).

    Args:
        size: (h, w) of the patch grid.
        heads: a power of two.
    """
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    points = torch.stack([rows.flatten(), columns.flatten()], 1).double()
    slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1, dtype=torch.float64) / heads)
    return (-slopes[:, None, None] * torch.cdist(points, points)).float().unsqueeze(0)


class PyramidBackbone(nn.Module):
    """A convolutional network tapped at its stem (``embedding``) and each stage (``block_1`` ...).

    Args:
        network: its stages and the parts of its stem are attributes.
        bands: as given at load.
        stem: names of the modules before the first stage, in order.
        stages: names of the stages.
        channels: of the stem's output and of each stage's.
        strides: likewise, input pixels a cell.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: empty; a convolutional block has none of a transformer's parts.
    """

    def __init__(
        self,
        network: nn.Module,
        bands: Sequence[Band],
        *,
        stem: Sequence[str],
        stages: Sequence[str],
        channels: Sequence[int],
        strides: Sequence[int],
    ) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.steps = [tuple(stem), *((stage,) for stage in stages)]
        names = ["embedding", *(f"block_{index}" for index in range(1, len(stages) + 1))]
        self.layers = tuple(
            Layer(name=name, channels=width, stride=stride, depth=index / len(stages))
            for index, (name, width, stride) in enumerate(zip(names, channels, strides, strict=True))
        )
        self.modules_map: ModulesMap = {}
        frozen(self)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; the vector is the mean over the grid. Dates and places are not used."""
        check_layers(layers, self.layers)
        if not layers:
            return []
        values = stack_sensors(images, self.bands)
        taps: dict[int, Tap] = {}
        for index, names in enumerate(self.steps[: max(layers) + 1]):
            for name in names:
                values = self.network.get_submodule(name)(values)
            if index in layers:
                taps[index] = Tap(values, values.mean((-2, -1)))
        return [taps[index] for index in layers]
