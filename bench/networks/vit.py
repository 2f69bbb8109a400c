"""Vision transformers of timm, and networks of the same parts, as backbones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from bench.core import Band, Images, ModulesMap, Tap
from bench.networks.backbones import (
    check_size,
    frozen,
    grid_of,
    outputs_along,
    stack_sensors,
    tap_along,
    token_grid,
    transformer_layers,
)
from bench.networks.blocks import TIMM_BLOCK, map_modules

Pool = Literal["cls", "mean"]


class ViTBackbone(nn.Module):
    """A timm ``VisionTransformer``, or a network of the same parts, with taps at embedding, blocks and final norm.

    Args:
        network: has ``patch_embed.patch_size``, ``embed_dim``, ``blocks`` (timm ``Block``) and optionally ``norm``. To
            accept images of other sizes than its own, it must be built with ``dynamic_img_size=True``, which
            interpolates its position embedding.
        bands: the bands given at load.
        pool: how the authors pool an image: ``cls`` (class token) or ``mean`` (mean over patch tokens).

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.core.ModulesMap`.
    """

    def __init__(self, network: Any, bands: Sequence[Band], *, pool: Pool) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.pool: Pool = pool
        self.prefix = int(getattr(network, "num_prefix_tokens", 1))
        self.patch = int(network.patch_embed.patch_size[0])
        self.has_norm = not isinstance(getattr(network, "norm", nn.Identity()), nn.Identity)
        depth = len(network.blocks)
        self.layers = transformer_layers(depth, int(network.embed_dim), self.patch, norm=self.has_norm)
        self.modules_map: ModulesMap = map_modules([f"network.blocks.{i}" for i in range(depth)], TIMM_BLOCK)
        frozen(self)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, prefix + h w, D) of pixels (B, C, H, W), positions included."""
        network: Any = self.network
        if not getattr(network, "dynamic_img_size", False):
            check_size(pixels, tuple(network.patch_embed.img_size))
        tokens: Tensor = network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(pixels))))
        return tokens

    def states(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, prefix + h w, D) at each layer in turn."""
        network: Any = self.network
        yield from outputs_along(self.embed(pixels), (*network.blocks, *([network.norm] if self.has_norm else [])))

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`. Dates and coordinates are not used."""
        pixels = stack_sensors(images, self.bands)
        tap = partial(vit_tap, size=grid_of(pixels, self.patch), prefix=self.prefix, pool=self.pool)
        return tap_along(self.states(pixels), layers, self.layers, tap)


def vit_tap(index: int, tokens: Tensor, *, size: tuple[int, int], prefix: int = 1, pool: Pool) -> Tap:
    """Return the tap of a transformer's tokens at one layer.

    Args:
        index: of the layer. At the embedding, 0, the class token is the same for every image, hence no feature: the tap
            has none and the vector is the mean over patch tokens.
        tokens: (B, prefix + h w, D), the class token first.
        size: (h, w) of the patch grid.
        prefix: number of tokens before the patch tokens (class token and registers).
        pool: see `ViTBackbone`.
    """
    patches = tokens[:, prefix:]
    cls = tokens[:, 0] if prefix and index else None
    vector = cls if cls is not None and pool == "cls" else patches.mean(1)
    return Tap(token_grid(patches, size), vector, cls)
