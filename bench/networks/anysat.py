"""AnySat (Astruc et al. 2024, arXiv:2412.14123) for Sentinel-2 and Sentinel-1, in the layout of its published weights.

Temporal attention encodes the series of a pixel as one vector (L-TAE, Garnot and Landrieu 2020, arXiv:2007.00586). A
spatial transformer with relative positions encodes the pixels of a patch (iRPE, Wu et al. 2021, arXiv:2107.14222). A
second transformer encodes the patches of all sensors; its last block merges them with one query per place.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from timm.layers import Mlp
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, ModulesMap, Tap
from bench.core.errors import Incompatible
from bench.networks.acquisition import day_of_year
from bench.networks.backbones import frozen, tap_along, token_grid, transformer_layers
from bench.networks.blocks import TIMM_BLOCK, map_modules

CHANNELS = {"s2": 10, "s1": 2}
PROJECTORS = {"s2": "projector_s2", "s1": "projector_s1-asc"}
PIXEL = 10  # ground size in metres
BUCKETS = 8  # of relative distance; the last is that of the class token
CHUNK = 2**16  # pixels times dates that are embedded at a time
# Paths within the cross block, whose queries are learned parameters and no projection.
CROSS_BLOCK = {n: p for n, p in TIMM_BLOCK.items() if n != "qkv"} | {"k": "attn.wk", "v": "attn.wv"}


def positions(width: int, side: int, step: float) -> Tensor:
    """Return sine and cosine positions (side ** 2, width) of a square grid, columns in the first half.

    Args:
        width: D, a multiple of 4.
        side: points along a side.
        step: distance between neighbouring points.
    """
    steps = torch.arange(side, dtype=torch.float32) * step
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    rates = 1 / 10000 ** (torch.arange(width // 4, dtype=torch.float32) / (width / 4))
    angles = [axis.reshape(-1, 1) * rates for axis in (columns, rows)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], 1)


def buckets(side: int, device: torch.device) -> Tensor:
    """Return the bucket (1 + side ** 2, 1 + side ** 2) of each pair of tokens, by Euclidean distance (iRPE, eq. 18).

    Distances up to 1.9 are kept; larger ones count logarithmically, up to 3. Pairs with the class token, which is the
    first token, have a separate bucket.
    """
    steps = torch.arange(side, dtype=torch.float32, device=device)
    points = torch.cartesian_prod(steps, steps).reshape(-1, 2)
    distance = torch.cdist(points, points).round()
    alpha, beta, gamma = 1.9, 3.8, 15.2
    far = alpha + torch.log(distance.clamp_min(alpha) / alpha) / math.log(gamma / alpha) * (beta - alpha)
    near = torch.where(distance <= alpha, distance, far.round().clamp_max(beta))
    return functional.pad(near.long() + int(beta), (1, 0, 1, 0), value=BUCKETS - 1)


class RelativePositions(nn.Module):
    """A bias of the attention that depends on query and distance, from one table for all heads.

    The published code computes the bias from the query of the first head alone and adds it to every head, because the
    index of its ``gather`` has one head. (The optional CUDA operator of iRPE would compute it for each head.)

    Args:
        width: channels of a head.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lookup_table_weight = nn.Parameter(torch.empty(1, width, BUCKETS))
        nn.init.trunc_normal_(self.lookup_table_weight, std=0.02)

    def forward(self, queries: Tensor, ids: Tensor) -> Tensor:
        """Return the bias (B, 1, L, L) of queries (B, H, L, d), given the `buckets` (L, L)."""
        table = queries[:, :1] @ self.lookup_table_weight
        return table.gather(-1, ids.expand(len(table), 1, -1, -1))


