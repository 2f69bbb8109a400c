"""SatMAE's encoders whose tokens come in groups, of channels or of dates (Cong et al. 2022, arXiv:2207.08051).

Parameters have the publishers' names. Their third encoder, for one photograph, is timm's ViT.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from timm.layers import PatchEmbed
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from bench.core import Images, Tap
from bench.core.errors import Incompatible
from bench.networks.backbones import check_size, grid_of, stack_sensors, tap_along, token_grid, xavier_uniform_linears
from bench.networks.vit import ViTBackbone

GROUPS = ((0, 1, 2, 6), (3, 4, 5, 7), (8, 9))
CHANNEL_WIDTH = 256
DATES = 3
TIME_WIDTH = 128  # channels of the code of the year, and likewise of the month and of the hour
FIRST_YEAR = 2002
YEARS, MONTHS, HOURS = 16, 12, 24


def sincos_1d(width: int, positions: Tensor) -> Tensor:
    """Return the codes (..., width) of positions (...): sines at ``width / 2`` frequencies, then cosines."""
    half = width // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64, device=positions.device) / half)
    angles = positions.double().unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], -1).float()


def sincos_2d(width: int, side: int) -> Tensor:
    """Return the position codes (1 + side x side, width) of a class token (zeros) and a square grid.

    The code of the column comes before that of the row.
    """
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    codes = torch.cat([sincos_1d(width // 2, column.flatten()), sincos_1d(width // 2, row.flatten())], -1)
    return torch.cat([torch.zeros(1, width), codes])


def initialise(network: nn.Module) -> None:
    """Initialise a ViT as the publishers' pretraining does: Xavier-uniform weights and a normal class token."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight.flatten(1))
    xavier_uniform_linears(network)
    assert isinstance(network.cls_token, Tensor)
    nn.init.normal_(network.cls_token, std=0.02)


def time_codes(when: Tensor | None, batch: int) -> Tensor:
    """Return the codes (B, T, 384) of dates: years since 2002, months and hours.

    An unknown year or month enters as the mean of its codes over the range of the pretraining data, and so does the
    hour, which is never known here.

    Args:
        when: (B, T, 3) year, month 1..12, day; -1 where unknown. None if no date is known; then T is 1.
        batch: B.
    """
    dates = torch.full((batch, 1, 3), -1) if when is None else when
    parts = []
    for index, first, count in ((0, FIRST_YEAR, YEARS), (1, 1, MONTHS)):
        values = dates[..., index]
        mean = sincos_1d(TIME_WIDTH, torch.arange(count, device=values.device)).mean(0)
        parts.append(torch.where((values < 0).unsqueeze(-1), mean, sincos_1d(TIME_WIDTH, values - first)))
    hour = sincos_1d(TIME_WIDTH, torch.arange(HOURS, device=dates.device)).mean(0)
    return torch.cat([*parts, hour.expand(*dates.shape[:2], -1)], -1)


