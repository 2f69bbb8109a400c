"""Galileo's encoder (Tseng et al. 2025, arXiv:2502.09356), reimplemented to load the publishers' weights.

A token stands for one channel group: at one patch and date for quantities that vary in space and time, at one patch for
terrain, at one date for weather, and once per image for the location. All visible tokens attend to each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, ModulesMap, Tap
from bench.core.errors import Incompatible
from bench.networks.acquisition import on_unit_sphere
from bench.networks.backbones import outputs_along, tap_along, transformer_layers, xavier_uniform_linears
from bench.networks.blocks import SPLIT_BLOCK, map_modules
from bench.networks.masked_blocks import Block, mean_of_visible

KERNEL = 8  # side in pixels of the published patch embeddings
DATES = 24  # longest series with a position for each date
JULY = 6

DYNAMIC_WORLD = tuple(
    f"dw.{name}"
    for name in ("water", "trees", "grass", "flooded_vegetation", "crops", "shrub", "built", "bare", "snow")
)
WORLD_CEREAL = ("wc.temporary_crops", "wc.maize", "wc.winter_cereals", "wc.spring_cereals", "wc.irrigation")
SPACE_TIME = {
    "S1": ("s1.vv", "s1.vh"),
    "S2_RGB": ("s2.b02", "s2.b03", "s2.b04"),
    "S2_Red_Edge": ("s2.b05", "s2.b06", "s2.b07"),
    "S2_NIR_10m": ("s2.b08",),
    "S2_NIR_20m": ("s2.b8a",),
    "S2_SWIR": ("s2.b11", "s2.b12"),
    "NDVI": ("s2.ndvi",),
}
SPACE = {"SRTM": ("srtm.elevation", "srtm.slope"), "DW": DYNAMIC_WORLD, "WC": WORLD_CEREAL}
TIME = {
    "ERA5": ("era5.t2m", "era5.tp_sum"),
    "TC": ("tc.deficit", "tc.soil_moisture", "tc.evapotranspiration"),
    "VIIRS": ("viirs.radiance",),
}
STATIC = {
    "LS": ("landscan.population",),
    "location": ("x", "y", "z"),
    "DW_static": DYNAMIC_WORLD,
    "WC_static": WORLD_CEREAL,
}


class _GroupBands(NamedTuple):
    """Where the bands of a channel group are.

    Attributes:
        sensor: the sensor of all bands of the group.
        channels: index of each band among the channels of the sensor, None for a band that is not given.
        absent: the value fed in place of each band that is not given.
    """

    sensor: str
    channels: tuple[int | None, ...]
    absent: tuple[float, ...]


class _Layout(NamedTuple):
    """The order of tokens: (rows, columns, dates, moving groups), then (rows, columns, still groups), then the rest.

    Moving groups vary in space and time, still groups (terrain) in space only.
    """

    rows: int
    columns: int
    dates: int
    moving: int
    still: int


class GalileoNetwork(nn.Module):
    """The encoder with taps at every layer; parameters have the publishers' names.

    Args:
        width: channels of a token.
        depth: number of blocks.
        heads: number of attention heads.
        bands: the bands that will be fed, in order; a channel group is visible if its first band is among them.
        absent: band -> the value fed in its place where the rest of its visible group is given.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.core.ModulesMap`.
    """

    def __init__(
        self, *, width: int, depth: int, heads: int, bands: Sequence[Band], absent: Mapping[str, float]
    ) -> None:
        super().__init__()
        quarter = width // 4
        self.patch = KERNEL
        self.sources = {
            name: source
            for groups in (SPACE_TIME, SPACE, TIME)
            for name, members in groups.items()
            if (source := _group_bands(members, bands, absent))
        }
        self.blocks = nn.ModuleList(Block(width, heads, joint=False) for _ in range(depth))
        self.register_buffer("pos_embed", sinusoid(quarter, torch.arange(DATES)))
        self.register_buffer("month_embed", month_table(quarter))
        self.s_t_channel_embed = nn.Parameter(torch.zeros(len(SPACE_TIME), quarter))
        self.sp_channel_embed = nn.Parameter(torch.zeros(len(SPACE), quarter))
        self.t_channel_embed = nn.Parameter(torch.zeros(len(TIME), quarter))
        self.st_channel_embed = nn.Parameter(torch.zeros(len(STATIC), quarter))
        self.space_time_embed = _patch_embeddings(SPACE_TIME, width)
        self.space_embed = _patch_embeddings(SPACE, width)
        self.time_embed = nn.ModuleDict({name: nn.Linear(len(group), width) for name, group in TIME.items()})
        self.static_embed = nn.ModuleDict({name: nn.Linear(len(group), width) for name, group in STATIC.items()})
        self.norm = nn.LayerNorm(width)
        self.modules_map: ModulesMap = map_modules([f"blocks.{i}" for i in range(depth)], SPLIT_BLOCK)
        xavier_uniform_linears(self)
        self.layers = transformer_layers(depth, width, self.patch, norm=True)

    def resize_patches(self, patch: int) -> None:
        """Change the patch embeddings from 8 x 8 to `patch` x `patch` pixels, in place.

        On a patch shrunk by bicubic interpolation, the new kernel gives what the old kernel gives on the patch itself,
        in the least-squares sense (FlexiViT, arXiv:2212.08013, eq. 5).
        """
        if patch == self.patch:
            return
        basis = torch.eye(KERNEL**2).reshape(-1, 1, KERNEL, KERNEL)
        shrunk = functional.interpolate(basis, (patch, patch), mode="bicubic", antialias=True)
        inverse = torch.linalg.pinv(shrunk.reshape(KERNEL**2, patch**2))
        for module in (*self.space_time_embed.values(), *self.space_embed.values()):
            assert isinstance(module, nn.Conv2d)
            kernel = module.weight.data
            resized = (kernel.flatten(2) @ inverse.T).unflatten(2, (patch, patch))
            module.weight = nn.Parameter(resized, requires_grad=False)
            module.kernel_size = module.stride = (patch, patch)
        self.patch = patch
        self.layers = transformer_layers(len(self.blocks), self.norm.weight.numel(), patch, norm=True)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`."""
        tokens, visible, layout = self._embed(images, when, where)
        blocks = [partial(block, visible=visible) for block in self.blocks]
        states = outputs_along(tokens, (*blocks, self.norm))
        return tap_along(states, layers, self.layers, lambda _, state: _tap(state, visible, layout))

    def _embed(
        self, images: Images, when: Tensor | None, where: Tensor | None
    ) -> tuple[Tensor, Tensor | None, _Layout]:
        """Return the tokens (B, N, D), a mask (B, N) of the visible ones (None: all are visible), and their layout."""
        moving, still, weather = (
            [name for name in groups if name in self.sources] for groups in (SPACE_TIME, SPACE, TIME)
        )
        rows, columns, dates = self._shape(images, [*moving, *still], weather)
        layout = _Layout(rows, columns, dates, len(moving), len(still))
        place = self._position(rows, columns)
        month = self._months(when, dates)
        order = self.get_buffer("pos_embed")[:dates]
        zeros = torch.zeros_like(order[0])
        parts = []
        if moving:
            planes = [self._patches(self.space_time_embed[name], self._pixels(images, name)) for name in moving]
            channel = self.s_t_channel_embed[_indices(SPACE_TIME, moving)]
            code = _code(channel, order[:, None], month[:, None, None, :, None], place[:, :, None, None])
            parts.append((torch.stack(planes, 4) + code).flatten(1, 4))
        if still:
            planes = [self._patches(self.space_embed[name], self._pixels(images, name)[:, :1]) for name in still]
            code = _code(self.sp_channel_embed[_indices(SPACE, still)], zeros, zeros, place[:, :, None])
            parts.append((torch.cat(planes, 3) + code).flatten(1, 3))
        if weather:
            series = [self.time_embed[name](self._pixels(images, name).mean((-2, -1))) for name in weather]
            code = _code(self.t_channel_embed[_indices(TIME, weather)], order[:, None], month[:, :, None], zeros)
            parts.append((torch.stack(series, 2) + code).flatten(1, 2))
        if where is None or not bool((known := torch.isfinite(where).all(1)).any()):
            return torch.cat(parts, 1), None, layout
        tokens = torch.cat([*parts, self._location(where)[:, None]], 1)
        if bool(known.all()):
            return tokens, None, layout
        visible = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        visible[:, -1] = known
        return tokens, visible, layout

    def _shape(self, images: Images, placed: Sequence[str], weather: Sequence[str]) -> tuple[int, int, int]:
        """Return the rows, columns and dates of the tokens.

        Args:
            images: see `bench.core.Backbone`.
            placed: names of the groups that vary in space.
            weather: names of the groups that vary in time only.

        Raises:
            Incompatible: sensors differ in size or number of dates, or the network cannot take these.
        """
        shapes = {name: tuple(images[self.sources[name].sensor].shape) for name in [*placed, *weather]}
        sizes = {shapes[name][-2:] for name in placed}
        series = {shape[1] for name, shape in shapes.items() if name not in SPACE} or {1}
        if len(sizes) != 1 or len(series) != 1:
            raise Incompatible(
                f"Galileo takes one image size and one number of dates for all sensors; given {_text(images)}"
            )
        (height, width), (dates,) = sizes.pop(), series
        if height % self.patch or width % self.patch or dates > DATES:
            raise Incompatible(
                f"Galileo takes sides that are multiples of {self.patch} pixels and up to {DATES} dates; "
                f"given {_text(images)}. Resize the images or cut windows, and leave out dates."
            )
        return height // self.patch, width // self.patch, dates

    def _pixels(self, images: Images, name: str) -> Tensor:
        """Return the bands (B, T, C, H, W) of a channel group."""
        sensor, channels, absent = self.sources[name]
        image = images[sensor]
        planes = [
            torch.full_like(image[:, :, 0], value) if channel is None else image[:, :, channel]
            for channel, value in zip(channels, absent, strict=True)
        ]
        return torch.stack(planes, 2)

    def _patches(self, embedding: nn.Module, pixels: Tensor) -> Tensor:
        """Return the patch embeddings (B, rows, columns, T, D) of pixels (B, T, C, H, W)."""
        tokens: Tensor = embedding(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
        return tokens.permute(0, 3, 4, 1, 2)

    def _position(self, rows: int, columns: int) -> Tensor:
        """Return the code (rows, columns, D / 4) of each place, in pixels of 10 m; each axis has one half of it."""
        table = self.get_buffer("pos_embed")
        half, device = table.shape[1] // 2, table.device
        across = sinusoid(half, torch.arange(columns, device=device) * float(self.patch))
        down = sinusoid(half, torch.arange(rows, device=device) * float(self.patch))
        return _code(across, down[:, None])

    def _months(self, when: Tensor | None, dates: int) -> Tensor:
        """Return the code (B or 1, T, D / 4) of the month of each date.

        An unknown month counts as July, as in the publishers' evaluation.
        """
        table = self.get_buffer("month_embed")
        if when is None:
            return table[JULY].expand(1, dates, -1)
        month = when[..., 1].long()
        return table[torch.where(month > 0, month - 1, JULY)]

    def _location(self, where: Tensor) -> Tensor:
        """Return the token (B, D) of coordinates (B, 2), which enter as a point on the unit sphere."""
        channel = self.st_channel_embed[list(STATIC).index("location")]
        token: Tensor = self.static_embed["location"](on_unit_sphere(where))
        return token + functional.pad(channel, (0, 3 * len(channel)))


def sinusoid(size: int, position: Tensor) -> Tensor:
    """Return the sine-cosine code (n, size) of positions (n,); its exponents run to 1/4, not to 1, as published."""
    frequency = 1.0 / 10000 ** (torch.arange(size // 2, device=position.device) / size / 2.0)
    angle = position[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], 1)


def month_table(size: int) -> Tensor:
    """Return the code (12, size) of the months: the sine of the month's angle in one half, its cosine in the other."""
    angle = (torch.arange(12) / (12 / (2 * math.pi)))[:, None].expand(-1, size // 2)
    return torch.cat([angle.sin(), angle.cos()], 1)


def _text(images: Images) -> str:
    """Return sensors and shapes for a message."""
    return ", ".join(f"{sensor} {tuple(image.shape)}" for sensor, image in images.items())


def _group_bands(members: Sequence[str], bands: Sequence[Band], absent: Mapping[str, float]) -> _GroupBands | None:
    """Return where the bands of a group are, or None for a group that is masked because its first band is not given."""
    sensor = members[0].partition(".")[0]
    names = [band.name for band in bands if band.sensor == sensor]
    if members[0] not in names:
        return None
    channels = tuple(names.index(name) if name in names else None for name in members)
    return _GroupBands(sensor, channels, tuple(absent.get(name, 0.0) for name in members))


def _patch_embeddings(groups: Mapping[str, Sequence[str]], width: int) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Conv2d(len(group), width, KERNEL, KERNEL) for name, group in groups.items()})


def _indices(groups: Mapping[str, object], wanted: Sequence[str]) -> list[int]:
    return [list(groups).index(name) for name in wanted]


def _code(*parts: Tensor) -> Tensor:
    """Return the parts concatenated along the channels, broadcast over all other axes."""
    shape = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))  # type: ignore[no-untyped-call]
    return torch.cat([part.expand(*shape, part.shape[-1]) for part in parts], -1)


def _tap(tokens: Tensor, visible: Tensor | None, layout: _Layout) -> Tap:
    """Return the tap of a layer: the mean over dates and groups at each place, and the mean over all visible tokens."""
    rows, columns, dates, moving, still = layout
    first, second = rows * columns * dates * moving, rows * columns * still
    batch, _, width = tokens.shape
    total = tokens[:, :first].reshape(batch, rows, columns, dates * moving, width).sum(3)
    total = total + tokens[:, first : first + second].reshape(batch, rows, columns, still, width).sum(3)
    grid = (total / (dates * moving + still)).permute(0, 3, 1, 2)
    return Tap(grid, mean_of_visible(tokens, visible))
