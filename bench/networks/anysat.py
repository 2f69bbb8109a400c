"""AnySat (Astruc et al. 2024, arXiv:2412.14123) for Sentinel-2 and Sentinel-1, in the layout of its published weights.

A pixel's series is summed up by temporal attention (L-TAE, Garnot and Landrieu 2020, arXiv:2007.00586), the pixels of a
patch by a spatial transformer with relative positions (iRPE, Wu et al. 2021, arXiv:2107.14222), the patches of all
sensors by a transformer whose last block asks one query a place.
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

from bench.core import Band, Images, Tap
from bench.core.errors import Incompatible
from bench.networks.backbones import TIMM_BLOCK, ModulesMap, frozen, tap_along, token_grid, transformer_layers

CHANNELS = {"s2": 10, "s1": 2}
PROJECTORS = {"s2": "projector_s2", "s1": "projector_s1-asc"}
PIXEL = 10  # metres
BUCKETS = 8  # of relative distance, the last for the class token
CHUNK = 2**16  # pixels times dates that are embedded at a time


def positions(width: int, side: int, step: float) -> Tensor:
    """Return sine and cosine positions (side ** 2, width) of a square grid, columns in the first half.

    Args:
        width: D, a multiple of 4.
        side: points along a side.
        step: distance of two points.
    """
    steps = torch.arange(side, dtype=torch.float32) * step
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    rates = 1 / 10000 ** (torch.arange(width // 4, dtype=torch.float32) / (width / 4))
    angles = [axis.reshape(-1, 1) * rates for axis in (columns, rows)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], 1)


def buckets(side: int, device: torch.device) -> Tensor:
    """Return the bucket (1 + side ** 2, 1 + side ** 2) of each pair of tokens, by Euclidean distance (iRPE, eq. 18).

    Distances up to 1.9 are kept, those beyond counted logarithmically up to 3; pairs with the class token, the first,
    have a bucket of their own.
    """
    steps = torch.arange(side, dtype=torch.float32, device=device)
    points = torch.cartesian_prod(steps, steps).reshape(-1, 2)
    distance = torch.cdist(points, points).round()
    alpha, beta, gamma = 1.9, 3.8, 15.2
    far = alpha + torch.log(distance.clamp_min(alpha) / alpha) / math.log(gamma / alpha) * (beta - alpha)
    near = torch.where(distance <= alpha, distance, far.round().clamp_max(beta))
    return functional.pad(near.long() + int(beta), (1, 0, 1, 0), value=BUCKETS - 1)


class RelativePositions(nn.Module):
    """What a query thinks of each distance, one table for all heads.

    The published code asks the first head's query alone, and adds its answer to every head: its ``gather`` has an index
    of one head. (With the optional CUDA operator of iRPE it would ask each.)

    Args:
        width: of a head.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lookup_table_weight = nn.Parameter(torch.empty(1, width, BUCKETS))
        nn.init.trunc_normal_(self.lookup_table_weight, std=0.02)

    def forward(self, queries: Tensor, ids: Tensor) -> Tensor:
        """Return (B, 1, L, L) of (B, H, L, d) queries and the (L, L) `buckets`."""
        table = queries[:, :1] @ self.lookup_table_weight
        return table.gather(-1, ids.expand(len(table), 1, -1, -1))


class SpatialAttention(nn.Module):
    """Self-attention with relative positions on a square grid behind a class token."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.rpe_k = RelativePositions(width // heads)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, 1 + n n, D) of (B, 1 + n n, D)."""
        batch, length, width = tokens.shape
        q, k, v = self.qkv(tokens).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q = q * (width // self.heads) ** -0.5
        weights = q @ k.transpose(-2, -1) + self.rpe_k(q, buckets(math.isqrt(length - 1), tokens.device))
        mixed: Tensor = self.proj((weights.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width))
        return mixed


class SpatialBlock(nn.Module):
    """A transformer block over the pixels of a patch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = SpatialAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, L, D) of (B, L, D)."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]


class SpatialEncoder(nn.Module):
    """The transformer that sums up a patch in its class token."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.predictor_blocks = nn.ModuleList(SpatialBlock(width, heads) for _ in range(depth))
        self.predictor_norm = nn.LayerNorm(width)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)