def _blocks(width: int, depth: int) -> tuple[nn.ModuleList, nn.LayerNorm]:
    norm = partial(nn.LayerNorm, eps=1e-6)
    blocks = nn.ModuleList(Block(width, width // 64, qkv_bias=True, norm_layer=norm) for _ in range(depth))
    return blocks, norm(width)


class GroupEmbed(nn.ModuleList):
    """A patch embedding for each channel group.

    Args:
        side: side of the images in pixels.
        patch: side of a patch in pixels.
        groups: indices of the channels of each group.
        width: channels of a token.
    """

    def __init__(self, side: int, patch: int, groups: Sequence[Sequence[int]], width: int) -> None:
        super().__init__(PatchEmbed(side, patch, len(group), width) for group in groups)
        self.groups = [list(group) for group in groups]
        self.img_size = (side, side)
        self.patch_size = (patch, patch)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, G, h w, D) of pixels (B, C, H, W)."""
        embedded = [embed(pixels[:, group]) for embed, group in zip(self, self.groups, strict=True)]
        return torch.stack(embedded, 1)


class GroupChannelViT(nn.Module):
    """The encoder of fMoW-Sentinel: a token stands for one channel group at one patch; all tokens attend to each other.

    Args:
        side: side of the images in pixels.
        patch: side of a patch in pixels.
        width: channels of a token, more than `CHANNEL_WIDTH`; the last `CHANNEL_WIDTH` of them hold the code of the
            group.
        depth: number of blocks.
        channel_cls: whether the class token has a code in place of that of a group.
    """

    def __init__(self, *, side: int, patch: int, width: int, depth: int, channel_cls: bool = False) -> None:
        super().__init__()
        self.embed_dim = width
        self.patch_embed = GroupEmbed(side, patch, GROUPS, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(sincos_2d(width - CHANNEL_WIDTH, side // patch).unsqueeze(0))
        self.channel_embed = nn.Parameter(sincos_1d(CHANNEL_WIDTH, torch.arange(len(GROUPS))).unsqueeze(0))
        if channel_cls:
            self.channel_cls_embed = nn.Parameter(torch.zeros(1, 1, CHANNEL_WIDTH))
        self.blocks, self.norm = _blocks(width, depth)
        initialise(self)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, 1 + G h w, D) of pixels (B, C, H, W), positions included, one group after another."""
        tokens = self.patch_embed(pixels)
        groups, places = tokens.shape[1:3]
        place = self.pos_embed[:, None, 1:].expand(-1, groups, -1, -1)
        group = self.channel_embed[:, :, None].expand(-1, -1, places, -1)
        zeros = self.channel_embed.new_zeros(1, 1, CHANNEL_WIDTH)
        cls = self.cls_token + torch.cat([self.pos_embed[:, :1], getattr(self, "channel_cls_embed", zeros)], -1)
        patches = (tokens + torch.cat([place, group], -1)).flatten(1, 2)
        return torch.cat([cls.expand(len(pixels), -1, -1), patches], 1)


class TemporalViT(nn.Module):
    """The encoder of fMoW-Temporal: a token stands for one patch of one photograph; all tokens attend to each other.

    Args:
        side: side of the images in pixels.
        patch: side of a patch in pixels.
        width: channels of a token, more than 384; the last 384 of them hold the code of the date.
        depth: number of blocks.
    """

    def __init__(self, *, side: int, patch: int, width: int, depth: int) -> None:
        super().__init__()
        self.embed_dim = width
        self.patch_embed = PatchEmbed(side, patch, 3, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(sincos_2d(width - 3 * TIME_WIDTH, side // patch).unsqueeze(0))
        self.blocks, self.norm = _blocks(width, depth)
        initialise(self)

    def embed(self, frames: Tensor, codes: Tensor) -> Tensor:
        """Return the tokens (B, 1 + T h w, D) of photographs (B, T, 3, H, W) whose dates have the codes (B, T, 384)."""
        batch, dates = frames.shape[:2]
        tokens = self.patch_embed(frames.flatten(0, 1)).unflatten(0, (batch, dates))
        place = self.pos_embed[:, None, 1:].expand(batch, dates, -1, -1)
        date = codes[:, :, None].expand(-1, -1, tokens.shape[2], -1)
        patches = (tokens + torch.cat([place, date], -1)).flatten(1, 2)
        return torch.cat([self.cls_token.expand(batch, -1, -1), patches], 1)


def grouped_tap(index: int, tokens: Tensor, *, size: tuple[int, int]) -> Tap:
    """Return the tap of tokens (B, 1 + G h w, D) at one layer: a grid cell is the mean over the G tokens at its place.

    Args:
        index: of the layer. At the embedding, 0, the class token is the same for every image, and the tap has none.
        tokens: those of each group follow each other.
        size: (h, w).
    """
    merged = tokens[:, 1:].reshape(len(tokens), -1, math.prod(size), tokens.shape[-1]).mean(1)
    return Tap(token_grid(merged, size), merged.mean(1), tokens[:, 0] if index else None)


class GroupChannelBackbone(ViTBackbone):
    """A `GroupChannelViT` with taps at every layer."""

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, 1 + G h w, D) of pixels (B, C, H, W), positions included."""
        check_size(pixels, self.network.patch_embed.img_size)
        tokens: Tensor = self.network.embed(pixels)
        return tokens

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`. Dates and coordinates are not used."""
        pixels = stack_sensors(images, self.bands)
        tap = partial(grouped_tap, size=grid_of(pixels, self.patch))
        return tap_along(self.states(pixels), layers, self.layers, tap)


class TemporalBackbone(ViTBackbone):
    """A `TemporalViT` with taps at every layer, for any number of dates."""

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the input itself: `forward`, which knows the dates, has already embedded it."""
        return pixels

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`. Coordinates are not used.

        The network reads three photographs, as in pretraining: the first, the middle and the last of a longer series;
        the first and twice the second of two; and a single one three times.

        Raises:
            Incompatible: images of another sensor, number of bands or size.
        """
        frames = images.get("rgb")
        if frames is None or frames.ndim != 5 or frames.shape[2] != len(self.bands):
            shapes = {sensor: tuple(values.shape) for sensor, values in images.items()}
            raise Incompatible(f"the backbone reads rgb as (B, T, {len(self.bands)}, H, W); the images are {shapes}")
        check_size(frames, self.network.patch_embed.img_size)
        dates = frames.shape[1]
        chosen = [0, dates // 2, dates - 1]
        codes = time_codes(when, len(frames)).to(frames)
        codes = codes.expand(-1, dates, -1) if when is None else codes
        tokens: Tensor = self.network.embed(frames[:, chosen], codes[:, chosen])
        tap = partial(grouped_tap, size=grid_of(frames, self.patch))
        return tap_along(self.states(tokens), layers, self.layers, tap)
