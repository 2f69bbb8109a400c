"""Masked autoencoder (He et al. 2022, arXiv:2111.06377): hide most patches, rebuild them from the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block
from torch import Generator, Tensor, nn

from bench.foundry.pretraining.settings import MAESettings
from bench.foundry.pretraining.views import gathered, hidden_mask, patches_of, standardised, turned, visible_tokens


class Decoder(nn.Module):
    """A small transformer that fills the hidden places of a token grid and predicts every patch's values.

    Args:
        grid: tokens along a side.
        width_in: channels of the tokens it is given.
        width: its own channels.
        depth: its blocks.
        values: values of a patch.
    """

    positions: Tensor

    def __init__(self, *, grid: int, width_in: int, width: int, depth: int, values: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width_in, width)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.register_buffer("positions", build_sincos2d_pos_embed([grid, grid], dim=width, interleave_sin_cos=True))
        self.blocks = nn.Sequential(*(Block(width, num_heads=4) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.predict = nn.Linear(width, values)

    def forward(self, tokens: Tensor, indices: Tensor) -> Tensor:
        """Return (B, N, values) for tokens (B, K, D) that stand at `indices` (B, K) of the grid."""
        batch, count = len(tokens), len(self.positions)
        full = self.mask_token.expand(batch, count, -1)
        places = indices.unsqueeze(-1).expand(-1, -1, full.shape[-1])
        full = full.scatter(1, places, self.enter(tokens)) + self.positions
        return self.predict(self.norm(self.blocks(full)))  # type: ignore[no-any-return]


def masked_error(predicted: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Return the mean squared error over hidden patches alone (equation in section 3, "Reconstruction target").

    Args:
        predicted: (B, N, P).
        target: (B, N, P).
        hidden: (B, N), 1 where a patch was hidden.
    """
    each = (predicted - target).square().mean(-1)
    return (each * hidden).sum() / hidden.sum()


class MaskedAutoencoder(nn.Module):
    """An encoder that sees the visible patches, and the decoder that rebuilds the others.

    Args:
        encoder: timm ``VisionTransformer``; its position embedding is kept fixed, as published.
        settings: see `MAESettings`.
    """

    fixed = ("encoder.pos_embed",)

    def __init__(self, encoder: Any, settings: MAESettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        rows, _ = encoder.patch_embed.grid_size
        self.patch = int(encoder.patch_embed.patch_size[0])
        self.decoder = Decoder(
            grid=rows,
            width_in=encoder.embed_dim,
            width=settings.decoder_width,
            depth=settings.decoder_depth,
            values=encoder.patch_embed.proj.in_channels * self.patch**2,
        )

    def encode(self, pixels: Tensor, indices: Tensor) -> Tensor:
        """Return (B, K, D): the tokens of the visible patches alone, after the final norm and without class token."""
        network: Any = self.encoder
        embedded = network._pos_embed(network.patch_embed(pixels))
        tokens = torch.cat([embedded[:, :1], gathered(embedded[:, 1:], indices)], 1)
        return network.norm(network.blocks(tokens))[:, 1:]  # type: ignore[no-any-return]

    def loss(self, images: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """Return the reconstruction error of a batch, sensor -> (B, C, H, W) of one sensor."""
        (pixels,) = images.values()
        pixels = turned(pixels, generator)
        target = standardised(patches_of(pixels, self.patch))
        batch, count = target.shape[:2]
        indices = visible_tokens(batch, count, self.settings.hidden, generator).to(pixels.device)
        predicted = self.decoder(self.encode(pixels, indices), indices)
        return masked_error(predicted, target, hidden_mask(indices, count))

    def after_step(self, share: float) -> None:
        """Do nothing: there is no teacher."""