class SpatialAttention(nn.Module):
    """Self-attention with relative positions over a class token and a square grid of tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.rpe_k = RelativePositions(width // heads)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the attention's output (B, 1 + n n, D) for tokens (B, 1 + n n, D)."""
        batch, length, width = tokens.shape
        q, k, v = self.qkv(tokens).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q = q * (width // self.heads) ** -0.5
        weights = q @ k.transpose(-2, -1) + self.rpe_k(q, buckets(math.isqrt(length - 1), tokens.device))
        output: Tensor = self.proj((weights.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width))
        return output


class SpatialBlock(nn.Module):
    """A transformer block over the pixels of a patch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = SpatialAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the block's output (B, L, D) for tokens (B, L, D)."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]


class SpatialEncoder(nn.Module):
    """The transformer that encodes a patch in its class token."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.predictor_blocks = nn.ModuleList(SpatialBlock(width, heads) for _ in range(depth))
        self.predictor_norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)


class CrossAttention(nn.Module):
    """Attention of one query per place, a learned vector plus its position, to the tokens of all sensors."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.wk = nn.Linear(width, width)
        self.wv = nn.Linear(width, width)
        self.q_learned = nn.Parameter(torch.zeros(1, 1, width))
        self.rpe_k = RelativePositions(width // heads)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Return the merged tokens (B, 1 + N, D).

        Args:
            tokens: (B, 1 + M N, D), the class token and those of M sensors.
            places: positions (1 + N, D).
        """
        batch, _, width = tokens.shape
        queries = (self.q_learned + places).expand(batch, -1, -1)
        q, k, v = (
            values.reshape(batch, values.shape[1], self.heads, -1).transpose(1, 2)
            for values in (queries, self.wk(tokens), self.wv(tokens))
        )
        bias = self.rpe_k(q, buckets(math.isqrt(len(places) - 1), tokens.device))
        sensors = (tokens.shape[1] - 1) // (len(places) - 1)
        bias = torch.cat([bias[..., :1], bias[..., 1:].repeat(1, 1, 1, sensors)], -1)
        weights = q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5 + bias
        output: Tensor = self.proj((weights.softmax(-1) @ v).transpose(1, 2).reshape(batch, len(places), width))
        return output


class CrossBlock(nn.Module):
    """The last block: merges the tokens of all sensors into one per place."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = CrossAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Return (B, 1 + N, D); see `CrossAttention`. No residual connection skips the attention."""
        tokens = self.attn(self.norm1(tokens), places)
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]


class TemporalQueries(nn.Module):
    """Attention over dates with one learned query per head, each head for its own part of the channels."""

    def __init__(self, width: int, heads: int, keys: int) -> None:
        super().__init__()
        self.Q = nn.Parameter(torch.empty(heads, keys))
        self.fc1_k = nn.Linear(width, heads * keys)
        for weight in (self.Q, self.fc1_k.weight):
            nn.init.normal_(weight, std=math.sqrt(2 / keys))

    def forward(self, values: Tensor) -> Tensor:
        """Return the weighted mean (n, D) over the dates of series (n, T, D)."""
        count, dates, width = values.shape
        heads, keys = self.Q.shape
        k = self.fc1_k(values).reshape(count, dates, heads, keys)
        weights = (torch.einsum("nthk,hk->nht", k, self.Q) / math.sqrt(keys)).softmax(-1)
        return torch.einsum("nht,nthd->nhd", weights, values.reshape(count, dates, heads, -1)).reshape(count, width)


