"""Galileo's encoder (Tseng et al. 2025, arXiv:2502.09356), written anew; it fits the publishers' weights.

A token is one channel group, at one patch and date for what varies over both, at one patch for terrain, at one date for
weather, once for the location. All visible tokens attend to each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, Layer, Tap
from bench.core.errors import Incompatible
from bench.networks.masked_blocks import Block

KERNEL = 8
DATES = 24
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


class _Source(NamedTuple):
    """Where a channel group's bands are: indices into its sensor's channels, or None and the value that stands in."""

    sensor: str
    channels: tuple[int | None, ...]
    absent: tuple[float, ...]


class _Layout(NamedTuple):
    """How tokens follow each other: rows x columns x dates x moving groups, rows x columns x still groups, the rest."""

    rows: int
    columns: int
    dates: int
    moving: int
    still: int


# Where the parts of a block lie, by their canonical names; "" is the block itself.
PARTS = {
    **{"norm1": "norm1", "q": "attn.q", "k": "attn.k", "v": "attn.v", "proj": "attn.proj"},
    **{"norm2": "norm2", "fc1": "mlp.fc1", "act": "mlp.act", "fc2": "mlp.fc2", "out": ""},
}


class GalileoNetwork(nn.Module):
    """The encoder, tapped at every layer; parameters carry the publishers' names.

    Args:
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads.
        bands: what will be fed, in order; a channel group is visible if its first band is among them.
        absent: by band, the value that stands for it where the rest of its visible group is fed.
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
            if (source := _source(members, bands, absent))
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
        self.modules_map = {
            f"block_{i + 1}": {name: f"blocks.{i}.{path}".rstrip(".") for name, path in PARTS.items()}
            for i in range(depth)
        }
        self.apply(_initialise)
        self.layers = _layers(width, depth, self.patch)

    def resize_patches(self, patch: int) -> None:
        """Turn the 8 x 8 patch embeddings into `patch` x `patch` ones, in place.

        The new kernel gives on a bicubically shrunk patch what the old one gives on the patch itself, in the sense of
        least squares (FlexiViT, arXiv:2212.08013, eq. 5).
        """
        if patch == self.patch:
            return
        basis = torch.eye(KERNEL**2).reshape(-1, 1, KERNEL, KERNEL)
        shrunk = functional.interpolate(basis, (patch, patch), mode="bicubic", antialias=True)
        inverse = torch.linalg.pinv(shrunk.reshape(KERNEL**2, patch**2))
        for module in (*self.space_time_embed.values(), *self.space_embed.values()):
            assert isinstance(module, nn.Conv2d)
            kernel = module.weight.data
            module.weight = nn.Parameter((kernel.flatten(2) @ inverse.T).unflatten(2, (patch, patch)))
            module.kernel_size = module.stride = (patch, patch)
        self.patch = patch
        self.layers = _layers(self.norm.weight.numel(), len(self.blocks), patch)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` for each index in `layers`; see `bench.core.Backbone`."""
        tokens, visible, layout = self._embed(images, when, where)
        taps: dict[int, Tap] = {}
        if 0 in layers:
            taps[0] = _tap(tokens, visible, layout)
        for index, block in enumerate(self.blocks[: max(layers, default=0)], start=1):
            tokens = block(tokens, visible)
            if index in layers:
                taps[index] = _tap(tokens, visible, layout)
        if len(self.blocks) + 1 in layers:
            taps[len(self.blocks) + 1] = _tap(self.norm(tokens), visible, layout)
        return [taps[index] for index in layers]

    def _embed(
        self, images: Images, when: Tensor | None, where: Tensor | None
    ) -> tuple[Tensor, Tensor | None, _Layout]:
        """Return tokens (B, N, D), which of them are visible (B, N), or None for all, and their layout."""
        moving, still, weather = (
            [name for name in groups if name in self.sources] for groups in (SPACE_TIME, SPACE, TIME)
        )
        rows, columns, dates = self._shape(images, [*moving, *still], weather)
        layout = _Layout(rows, columns, dates, len(moving), len(still))
        place = self._position(rows, columns)
        month = self._months(when, dates)
        order = self.get_buffer("pos_embed")[:dates]
        nothing = torch.zeros_like(order[0])
        parts = []
        if moving:
            planes = [self._patches(self.space_time_embed[name], self._pixels(images, name)) for name in moving]
            channel = self.s_t_channel_embed[_indices(SPACE_TIME, moving)]
            code = _code(channel, order[:, None], month[:, None, None, :, None], place[:, :, None, None])
            parts.append((torch.stack(planes, 4) + code).flatten(1, 4))
        if still:
            planes = [self._patches(self.space_embed[name], self._pixels(images, name)[:, :1]) for name in still]
            code = _code(self.sp_channel_embed[_indices(SPACE, still)], nothing, nothing, place[:, :, None])
            parts.append((torch.cat(planes, 3) + code).flatten(1, 3))
        if weather:
            series = [self.time_embed[name](self._pixels(images, name).mean((-2, -1))) for name in weather]
            code = _code(self.t_channel_embed[_indices(TIME, weather)], order[:, None], month[:, :, None], nothing)
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
        """Return dates, rows and columns of tokens, having checked that sensors agree."""
        shapes = {name: tuple(images[self.sources[name].sensor].shape) for name in [*placed, *weather]}
        sizes = {shapes[name][-2:] for name in placed}
        series = {shape[1] for name, shape in shapes.items() if name not in SPACE} or {1}
        if len(sizes) != 1 or len(series) != 1:
            raise Incompatible(f"Galileo wants one image size and one number of dates, got {_text(images)}")
        (height, width), (dates,) = sizes.pop(), series
        if height % self.patch or width % self.patch or dates > DATES:
            raise Incompatible(
                f"Galileo takes sides that are multiples of {self.patch} pixels and up to {DATES} dates, "
                f"got {_text(images)}: resize or cut windows, and leave dates out"
            )
        return height // self.patch, width // self.patch, dates

    def _pixels(self, images: Images, name: str) -> Tensor:
        """Return a channel group's bands (B, T, C, H, W)."""
        sensor, channels, absent = self.sources[name]
        image = images[sensor]
        planes = [
            torch.full_like(image[:, :, 0], value) if channel is None else image[:, :, channel]
            for channel, value in zip(channels, absent, strict=True)
        ]
        return torch.stack(planes, 2)

    def _patches(self, embedding: nn.Module, pixels: Tensor) -> Tensor:
        """Return (B, T, C, H, W) as patch embeddings (B, rows, columns, T, D)."""
        tokens: Tensor = embedding(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
        return tokens.permute(0, 3, 4, 1, 2)

    def _position(self, rows: int, columns: int) -> Tensor:
        """Return the code of each place (rows, columns, D / 4), in pixels of 10 m: one half for each axis."""
        table = self.get_buffer("pos_embed")
        half, device = table.shape[1] // 2, table.device
        along = sinusoid(half, torch.arange(columns, device=device) * float(self.patch))
        down = sinusoid(half, torch.arange(rows, device=device) * float(self.patch))
        return _code(along, down[:, None])

    def _months(self, when: Tensor | None, dates: int) -> Tensor:
        """Return the code of each date's month (B or 1, T, D / 4); July, as the publishers evaluate, where unknown."""
        table = self.get_buffer("month_embed")
        if when is None:
            return table[JULY].expand(1, dates, -1)
        month = when[..., 1].long()
        return table[torch.where(month > 0, month - 1, JULY)]

    def _location(self, where: Tensor) -> Tensor:
        """Return the token (B, D) of longitude and latitude in degrees: a point on the unit sphere."""
        longitude, latitude = torch.nan_to_num(where).mul(math.pi / 180).unbind(1)
        point = torch.stack([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()], dim=1)
        channel = self.st_channel_embed[list(STATIC).index("location")]
        token: Tensor = self.static_embed["location"](point)
        return token + functional.pad(channel, (0, 3 * len(channel)))


def sinusoid(size: int, position: Tensor) -> Tensor:
    """Return the sine-cosine code (n, size) of positions (n,). Its exponents run to 1/4, not to 1: as published."""
    frequency = 1.0 / 10000 ** (torch.arange(size // 2, device=position.device) / size / 2.0)
    angle = position[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], 1)


def month_table(size: int) -> Tensor:
    """Return the code (12, size) of the months: the sine of the year's angle in one half, its cosine in the other."""
    angle = (torch.arange(12) / (12 / (2 * math.pi)))[:, None].expand(-1, size // 2)
    return torch.cat([angle.sin(), angle.cos()], 1)


def _text(images: Images) -> str:
    return ", ".join(f"{sensor} {tuple(image.shape)}" for sensor, image in images.items())


def _source(members: Sequence[str], bands: Sequence[Band], absent: Mapping[str, float]) -> _Source | None:
    """Return where a group's bands are, or None if it is masked because its first band is not given."""
    sensor = members[0].partition(".")[0]
    names = [band.name for band in bands if band.sensor == sensor]
    if members[0] not in names:
        return None
    channels = tuple(names.index(name) if name in names else None for name in members)
    return _Source(sensor, channels, tuple(absent.get(name, 0.0) for name in members))


def _patch_embeddings(groups: Mapping[str, Sequence[str]], width: int) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Conv2d(len(group), width, KERNEL, KERNEL) for name, group in groups.items()})


def _layers(width: int, depth: int, patch: int) -> tuple[Layer, ...]:
    places = [("embedding", 0.0), *((f"block_{i}", i / depth) for i in range(1, depth + 1)), ("norm", 1.0)]
    return tuple(Layer(name=name, channels=width, stride=patch, depth=place) for name, place in places)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def _indices(groups: Mapping[str, object], wanted: Sequence[str]) -> list[int]:
    return [list(groups).index(name) for name in wanted]


def _code(*parts: Tensor) -> Tensor:
    """Return the parts side by side along the channels, broadcast over all other axes."""
    shape = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))  # type: ignore[no-untyped-call]
    return torch.cat([part.expand(*shape, part.shape[-1]) for part in parts], -1)


def _tap(tokens: Tensor, visible: Tensor | None, layout: _Layout) -> Tap:
    """Return the mean over dates and groups at each place, and the mean over all visible tokens."""
    rows, columns, dates, moving, still = layout
    first, second = rows * columns * dates * moving, rows * columns * still
    batch, _, width = tokens.shape
    total = tokens[:, :first].reshape(batch, rows, columns, dates * moving, width).sum(3)
    total = total + tokens[:, first : first + second].reshape(batch, rows, columns, still, width).sum(3)
    grid = (total / (dates * moving + still)).permute(0, 3, 1, 2)
    if visible is None:
        return Tap(grid, tokens.mean(1))
    weight = visible[..., None].to(tokens.dtype)
    return Tap(grid, (tokens * weight).sum(1) / weight.sum(1))