class CrossAttention(nn.Module):
    """Attention of one learnt query, told apart by position, a place to the tokens of all sensors."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.wk = nn.Linear(width, width)
        self.wv = nn.Linear(width, width)
        self.q_learned = nn.Parameter(torch.zeros(1, 1, width))
        self.rpe_k = RelativePositions(width // heads)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Return (B, 1 + N, D) of tokens (B, 1 + M N, D) of M sensors and positions (1 + N, D)."""
        batch, _, width = tokens.shape
        queries = (self.q_learned + places).expand(batch, -1, -1)
        q, k, v = (
            values.reshape(batch, values.shape[1], self.heads, -1).transpose(1, 2)
            for values in (queries, self.wk(tokens), self.wv(tokens))
        )
        near = self.rpe_k(q, buckets(math.isqrt(len(places) - 1), tokens.device))
        sensors = (tokens.shape[1] - 1) // (len(places) - 1)
        near = torch.cat([near[..., :1], near[..., 1:].repeat(1, 1, 1, sensors)], -1)
        weights = q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5 + near
        mixed: Tensor = self.proj((weights.softmax(-1) @ v).transpose(1, 2).reshape(batch, len(places), width))
        return mixed


class CrossBlock(nn.Module):
    """The last block: from the tokens of all sensors to one a place."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = CrossAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Return (B, 1 + N, D); see `CrossAttention`. Around the attention there is no residual."""
        tokens = self.attn(self.norm1(tokens), places)
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]


class TemporalQueries(nn.Module):
    """One learnt query a head, each over its own part of the channels."""

    def __init__(self, width: int, heads: int, keys: int) -> None:
        super().__init__()
        self.Q = nn.Parameter(torch.empty(heads, keys))
        self.fc1_k = nn.Linear(width, heads * keys)
        for weight in (self.Q, self.fc1_k.weight):
            nn.init.normal_(weight, std=math.sqrt(2 / keys))

    def forward(self, values: Tensor) -> Tensor:
        """Return (n, D) of series (n, T, D)."""
        count, dates, width = values.shape
        heads, keys = self.Q.shape
        k = self.fc1_k(values).reshape(count, dates, heads, keys)
        weights = (torch.einsum("nthk,hk->nht", k, self.Q) / math.sqrt(keys)).softmax(-1)
        return torch.einsum("nht,nthd->nhd", weights, values.reshape(count, dates, heads, -1)).reshape(count, width)