class TemporalEncoder(nn.Module):
    """L-TAE: encodes the series of a pixel as one vector.

    Args:
        channels: C.
        width: D.
        normed: whether groups of channels are normalised over the series, as for Sentinel-2 but not for Sentinel-1.
    """

    def __init__(self, channels: int, width: int, *, normed: bool) -> None:
        super().__init__()
        heads, period = 16, 367
        widths = [channels, width // 8, width // 2, width, 2 * width, width]
        steps: list[nn.Module] = []
        for before, after in pairwise(widths):
            # The identity takes the place of the published network's dropout.
            steps += [nn.Linear(before, after), nn.GroupNorm(4, after), nn.ReLU(), nn.Identity()]
        self.inconv = nn.Sequential(*steps)
        self.in_norm = nn.GroupNorm(heads, width) if normed else nn.Identity()
        self.attention_heads = TemporalQueries(width, heads, 8)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GroupNorm(4, width), nn.ReLU())
        self.out_norm = nn.GroupNorm(heads, width)
        each = width // heads
        self.periods = [period ** (2 * (index // 2) / each) for index in range(each)]

    def forward(self, series: Tensor, days: Tensor) -> Tensor:
        """Return (n, D) for series (n, T, C) and days of the year (n, T), 0 for 1 January."""
        values = self.inconv(series.flatten(0, 1)).unflatten(0, series.shape[:2])
        values = self.in_norm(values.transpose(1, 2)).transpose(1, 2)
        angles = days[..., None] / torch.tensor(self.periods, device=days.device)
        waves = torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], -1).flatten(-2)
        pooled = self.attention_heads(values + waves.repeat(1, 1, values.shape[-1] // waves.shape[-1]))
        output: Tensor = self.out_norm(self.mlp(pooled))
        return output


class Projector(nn.Module):
    """The embedding of the pixels of one sensor."""

    def __init__(self, channels: int, width: int, *, normed: bool) -> None:
        super().__init__()
        self.patch_embed = TemporalEncoder(channels, width, normed=normed)

    def forward(self, series: Tensor, days: Tensor, patch: int) -> Tensor:
        """Return (B, N, patch ** 2, D) for series (B, T, C, H, W) and days of the year (B, T)."""
        batch, dates, channels, height, width = series.shape
        pixels = series.permute(0, 3, 4, 1, 2).reshape(-1, dates, channels)
        pixel_days = days[:, None].expand(-1, height * width, -1).reshape(-1, dates)
        size = max(1, CHUNK // dates)
        chunks = zip(torch.split(pixels, size), torch.split(pixel_days, size), strict=True)
        embedded = torch.cat([self.patch_embed(*chunk) for chunk in chunks])
        grid = embedded.reshape(batch, height // patch, patch, width // patch, patch, -1)
        return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class AnySatNetwork(nn.Module):
    """AnySat's parts for Sentinel-2 and Sentinel-1, under the names of the published weights.

    Args:
        width: D.
        depth: number of blocks of each of the two transformers, not counting the cross block.
        heads: number of their attention heads.
    """

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.width = width
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for sensor, channels in CHANNELS.items():
            self.add_module(PROJECTORS[sensor], Projector(channels, width, normed=sensor == "s2"))
        self.spatial_encoder = SpatialEncoder(width, depth, heads)
        norm = partial(nn.LayerNorm, eps=1e-6)
        blocks = [Block(width, heads, qkv_bias=True, norm_layer=norm) for _ in range(depth)]
        self.blocks = nn.ModuleList([*blocks, CrossBlock(width, heads)])


class AnySatBackbone(nn.Module):
    """AnySat with taps at the embedding of pixels, along the spatial transformer, and along the one over patches.

    A grid cell is the mean over sensors: of the embedded pixels of a patch at the embedding, of the class token of the
    patch in the spatial transformer, and of the token of the patch in the transformer over patches. The vector is the
    mean over cells up to the end of the spatial transformer; after it, the class token of the tile, as the authors use.

    Args:
        network: see `AnySatNetwork`.
        bands: the bands given at load: those of ``s2``, ``s1`` or both, each sensor with all its bands.
        patch: pixels along each side of a token.

    Attributes:
        layers: see `bench.core.Layer`. The blocks are those of the spatial transformer, those over patches, and the
            cross block.
        modules_map: see `bench.core.ModulesMap`. The cross block has ``k`` and ``v`` but no ``q``.
    """

    def __init__(self, network: AnySatNetwork, bands: Sequence[Band], *, patch: int) -> None:
        super().__init__()
        self.network = network
        self.counts = Counter(band.sensor for band in bands)
        self.patch = patch
        self.spatial = len(network.spatial_encoder.predictor_blocks)
        paths = [f"network.spatial_encoder.predictor_blocks.{index}" for index in range(self.spatial)]
        paths += [f"network.blocks.{index}" for index in range(len(network.blocks))]
        self.layers = transformer_layers(len(paths), network.width, patch, norm=False)
        self.modules_map: ModulesMap = {
            **map_modules(paths[:-1], TIMM_BLOCK),
            **map_modules(paths[-1:], CROSS_BLOCK, first=len(paths)),
        }
        frozen(self)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`. Coordinates are not used."""
        batch, side = self._check(images)

        def tap(index: int, state: Tensor) -> Tap:
            if index <= self.spatial:  # (M B, N, k k) or (M B N, 1 + k k) tokens
                cells = state.mean(2) if index == 0 else state[:, 0]
                cells = cells.reshape(-1, batch, side * side, cells.shape[-1]).mean(0)
                return Tap(token_grid(cells, (side, side)), cells.mean(1))
            cells = state[:, 1:].reshape(batch, -1, side * side, state.shape[-1]).mean(1)
            return Tap(token_grid(cells, (side, side)), state[:, 0], state[:, 0])

        return tap_along(self._states(images, side, when), layers, self.layers, tap)

    def _states(self, images: Images, side: int, when: Tensor | None) -> Iterator[Tensor]:
        network: Any = self.network
        encoder = network.spatial_encoder
        parts = []
        for sensor in self.counts:
            days = days_of(when, images[sensor])
            parts.append(getattr(network, PROJECTORS[sensor])(images[sensor], days, self.patch))
        pixels = torch.cat(parts)
        yield pixels
        tokens = pixels.flatten(0, 1) + positions(network.width, self.patch, PIXEL).to(pixels)
        tokens = torch.cat([encoder.cls_token.expand(len(tokens), -1, -1), tokens], 1)
        for block in encoder.predictor_blocks:
            tokens = block(tokens)
            yield tokens
        places = functional.pad(positions(network.width, side, self.patch), (0, 0, 1, 0)).to(pixels)
        patches = encoder.predictor_norm(tokens)[:, 0].unflatten(0, (len(parts), -1, side * side)) + places[1:]
        tokens = torch.cat([network.cls_token.expand(patches.shape[1], -1, -1), *patches], 1)
        for block in network.blocks[:-1]:
            tokens = block(tokens)
            yield tokens
        yield network.blocks[-1](tokens, places)

    def _check(self, images: Images) -> tuple[int, int]:
        """Return the number of images and of patches along a side."""
        shapes = set()
        for sensor, count in self.counts.items():
            if sensor not in images or images[sensor].shape[2] != count or count != CHANNELS.get(sensor):
                given = {name: values.shape[2] for name, values in images.items()}
                raise Incompatible(
                    f"AnySat takes {CHANNELS} bands and was loaded for {dict(self.counts)}; the images have {given}"
                )
            shapes.add((len(images[sensor]), *images[sensor].shape[-2:]))
        batch, height, width = shapes.pop()
        if shapes or height != width or height % self.patch:
            raise Incompatible(
                f"images of {height} x {width} pixels; AnySat takes squares whose side is a multiple of {self.patch}, "
                "of one size for all sensors"
            )
        return batch, height // self.patch


def days_of(when: Tensor | None, images: Tensor) -> Tensor:
    """Return the days (B, T) since 1 January as float32; 0, the authors' choice, where a date is unknown.

    Args:
        when: see `bench.core.Backbone`.
        images: (B, T, C, H, W), for the number of images and dates.

    Raises:
        Incompatible: the number of dates is not that of the images.
    """
    if when is None:
        return images.new_zeros(images.shape[:2])
    if when.shape[:2] != images.shape[:2]:
        raise Incompatible(f"{when.shape[1]} dates for {images.shape[1]} images of a series")
    return torch.where((when > 0).all(-1), day_of_year(when) - 1, 0).to(images)
