"""SpectralGPT's encoder (Hong et al. 2023, arXiv:2311.07113), reimplemented to load the publishers' weights.

A token stands for three neighbouring bands at one patch; all tokens attend to each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
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
    xavier_uniform_linears,
)
from bench.networks.blocks import SPLIT_BLOCK, map_modules
from bench.networks.masked_blocks import Block

SPECTRAL_PATCH = 3


class SpectralPatches(nn.Module):
    """The embedding of patches of a spectral cube: three bands at one place.

    Args:
        patch: side of a patch in pixels.
        width: channels of a token.
    """

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        kernel = (SPECTRAL_PATCH, patch, patch)
        self.proj = nn.Conv3d(1, width, kernel, stride=kernel)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, C / 3, h w, D) of pixels (B, C, H, W)."""
        return self.proj(pixels.unsqueeze(1)).flatten(3).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class SpectralViT(nn.Module):
    """The encoder; parameters have the publishers' names.

    Args:
        side: side of the images in pixels.
        patch: side of a patch in pixels.
        bands: number of bands, a multiple of three.
        width: channels of a token.
        depth: number of blocks.
    """

    def __init__(self, *, side: int, patch: int, bands: int, width: int, depth: int) -> None:
        super().__init__()
        self.img_size = (side, side)
        self.patch_embed = SpectralPatches(patch, width)
        self.pos_embed_spatial = nn.Parameter(torch.zeros(1, (side // patch) ** 2, width))
        self.pos_embed_temporal = nn.Parameter(torch.zeros(1, bands // SPECTRAL_PATCH, width))
        self.blocks = nn.ModuleList(Block(width, width // 64, joint=False, eps=1e-6) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self._initialise()

    def _initialise(self) -> None:
        """Initialise the parameters as the publishers' pretraining does."""
        for position in (self.pos_embed_spatial, self.pos_embed_temporal):
            nn.init.trunc_normal_(position, std=0.02)
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.flatten(1))
        xavier_uniform_linears(self)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, G h w, D) of pixels (B, C, H, W), positions included, one group after another."""
        positions = self.pos_embed_spatial[:, None] + self.pos_embed_temporal[:, :, None]
        return (self.patch_embed(pixels) + positions).flatten(1, 2)  # type: ignore[no-any-return]


class SpectralBackbone(nn.Module):
    """A `SpectralViT` with taps at embedding, blocks and final norm.

    Args:
        network: the encoder.
        bands: the bands given at load.
        patch: side of a patch in pixels.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.core.ModulesMap`.
    """

    def __init__(self, network: SpectralViT, bands: Sequence[Band], *, patch: int) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.patch = patch
        depth = len(network.blocks)
        self.layers = transformer_layers(depth, network.pos_embed_spatial.shape[-1], patch, norm=True)
        self.modules_map: ModulesMap = map_modules([f"network.blocks.{i}" for i in range(depth)], SPLIT_BLOCK)
        frozen(self)

    def states(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, G h w, D) at each layer in turn; at ``norm``, the norm is not yet applied."""
        network: Any = self.network
        yield from outputs_along(network.embed(pixels), (*network.blocks, nn.Identity()))

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`. Dates and coordinates are not used."""
        pixels = stack_sensors(images, self.bands)
        check_size(pixels, self.network.img_size)
        size = grid_of(pixels, self.patch)

        def tap(index: int, tokens: Tensor) -> Tap:
            vector = tokens.mean(1)
            if index == len(self.layers) - 1:
                # The authors apply the norm to the pooled vector, not to the tokens that are pooled.
                tokens, vector = self.network.norm(tokens), self.network.norm(vector)
            merged = tokens.reshape(len(tokens), -1, size[0] * size[1], tokens.shape[-1]).mean(1)
            return Tap(token_grid(merged, size), vector)

        return tap_along(self.states(pixels), layers, self.layers, tap)