class TemporalEncoder(nn.Module):
    """L-TAE: a pixel's series as one vector.

    Args:
        channels: C.
        width: D.
        normed: groups of channels are normed over the series, which Sentinel-2's are and Sentinel-1's not.
    """

    def __init__(self, channels: int, width: int, *, normed: bool) -> None:
        super().__init__()
        heads, period = 16, 367
        widths = [channels, width // 8, width // 2, width, 2 * width, width]
        steps: list[nn.Module] = []
        for before, after in pairwise(widths):
            # The identity stands where the published network has its dropout.
            steps += [nn.Linear(before, after), nn.GroupNorm(4, after), nn.ReLU(), nn.Identity()]
        self.inconv = nn.Sequential(*steps)
        self.in_norm = nn.GroupNorm(heads, width) if normed else nn.Identity()
        self.attention_heads = TemporalQueries(width, heads, 8)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GroupNorm(4, width), nn.ReLU())
        self.out_norm = nn.GroupNorm(heads, width)
        each = width // heads
        self.periods = [period ** (2 * (index // 2) / each) for index in range(each)]

    def forward(self, series: Tensor, days: Tensor) -> Tensor:
        """Return (n, D) of series (n, T, C) and days of the year (n, T), 0 for the first."""
        values = self.inconv(series.flatten(0, 1)).unflatten(0, series.shape[:2])
        values = self.in_norm(values.transpose(1, 2)).transpose(1, 2)
        angles = days[..., None] / torch.tensor(self.periods, device=days.device)
        waves = torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], -1).flatten(-2)
        pooled = self.attention_heads(values + waves.repeat(1, 1, values.shape[-1] // waves.shape[-1]))
        summed: Tensor = self.out_norm(self.mlp(pooled))
        return summed


class Projector(nn.Module):
    """The embedding of one sensor's pixels."""

    def __init__(self, channels: int, width: int, *, normed: bool) -> None:
        super().__init__()
        self.patch_embed = TemporalEncoder(channels, width, normed=normed)

    def forward(self, series: Tensor, days: Tensor, patch: int) -> Tensor:
        """Return (B, N, patch ** 2, D) of series (B, T, C, H, W) and days of the year (B, T)."""
        batch, dates, channels, tall, wide = series.shape
        pixels = series.permute(0, 3, 4, 1, 2).reshape(-1, dates, channels)
        when = days[:, None].expand(-1, tall * wide, -1).reshape(-1, dates)
        size = max(1, CHUNK // dates)
        chunks = zip(torch.split(pixels, size), torch.split(when, size), strict=True)
        parts = [self.patch_embed(*both) for both in chunks]
        grid = torch.cat(parts).reshape(batch, tall // patch, patch, wide // patch, patch, -1)
        return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class AnySatNetwork(nn.Module):
    """AnySat's parts for Sentinel-2 and Sentinel-1, under the names of the published weights.

    Args:
        width: D.
        depth: blocks of each of the two transformers, the cross block apart.
        heads: of their attention.
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
    """AnySat tapped at the pixels' embedding, along the spatial transformer, and along that over patches.

    A grid cell is the mean over sensors: at the embedding of a patch's pixels, then of its class token, then of its
    tokens. The vector is the mean over cells up to there, and the tile's class token, as the authors use, after.

    Args:
        network: see `AnySatNetwork`.
        bands: as given at load; ``s2``, ``s1`` or both, each with all its bands.
        patch: pixels a token along each side.

    Attributes:
        layers: see `bench.core.Layer`. The blocks are those of the spatial transformer, those over patches, and the
            cross block.
        modules_map: see `bench.networks.backbones.ModulesMap`. The cross block has ``k`` and ``v`` and no ``q``.
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
        cross = {n: p for n, p in TIMM_BLOCK.items() if n != "qkv"} | {"k": "attn.wk", "v": "attn.wv"}
        self.modules_map: ModulesMap = {
            f"block_{index + 1}": {
                name: f"{path}.{part}".rstrip(".")
                for name, part in (cross if index == len(paths) - 1 else TIMM_BLOCK).items()
            }
            for index, path in enumerate(paths)
        }
        frozen(self)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; see `bench.core.Backbone`. Places are not used."""
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
            days = day_of_year(when, images[sensor])
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
                raise Incompatible(f"AnySat takes {CHANNELS} bands, and was loaded for {dict(self.counts)}")
            shapes.add((len(images[sensor]), *images[sensor].shape[-2:]))
        batch, tall, wide = shapes.pop()
        if shapes or tall != wide or tall % self.patch:
            raise Incompatible(
                f"images of {tall} x {wide} pixels; AnySat takes squares of whole patches, all of a size"
            )
        return batch, tall // self.patch


def day_of_year(when: Tensor | None, images: Tensor) -> Tensor:
    """Return (B, T) days since 1 January as float32; 0, the authors' choice, where a date is not known.

    Args:
        when: see `bench.core.Backbone`.
        images: (B, T, C, H, W), for batch and dates.

    Raises:
        Incompatible: a date too many or too few.
    """
    if when is None:
        return images.new_zeros(images.shape[:2])
    if when.shape[:2] != images.shape[:2]:
        raise Incompatible(f"{when.shape[1]} dates for {images.shape[1]} images of a series")
    year, month, day = when.long().unbind(-1)
    before = torch.tensor([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], device=when.device)
    leap = ((year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0)) & (month > 2)).long()
    days = before[month.clamp(0, 12)] + leap + day - 1
    return torch.where((when > 0).all(-1), days, 0).to(images)
