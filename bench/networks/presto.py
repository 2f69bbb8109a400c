"""Presto's encoder (Tseng et al. 2023, arXiv:2304.14065), written anew; it fits the publishers' weights.

It reads the series of one pixel: a token is one band group at one date; terrain and location are one token each. All
visible tokens attend to each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, Layer, Tap
from bench.core.errors import Incompatible
from bench.networks.masked_blocks import Block

COVERS = 9  # Dynamic World's classes 0..8; this code itself says that none is known
GROUPS = {
    "S1": ("s1.vv", "s1.vh"),
    "S2_RGB": ("s2.b02", "s2.b03", "s2.b04"),
    "S2_Red_Edge": ("s2.b05", "s2.b06", "s2.b07"),
    "S2_NIR_10m": ("s2.b08",),
    "S2_NIR_20m": ("s2.b8a",),
    "S2_SWIR": ("s2.b11", "s2.b12"),
    "ERA5": ("era5.t2m", "era5.tp"),
    "SRTM": ("srtm.elevation", "srtm.slope"),
    "NDVI": ("s2.ndvi",),
}


# Where the parts of a block lie, by their canonical names; "" is the block itself.
PARTS = {
    **{"norm1": "norm1", "qkv": "attn.qkv", "proj": "attn.proj"},
    **{"norm2": "norm2", "fc1": "mlp.fc1", "act": "mlp.act", "fc2": "mlp.fc2", "out": ""},
}


class PrestoNetwork(nn.Module):
    """The encoder, tapped at every layer; parameters carry the publishers' names.

    Args:
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads.
        bands: what will be fed, in order; a band group is visible if all its bands are among them.
        dates: the longest series there are positions for.
    """

    def __init__(self, *, width: int, depth: int, heads: int, bands: Sequence[Band], dates: int) -> None:
        super().__init__()
        self.channels: dict[str, int] = {}
        given: Counter[str] = Counter()
        for band in bands:
            self.channels[band.name] = given[band.sensor]
            given[band.sensor] += 1
        self.visible = [name for name, members in GROUPS.items() if set(members) <= set(self.channels)]
        self.eo_patch_embed = nn.ModuleDict({name: nn.Linear(len(group), width) for name, group in GROUPS.items()})
        self.dw_embed = nn.Embedding(COVERS + 1, width)
        self.latlon_embed = nn.Linear(3, width)
        self.blocks = nn.ModuleList(Block(width, heads, joint=True) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.modules_map = {
            f"block_{i + 1}": {name: f"blocks.{i}.{path}".rstrip(".") for name, path in PARTS.items()}
            for i in range(depth)
        }
        self.channel_embed = nn.Embedding(len(GROUPS) + 1, width // 4)
        self.register_buffer("pos_embed", sinusoid(width // 2, dates)[None])
        self.register_buffer("month_embed", month_table(width // 4))
        self.apply(_initialise)
        places = [("embedding", 0.0), *((f"block_{i}", i / depth) for i in range(1, depth + 1)), ("norm", 1.0)]
        self.layers = tuple(Layer(name=name, channels=width, stride=1, depth=place) for name, place in places)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` for each index in `layers`; see `bench.core.Backbone`. Every pixel is encoded by itself."""
        height, width = next(iter(images.values())).shape[-2:]
        tokens, seen = self._embed(images, when, where)
        pooled = [_mean(tokens, seen)]
        for block in self.blocks[: max(layers, default=0)]:
            tokens = block(tokens, seen)
            pooled.append(_mean(tokens, seen))
        # As published, the norm comes after the mean.
        pooled.append(self.norm(pooled[-1]))
        grids = [pooled[index].reshape(-1, height, width, tokens.shape[2]) for index in layers]
        return [Tap(grid.permute(0, 3, 1, 2), grid.mean((1, 2))) for grid in grids]

    def _embed(self, images: Images, when: Tensor | None, where: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return tokens (P, N, D) of P = B x H x W pixels and which of them are visible (P, N), None for all."""
        series = {sensor: image.permute(0, 3, 4, 1, 2).flatten(0, 2) for sensor, image in images.items()}
        pixels = len(next(iter(series.values())))
        dates = _dates(images, self.get_buffer("pos_embed").shape[1])
        month = self._months(when, dates, pixels)
        order = self.get_buffer("pos_embed")[0, :dates]
        parts, seen = [], []
        for name in self.visible:
            values = torch.stack([self._band(series, band) for band in GROUPS[name]], -1)
            channel = self.channel_embed.weight[list(GROUPS).index(name)]
            if name == "SRTM":
                code = functional.pad(channel, (month.shape[-1], order.shape[-1]))
                parts.append(self.eo_patch_embed[name](values[:, :1]) + code)
            else:
                parts.append(self.eo_patch_embed[name](values) + _code(month, channel, order))
            seen.append(month.new_ones(parts[-1].shape[:2], dtype=torch.bool))
        if "dw.class" in self.channels:
            cover = torch.nan_to_num(self._band(series, "dw.class"), nan=COVERS).long()
            parts.append(self.dw_embed(cover) + _code(month, self.channel_embed.weight[-1], order))
            seen.append(cover != COVERS)
        if where is not None:
            places = where.repeat_interleave(pixels // len(where), 0)
            parts.append(self.latlon_embed(on_sphere(places))[:, None])
            seen.append(torch.isfinite(places).all(1, keepdim=True))
        tokens, mask = torch.cat(parts, 1), torch.cat(seen, 1)
        if bool(mask.all()):
            return tokens, None
        kept = mask.any(0)
        tokens, mask = tokens[:, kept], mask[:, kept]
        return tokens, None if bool(mask.all()) else mask

    def _band(self, series: Mapping[str, Tensor], band: str) -> Tensor:
        """Return one band of every pixel (P, T)."""
        return series[band.partition(".")[0]][..., self.channels[band]]

    def _months(self, when: Tensor | None, dates: int, pixels: int) -> Tensor:
        """Return the code of each date's month (P or 1, T, D / 4), counted from January where no date is known."""
        table = self.get_buffer("month_embed")
        counted = torch.arange(dates, device=table.device) % 12
        if when is None:
            return table[counted][None]
        month = when[..., 1].long()
        return table[torch.where(month > 0, month - 1, counted)].repeat_interleave(pixels // len(when), 0)


def sinusoid(size: int, dates: int) -> Tensor:
    """Return the code (dates, size) of the dates' order: sines at even channels, cosines at odd, base 1000."""
    rate = 1000.0 ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = torch.arange(dates, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1).float()


def month_table(size: int) -> Tensor:
    """Return the code (12, size) of the months: the sine of the year's angle in one half, its cosine in the other."""
    angle = (torch.arange(12, dtype=torch.float64) * (2 * math.pi / 12))[:, None].expand(-1, size // 2)
    return torch.cat([angle.sin(), angle.cos()], 1).float()


def on_sphere(where: Tensor) -> Tensor:
    """Return longitude and latitude in degrees (n, 2) as points (n, 3) on the unit sphere; unknown ones are 0, 0."""
    longitude, latitude = torch.nan_to_num(where).mul(math.pi / 180).unbind(1)
    return torch.stack([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()], dim=1)


def _dates(images: Images, most: int) -> int:
    """Return the number of dates, having checked that sensors agree and that there are no more than `most`."""
    shapes = {sensor: tuple(image.shape) for sensor, image in images.items()}
    dates = {shape[1] for sensor, shape in shapes.items() if sensor != "srtm"} or {1}
    if len(dates) != 1 or max(dates) > most or len({shape[-2:] for shape in shapes.values()}) != 1:
        text = ", ".join(f"{sensor} {shape}" for sensor, shape in shapes.items())
        raise Incompatible(
            f"Presto wants one size and one number of dates, at most {most}, for all sensors; got {text}"
        )
    return dates.pop()


def _code(month: Tensor, channel: Tensor, order: Tensor) -> Tensor:
    """Return the three parts side by side (P or 1, T, D)."""
    shape = month.shape[:2]
    return torch.cat([month, channel.expand(*shape, -1), order.expand(*shape, -1)], -1)


def _mean(tokens: Tensor, seen: Tensor | None) -> Tensor:
    """Return the mean of the visible tokens (P, D)."""
    if seen is None:
        return tokens.mean(1)
    weight = seen[..., None].to(tokens.dtype)
    return (tokens * weight).sum(1) / weight.sum(1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
