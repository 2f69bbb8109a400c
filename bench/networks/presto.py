"""Presto's encoder (Tseng et al. 2023, arXiv:2304.14065), reimplemented to load the publishers' weights.

It encodes the series of one pixel: a token stands for one band group at one date; terrain and location have one token
each. All visible tokens attend to each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, ModulesMap, Tap
from bench.core.errors import Incompatible
from bench.networks.acquisition import on_unit_sphere
from bench.networks.backbones import outputs_along, tap_along, transformer_layers, xavier_uniform_linears
from bench.networks.blocks import TIMM_BLOCK, map_modules
from bench.networks.masked_blocks import Block, mean_of_visible

COVERS = 9  # Dynamic World has classes 0..8; this code marks an unknown class
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


class PrestoNetwork(nn.Module):
    """The encoder with taps at every layer; parameters have the publishers' names.

    Args:
        width: channels of a token.
        depth: number of blocks.
        heads: number of attention heads.
        bands: the bands that will be fed, in order; a band group is visible if all its bands are among them.
        dates: the longest series with a position for each date.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.core.ModulesMap`.
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
        self.modules_map: ModulesMap = map_modules([f"blocks.{i}" for i in range(depth)], TIMM_BLOCK)
        self.channel_embed = nn.Embedding(len(GROUPS) + 1, width // 4)
        self.register_buffer("pos_embed", sinusoid(width // 2, dates)[None])
        self.register_buffer("month_embed", month_table(width // 4))
        xavier_uniform_linears(self)
        self.layers = transformer_layers(depth, width, 1, norm=True)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`. Every pixel is encoded by itself."""
        height, width = next(iter(images.values())).shape[-2:]

        def tap(_: int, pooled: Tensor) -> Tap:
            grid = pooled.reshape(-1, height, width, pooled.shape[-1])
            return Tap(grid.permute(0, 3, 1, 2), grid.mean((1, 2)))

        return tap_along(self._states(images, when, where), layers, self.layers, tap)

    def _states(self, images: Images, when: Tensor | None, where: Tensor | None) -> Iterator[Tensor]:
        """Yield the mean (P, D) over the visible tokens of each of P = B x H x W pixels, at each layer in turn."""
        tokens, visible = self._embed(images, when, where)
        for state in outputs_along(tokens, [partial(block, visible=visible) for block in self.blocks]):
            pooled = mean_of_visible(state, visible)
            yield pooled
        # As published, the norm is applied after the mean.
        yield self.norm(pooled)

    def _embed(self, images: Images, when: Tensor | None, where: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the tokens (P, N, D) of P = B x H x W pixels and a mask (P, N) of the visible ones (None: all are)."""
        series = {sensor: image.permute(0, 3, 4, 1, 2).flatten(0, 2) for sensor, image in images.items()}
        pixels = len(next(iter(series.values())))
        dates = _dates(images, self.get_buffer("pos_embed").shape[1])
        month = self._months(when, dates, pixels)
        order = self.get_buffer("pos_embed")[0, :dates]
        parts, visible = [], []
        for name in self.visible:
            values = torch.stack([self._band(series, band) for band in GROUPS[name]], -1)
            channel = self.channel_embed.weight[list(GROUPS).index(name)]
            if name == "SRTM":
                code = functional.pad(channel, (month.shape[-1], order.shape[-1]))
                parts.append(self.eo_patch_embed[name](values[:, :1]) + code)
            else:
                parts.append(self.eo_patch_embed[name](values) + _code(month, channel, order))
            visible.append(month.new_ones(parts[-1].shape[:2], dtype=torch.bool))
        if "dw.class" in self.channels:
            cover = torch.nan_to_num(self._band(series, "dw.class"), nan=COVERS).long()
            parts.append(self.dw_embed(cover) + _code(month, self.channel_embed.weight[-1], order))
            visible.append(cover != COVERS)
        if where is not None:
            places = where.repeat_interleave(pixels // len(where), 0)
            parts.append(self.latlon_embed(on_unit_sphere(places))[:, None])
            visible.append(torch.isfinite(places).all(1, keepdim=True))
        tokens, mask = torch.cat(parts, 1), torch.cat(visible, 1)
        if bool(mask.all()):
            return tokens, None
        kept = mask.any(0)
        tokens, mask = tokens[:, kept], mask[:, kept]
        return tokens, None if bool(mask.all()) else mask

    def _band(self, series: Mapping[str, Tensor], band: str) -> Tensor:
        """Return one band of every pixel (P, T)."""
        return series[band.partition(".")[0]][..., self.channels[band]]

    def _months(self, when: Tensor | None, dates: int, pixels: int) -> Tensor:
        """Return the code (P or 1, T, D / 4) of the month of each date; unknown months are counted from January."""
        table = self.get_buffer("month_embed")
        counted = torch.arange(dates, device=table.device) % 12
        if when is None:
            return table[counted][None]
        month = when[..., 1].long()
        return table[torch.where(month > 0, month - 1, counted)].repeat_interleave(pixels // len(when), 0)


def sinusoid(size: int, dates: int) -> Tensor:
    """Return the code (dates, size) of the order of dates: sines at even channels, cosines at odd ones, base 1000."""
    rate = 1000.0 ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = torch.arange(dates, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1).float()


def month_table(size: int) -> Tensor:
    """Return the code (12, size) of the months: the sine of the month's angle in one half, its cosine in the other."""
    angle = (torch.arange(12, dtype=torch.float64) * (2 * math.pi / 12))[:, None].expand(-1, size // 2)
    return torch.cat([angle.sin(), angle.cos()], 1).float()


def _dates(images: Images, most: int) -> int:
    """Return the number of dates.

    Args:
        images: see `bench.core.Backbone`.
        most: the longest series that the network takes.

    Raises:
        Incompatible: sensors differ in size or number of dates, or there are more than `most` dates.
    """
    shapes = {sensor: tuple(image.shape) for sensor, image in images.items()}
    dates = {shape[1] for sensor, shape in shapes.items() if sensor != "srtm"} or {1}
    if len(dates) != 1 or max(dates) > most or len({shape[-2:] for shape in shapes.values()}) != 1:
        text = ", ".join(f"{sensor} {shape}" for sensor, shape in shapes.items())
        raise Incompatible(
            f"Presto takes one image size and one number of dates, at most {most}, for all sensors; given {text}"
        )
    return dates.pop()


def _code(month: Tensor, channel: Tensor, order: Tensor) -> Tensor:
    """Return the three parts concatenated along the channels (P or 1, T, D)."""
    shape = month.shape[:2]
    return torch.cat([month, channel.expand(*shape, -1), order.expand(*shape, -1)], -1)
