"""Clay's encoder (Clay Foundation, versions 1.0 and 1.5), written anew; it fits the publishers' weights.

A ViT whose patch embedding is generated from the bands' wavelengths by a small transformer, after DOFA
(arXiv:2403.15356), and whose positions are scaled by the ground sampling distance and carry date and place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import torch
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

WAVE_WIDTH = 128
LATENTS = 128
HEAD_WIDTH = 64
PLACE_AND_TIME = 8  # channels: sine and cosine of week, hour, latitude, longitude
WEEKS, MID_MONTH = 52, 15


def waves_embedding(wavelengths: Tensor, width: int) -> Tensor:
    """Return sines, then cosines (n, width) of wavelengths (n,) in micrometres."""
    omega = 1.0 / 10000.0 ** (torch.arange(width // 2, device=wavelengths.device) / (width // 2 - 1))
    angles = wavelengths[:, None] * omega
    return torch.cat([angles.sin(), angles.cos()], 1)


def grid_embedding(size: tuple[int, int], width: int, gsd: float) -> Tensor:
    """Return the position embedding (h w, width) of a patch grid; frequencies grow with the metres of a pixel."""
    omega = torch.arange(width // 4) / (width // 4 - 1)
    # The order of operations is the authors': an angle may be of hundreds of radians, and rounding shows in its sine.
    omega = 1.0 / 10000.0 ** (2 * omega / width) * gsd
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    across, down = columns.flatten()[:, None] * omega, rows.flatten()[:, None] * omega
    return torch.cat([across.sin(), across.cos(), down.sin(), down.cos()], 1)


class Residual(nn.Module):
    """Two linear maps with GELU beside a way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.l1 = nn.Linear(width, width)
        self.l2 = nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        """Return values of the same shape."""
        return values + functional.gelu(self.l2(functional.gelu(self.l1(values))))


class WeightGenerator(nn.Module):
    """Generates the patch embedding's weights, one vector a band, and its bias."""

    def __init__(self, width: int, outputs: int, biases: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, nhead=4, dropout=0.0, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=1)
        self.fc_weight = nn.Linear(width, outputs)
        self.fc_bias = nn.Linear(width, biases)
        self.weight_tokens = nn.Parameter(torch.randn(LATENTS, width) * 0.02)
        self.bias_token = nn.Parameter(torch.randn(1, width) * 0.02)

    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Return (n, outputs) weights and (biases,) of n bands, given (n, width)."""
        tokens = torch.cat([self.weight_tokens, waves, self.bias_token])
        encoded = self.encoder(tokens[None])[0]
        return self.fc_weight(encoded[LATENTS:-1] + waves), self.fc_bias(encoded[-1])


class DynamicEmbedding(nn.Module):
    """A patch embedding for any bands.

    Args:
        patch: its side in pixels.
        width: of a token.
    """

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.patch = patch
        self.weight_generator = WeightGenerator(WAVE_WIDTH, patch * patch * width, width)
        self.fclayer = Residual(WAVE_WIDTH)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, pixels: Tensor, wavelengths: Tensor) -> Tensor:
        """Return (B, h w, D) tokens of (B, C, H, W) pixels, one wavelength a band."""
        weight, bias = self.weight_generator(self.fclayer(waves_embedding(wavelengths, WAVE_WIDTH)))
        kernel = weight.unflatten(1, (-1, self.patch, self.patch)).transpose(0, 1)
        return functional.conv2d(pixels, kernel * 0.02, bias, stride=self.patch).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention after its own norm, without biases."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * heads * HEAD_WIDTH, bias=False)
        self.to_out = nn.Linear(heads * HEAD_WIDTH, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what is added to the tokens (B, L, D)."""
        parts = self.to_qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, HEAD_WIDTH))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """Two linear maps with GELU between, after a norm."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what is added to the tokens (B, L, D)."""
        out: Tensor = self.net(tokens)
        return out


