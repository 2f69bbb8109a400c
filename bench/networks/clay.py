"""Clay's encoder (Clay Foundation, versions 1.0 and 1.5), reimplemented to load the publishers' weights.

A ViT whose patch embedding is generated from the wavelengths of the bands by a small transformer, after DOFA
(arXiv:2403.15356), and whose positions are scaled by the ground sampling distance and encode date and coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, ModulesMap, Tap
from bench.networks.acquisition import MID_MONTH
from bench.networks.backbones import (
    frozen,
    grid_of,
    outputs_along,
    stack_sensors,
    tap_along,
    transformer_layers,
    xavier_uniform_linears,
)
from bench.networks.blocks import map_modules
from bench.networks.vit import vit_tap

WAVE_WIDTH = 128
LATENTS = 128
HEAD_WIDTH = 64
METADATA_WIDTH = 8  # channels: sine and cosine of week, hour, latitude, longitude
WEEKS = 52


def waves_embedding(wavelengths: Tensor, width: int) -> Tensor:
    """Return the encoding (n, width) of wavelengths (n,) in micrometres: sines, then cosines."""
    omega = 1.0 / 10000.0 ** (torch.arange(width // 2, device=wavelengths.device) / (width // 2 - 1))
    angles = wavelengths[:, None] * omega
    return torch.cat([angles.sin(), angles.cos()], 1)


def grid_embedding(size: tuple[int, int], width: int, gsd: float) -> Tensor:
    """Return the position embedding (h w, width) of a patch grid; its frequencies grow with the ground size of a pixel.

    Args:
        size: (h, w) of the grid.
        width: channels.
        gsd: ground size of a pixel in metres.
    """
    omega = torch.arange(width // 4) / (width // 4 - 1)
    # The order of operations is the authors': angles reach hundreds of radians, so that rounding shows in their sines.
    omega = 1.0 / 10000.0 ** (2 * omega / width) * gsd
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    across, down = columns.flatten()[:, None] * omega, rows.flatten()[:, None] * omega
    return torch.cat([across.sin(), across.cos(), down.sin(), down.cos()], 1)


class Residual(nn.Module):
    """Two linear layers with GELU, and a connection that skips them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.l1 = nn.Linear(width, width)
        self.l2 = nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        """Return values of the same shape."""
        return values + functional.gelu(self.l2(functional.gelu(self.l1(values))))


class WeightGenerator(nn.Module):
    """Generates the weights of the patch embedding, one vector per band, and its bias.

    Args:
        width: channels of the encoded wavelengths.
        outputs: length of the vector of weights of a band.
        biases: length of the bias.
    """

    def __init__(self, width: int, outputs: int, biases: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, nhead=4, dropout=0.0, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=1)
        self.fc_weight = nn.Linear(width, outputs)
        self.fc_bias = nn.Linear(width, biases)
        self.weight_tokens = nn.Parameter(torch.randn(LATENTS, width) * 0.02)
        self.bias_token = nn.Parameter(torch.randn(1, width) * 0.02)

    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights (n, outputs) and bias (biases,) for n bands with encoded wavelengths (n, width)."""
        tokens = torch.cat([self.weight_tokens, waves, self.bias_token])
        encoded = self.encoder(tokens[None])[0]
        return self.fc_weight(encoded[LATENTS:-1] + waves), self.fc_bias(encoded[-1])


class DynamicEmbedding(nn.Module):
    """A patch embedding for any bands.

    Args:
        patch: side of a patch in pixels.
        width: channels of a token.
    """

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.patch = patch
        self.weight_generator = WeightGenerator(WAVE_WIDTH, patch * patch * width, width)
        self.fclayer = Residual(WAVE_WIDTH)
        xavier_uniform_linears(self)

    def forward(self, pixels: Tensor, wavelengths: Tensor) -> Tensor:
        """Return the tokens (B, h w, D) of pixels (B, C, H, W), given one wavelength per band."""
        weight, bias = self.weight_generator(self.fclayer(waves_embedding(wavelengths, WAVE_WIDTH)))
        kernel = weight.unflatten(1, (-1, self.patch, self.patch)).transpose(0, 1)
        return functional.conv2d(pixels, kernel * 0.02, bias, stride=self.patch).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention without biases, preceded by its own norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * heads * HEAD_WIDTH, bias=False)
        self.to_out = nn.Linear(heads * HEAD_WIDTH, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the block adds to the tokens (B, L, D)."""
        parts = self.to_qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, HEAD_WIDTH))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return projected


class FeedForward(nn.Module):
    """A norm, then two linear layers with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the block adds to the tokens (B, L, D)."""
        added: Tensor = self.net(tokens)
        return added


