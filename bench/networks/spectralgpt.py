"""SpectralGPT's encoder (Hong et al. 2023, arXiv:2311.07113), written anew; it fits the publishers' weights.

A token is three neighbouring bands at one patch, and all attend to each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from timm.layers import Mlp
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, Tap
from bench.networks.backbones import (
    ModulesMap,
    check_size,
    frozen,
    stack_sensors,
    tap_along,
    token_grid,
    transformer_layers,
)

SPECTRAL_PATCH = 3
PARTS = {
    "norm1": "norm1",
    "q": "attn.q",
    "k": "attn.k",
    "v": "attn.v",
    "proj": "attn.proj",
    "norm2": "norm2",
    "fc1": "mlp.fc1",
    "act": "mlp.act",
    "fc2": "mlp.fc2",
    "out": "",
}


class Attention(nn.Module):
    """Attention of all tokens to each other, queries, keys and values projected apart."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, N, D) of the same."""
        query, key, value = (
            part(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.q, self.k, self.v)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and a feed-forward network, each after a norm and beside the identity."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, N, D) of the same."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]


class SpectralPatches(nn.Module):
    """Patches of a spectral cube, each embedded as a whole."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        kernel = (SPECTRAL_PATCH, patch, patch)
        self.proj = nn.Conv3d(1, width, kernel, stride=kernel)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (B, C / 3, h w, D) tokens of (B, C, H, W) pixels."""
        return self.proj(pixels.unsqueeze(1)).flatten(3).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class SpectralViT(nn.Module):
    """The encoder; parameters carry the publishers' names.

    Args:
        side: of the images, pixels.
        patch: side of a patch.
        bands: their number, a multiple of three.
        width: channels of a token.
        depth: number of blocks.
    """

    def __init__(self, *, side: int, patch: int, bands: int, width: int, depth: int) -> None:
        super().__init__()
        self.img_size = (side, side)
        self.patch_embed = SpectralPatches(patch, width)
        self.pos_embed_spatial = nn.Parameter(torch.zeros(1, (side // patch) ** 2, width))
        self.pos_embed_temporal = nn.Parameter(torch.zeros(1, bands // SPECTRAL_PATCH, width))
        self.blocks = nn.ModuleList(Block(width, width // 64) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self._initialise()

    def _initialise(self) -> None:
        """Start as the publishers' pretraining does."""
        for position in (self.pos_embed_spatial, self.pos_embed_temporal):
            nn.init.trunc_normal_(position, std=0.02)
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.flatten(1))
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return (B, G h w, D) tokens of (B, C, H, W) pixels, with positions, one group of bands after the other."""
        positions = self.pos_embed_spatial[:, None] + self.pos_embed_temporal[:, :, None]
        return (self.patch_embed(pixels) + positions).flatten(1, 2)  # type: ignore[no-any-return]


class SpectralBackbone(nn.Module):
    """A `SpectralViT` tapped at embedding, blocks and final norm.

    Args:
        network: the encoder.
        bands: as given at load.
        patch: side of a patch, pixels.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.networks.backbones.ModulesMap`.
    """

    def __init__(self, network: SpectralViT, bands: Sequence[Band], *, patch: int) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.patch = patch
        depth = len(network.blocks)
        self.layers = transformer_layers(depth, network.pos_embed_spatial.shape[-1], patch, norm=True)
        self.modules_map: ModulesMap = {
            f"block_{i + 1}": {name: f"network.blocks.{i}.{path}".rstrip(".") for name, path in PARTS.items()}
            for i in range(depth)
        }
        frozen(self)

    def states(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, G h w, D) at each layer in turn; those of ``norm`` are still without it."""
        network: Any = self.network
        tokens = network.embed(pixels)
        yield tokens
        for block in network.blocks:
            tokens = block(tokens)
            yield tokens
        yield tokens

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; see `bench.core.Backbone`. Dates and places are not used."""
        pixels = stack_sensors(images, self.bands)
        check_size(pixels, self.network.img_size)
        size = (pixels.shape[-2] // self.patch, pixels.shape[-1] // self.patch)

        def tap(index: int, tokens: Tensor) -> Tap:
            vector = tokens.mean(1)
            if index == len(self.layers) - 1:
                # The authors norm the pooled vector, not what is pooled.
                tokens, vector = self.network.norm(tokens), self.network.norm(vector)
            folded = tokens.reshape(len(tokens), -1, size[0] * size[1], tokens.shape[-1]).mean(1)
            return Tap(token_grid(folded, size), vector)

        return tap_along(self.states(pixels), layers, self.layers, tap)