class Transformer(nn.Module):
    """The blocks, each attention and feed-forward network, and the final norm."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(width, heads), FeedForward(width, 4 * width)]) for _ in range(depth)
        )


class ClayEncoder(nn.Module):
    """The parameters of Clay's encoder, under the publishers' names.

    Args:
        width: of a token.
        depth: number of blocks.
        heads: of the attention, 64 channels each.
        patch: its side in pixels.
    """

    def __init__(self, width: int, depth: int, heads: int, patch: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.patch_embedding = DynamicEmbedding(patch, width)
        self.transformer = Transformer(width, depth, heads)


# Where the parts of a block lie; no module returns a block's output, so there is no "out".
BLOCK = {"norm1": "0.norm", "qkv": "0.to_qkv", "proj": "0.to_out", "norm2": "1.net.0"}
BLOCK |= {"fc1": "1.net.1", "act": "1.net.2", "fc2": "1.net.3"}


class ClayBackbone(nn.Module):
    """A Clay encoder tapped at embedding, blocks and final norm; the vector is the class token.

    Args:
        network: see `ClayEncoder`.
        bands: as given at load.
        wavelengths: one a band, micrometres, in the order of `bench.networks.backbones.stack_sensors`.
        gsd: ground size of a pixel in metres.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.networks.backbones.ModulesMap`.
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
        self.modules_map: ModulesMap = {
            f"block_{i + 1}": {name: f"network.transformer.layers.{i}.{path}" for name, path in BLOCK.items()}
            for i in range(depth)
        }
        frozen(self)

    def states(self, pixels: Tensor, when: Tensor | None, where: Tensor | None) -> Iterator[Tensor]:
        """Yield the tokens (B, 1 + h w, D) at each layer in turn."""
        network = self.network
        tokens = network.patch_embedding(pixels, self.wavelengths)
        size = (pixels.shape[-2] // self.patch, pixels.shape[-1] // self.patch)
        places = grid_embedding(size, tokens.shape[-1] - PLACE_AND_TIME, self.gsd).to(tokens.device)
        context = torch.cat([week_of(when, len(tokens)), place_of(where, len(tokens))], 1).to(tokens.device)
        added = (places.expand(len(tokens), -1, -1), context[:, None].expand(-1, len(places), -1))
        tokens = torch.cat([network.cls_token.expand(len(tokens), -1, -1), tokens + torch.cat(added, -1)], 1)
        yield tokens
        blocks: Any = network.transformer.layers
        for attention, feed_forward in blocks:
            tokens = attention(tokens) + tokens
            tokens = feed_forward(tokens) + tokens
            yield tokens
        yield network.transformer.norm(tokens)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; see `bench.core.Backbone`."""
        pixels = stack_sensors(images, self.bands)
        size = (pixels.shape[-2] // self.patch, pixels.shape[-1] // self.patch)
        check_size(pixels, (size[0] * self.patch, size[1] * self.patch))

        def tap(index: int, tokens: Tensor) -> Tap:
            patches = tokens[:, 1:]
            # Before the first block the class token is the same for every image: a constant, not a feature.
            cls = tokens[:, 0] if index else None
            return Tap(token_grid(patches, size), patches.mean(1) if cls is None else cls, cls)

        return tap_along(self.states(pixels, when, where), layers, self.layers, tap)


def week_of(when: Tensor | None, count: int) -> Tensor:
    """Return sine and cosine of the ISO week, then of the hour (0, 0: unknown), as (B, 4); zeros without a date.

    Args:
        when: (B, 1, 3) year, month, day, -1 where unknown; an unknown day is taken to be the middle of its month.
        count: B.
    """
    rows = when[:, 0].tolist() if when is not None else [[-1, -1, -1]] * count
    weeks = [
        date(year, month, day if day > 0 else MID_MONTH).isocalendar().week if year > 0 and month > 0 else None
        for year, month, day in rows
    ]
    angles = [None if week is None else week * 2 * math.pi / WEEKS for week in weeks]
    return torch.tensor([(0.0,) * 4 if angle is None else (math.sin(angle), math.cos(angle), 0, 0) for angle in angles])


def place_of(where: Tensor | None, count: int) -> Tensor:
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