class Transformer(nn.Module):
    """The blocks, each an attention and a feed-forward network, and the final norm."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(width, heads), FeedForward(width, 4 * width)]) for _ in range(depth)
        )


class ClayEncoder(nn.Module):
    """The parameters of Clay's encoder, under the publishers' names.

    Args:
        width: channels of a token.
        depth: number of blocks.
        heads: number of attention heads, 64 channels each.
        patch: side of a patch in pixels.
    """

    def __init__(self, width: int, depth: int, heads: int, patch: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.patch_embedding = DynamicEmbedding(patch, width)
        self.transformer = Transformer(width, depth, heads)


# Paths within a block. No module returns the output of a block, so there is no "out".
BLOCK = {"norm1": "0.norm", "qkv": "0.to_qkv", "proj": "0.to_out", "norm2": "1.net.0"}
BLOCK |= {"fc1": "1.net.1", "act": "1.net.2", "fc2": "1.net.3"}


class ClayBackbone(nn.Module):
    """A Clay encoder with taps at embedding, blocks and final norm; the vector is the class token.

    Args:
        network: see `ClayEncoder`.
        bands: the bands given at load.
        wavelengths: one per band in micrometres, in the order of `bench.networks.backbones.stack_sensors`.
        gsd: ground size of a pixel in metres.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.core.ModulesMap`.
    """

    wavelengths: Tensor

    def __init__(
        self, network: ClayEncoder, bands: Sequence[Band], *, wavelengths: Sequence[float], gsd: float
    ) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.gsd = gsd
        self.patch = network.patch_embedding.patch
        self.register_buffer("wavelengths", torch.tensor(wavelengths, dtype=torch.float32), persistent=False)
        depth = len(network.transformer.layers)
        self.layers = transformer_layers(depth, network.cls_token.shape[-1], self.patch, norm=True)
        self.modules_map: ModulesMap = map_modules([f"network.transformer.layers.{i}" for i in range(depth)], BLOCK)
        frozen(self)

    def states(self, pixels: Tensor, when: Tensor | None, where: Tensor | None) -> Iterator[Tensor]:
        """Yield the tokens (B, 1 + h w, D) at each layer in turn."""
        network = self.network
        tokens = network.patch_embedding(pixels, self.wavelengths)
        positions = grid_embedding(grid_of(pixels, self.patch), tokens.shape[-1] - METADATA_WIDTH, self.gsd)
        positions = positions.to(tokens.device)
        metadata = torch.cat([encoded_week(when, len(tokens)), encoded_place(where, len(tokens))], 1).to(tokens.device)
        added = (positions.expand(len(tokens), -1, -1), metadata[:, None].expand(-1, len(positions), -1))
        tokens = torch.cat([network.cls_token.expand(len(tokens), -1, -1), tokens + torch.cat(added, -1)], 1)
        blocks: Any = network.transformer.layers
        yield from outputs_along(
            tokens, (*(partial(_through_block, *parts) for parts in blocks), network.transformer.norm)
        )

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`."""
        pixels = stack_sensors(images, self.bands)
        tap = partial(vit_tap, size=grid_of(pixels, self.patch), pool="cls")
        return tap_along(self.states(pixels, when, where), layers, self.layers, tap)


def _through_block(attention: nn.Module, feed_forward: nn.Module, tokens: Tensor) -> Tensor:
    """Return the output of a block for tokens (B, L, D)."""
    tokens = attention(tokens) + tokens
    output: Tensor = feed_forward(tokens) + tokens
    return output


def encoded_week(when: Tensor | None, count: int) -> Tensor:
    """Return sine and cosine of the ISO week, then of the hour (0, 0: unknown), as (B, 4); zeros without a date.

    Args:
        when: (B, 1, 3) year, month, day, -1 where unknown; an unknown day counts as the middle of its month.
        count: B.
    """
    rows = when[:, 0].tolist() if when is not None else [[-1, -1, -1]] * count
    weeks = [
        date(year, month, day if day > 0 else MID_MONTH).isocalendar().week if year > 0 and month > 0 else None
        for year, month, day in rows
    ]
    angles = [None if week is None else week * 2 * math.pi / WEEKS for week in weeks]
    return torch.tensor([(0.0,) * 4 if angle is None else (math.sin(angle), math.cos(angle), 0, 0) for angle in angles])


def encoded_place(where: Tensor | None, count: int) -> Tensor:
    """Return sine and cosine of the latitude, then of the longitude, as (B, 4); zeros where unknown.

    Args:
        where: (B, 2) longitude, latitude in degrees, NaN where unknown.
        count: B.
    """
    if where is None:
        return torch.zeros(count, 4)
    longitude, latitude = where.float().deg2rad().unbind(-1)
    values = torch.stack([latitude.sin(), latitude.cos(), longitude.sin(), longitude.cos()], -1)
    return torch.where(values.isfinite().all(-1, keepdim=True), values, 0.0)
