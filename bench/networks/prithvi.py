"""terratorch's Prithvi encoder as a backbone for any number of dates and any whole number of patches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, ModulesMap, Tap
from bench.core.errors import Incompatible
from bench.networks.acquisition import MID_MONTH, day_of_year
from bench.networks.backbones import frozen, outputs_along, tap_along, token_grid, transformer_layers
from bench.networks.blocks import TIMM_BLOCK, map_modules
from bench.networks.from_terratorch import terratorch_module


def prithvi_module() -> ModuleType:
    """Return the module of terratorch that defines the Prithvi networks."""
    return terratorch_module("models.backbones.prithvi_mae")


def prithvi_encoder(**settings: object) -> nn.Module:
    """Return terratorch's ``PrithviViT`` without its table of positions, which `PrithviBackbone` computes.

    The table is fixed (sines and cosines) and holds for one number of dates; the table in a file is for the number of
    dates in pretraining.

    Args:
        settings: arguments of the class.
    """
    network: nn.Module = prithvi_module().PrithviViT(**settings)
    del network.pos_embed
    return network


@lru_cache(maxsize=16)
def positions(width: int, base: tuple[int, int], grid: tuple[int, int, int]) -> Tensor:
    """Return the position embedding (1, t h w, D) of patch tokens, as terratorch computes it.

    Args:
        width: D.
        base: (h, w) of the grid in pretraining; the positions of another grid are interpolated from it.
        grid: (t, h, w) of the tokens; the part for the dates is computed for any t.
    """
    dates, *size = grid
    table = prithvi_module().get_3d_sincos_pos_embed(width, (dates, *base))
    maps = torch.from_numpy(table).float().reshape(dates, *base, width).permute(0, 3, 1, 2)
    if tuple(size) != base:
        maps = functional.interpolate(maps, size=size, mode="bicubic", align_corners=True)
    return maps.permute(0, 2, 3, 1).reshape(1, -1, width)


class PrithviBackbone(nn.Module):
    """A Prithvi encoder with taps at embedding, blocks and final norm.

    Tokens of all dates attend to each other. A grid cell is the mean over dates of the tokens at its place; the vector
    is the mean over all patch tokens.

    Args:
        network: see `prithvi_encoder`; its tubelets are one date long.
        bands: the bands given at load, all of one sensor.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.core.ModulesMap`.
    """

    def __init__(self, network: Any, bands: Sequence[Band]) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.patch = int(network.patch_embed.patch_size[-1])
        _, rows, columns = network.patch_embed.grid_size
        self.base = (int(rows), int(columns))
        depth = len(network.blocks)
        self.layers = transformer_layers(depth, int(network.embed_dim), self.patch, norm=True)
        self.modules_map: ModulesMap = map_modules([f"network.blocks.{i}" for i in range(depth)], TIMM_BLOCK)
        frozen(self)

    def _pixels(self, images: Images) -> Tensor:
        """Return the images as (B, C, T, H, W)."""
        sensor = self.bands[0].sensor
        if sensor not in images:
            raise Incompatible(f"the backbone was loaded for {sensor}; the images have {' '.join(images) or 'none'}")
        values = images[sensor]
        whole = values.ndim == 5 and not any(side % self.patch for side in values.shape[-2:])
        if not whole or values.shape[2] != len(self.bands):
            expected = f"(B, T, {len(self.bands)}, H, W) with sides that are multiples of {self.patch}"
            raise Incompatible(f"{sensor}: images of shape {tuple(values.shape)}; expected {expected}")
        return values.transpose(1, 2)

    def embed(self, pixels: Tensor, when: Tensor | None, where: Tensor | None) -> Tensor:
        """Return the tokens (B, 1 + t h w, D) of pixels (B, C, T, H, W): positions, dates and coordinates included."""
        network: Any = self.network
        dates, rows, columns = pixels.shape[2], pixels.shape[3] // self.patch, pixels.shape[4] // self.patch
        tokens = network.patch_embed(pixels)
        tokens = tokens + positions(int(network.embed_dim), self.base, (dates, rows, columns)).to(tokens.device)
        # Autocast would round the year to eight bits before its sine is computed.
        with torch.autocast(tokens.device.type, enabled=False):
            if network.temporal_encoding and when is not None:
                coordinates, known = year_and_day(when.to(tokens.device))
                tokens = tokens + known[:, None, None] * network.temporal_embed_enc(coordinates, rows * columns)
            if network.location_encoding and where is not None:
                place = where.to(tokens.device, torch.float32).flip(-1)
                known = place.isfinite().all(-1)
                tokens = tokens + known[:, None, None] * network.location_embed_enc(place.nan_to_num())
        # The class token's position is zero.
        return torch.cat([network.cls_token.expand(len(tokens), -1, -1), tokens], 1)

    def states(self, pixels: Tensor, when: Tensor | None, where: Tensor | None) -> Iterator[Tensor]:
        """Yield the tokens (B, 1 + t h w, D) at each layer in turn."""
        network: Any = self.network
        yield from outputs_along(self.embed(pixels, when, where), (*network.blocks, network.norm))

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`."""
        pixels = self._pixels(images)
        dates, size = pixels.shape[2], (pixels.shape[3] // self.patch, pixels.shape[4] // self.patch)

        def tap(index: int, tokens: Tensor) -> Tap:
            patches = tokens[:, 1:].reshape(len(tokens), dates, -1, tokens.shape[-1]).mean(1)
            # Before the first block the class token is the same for every image: a constant, not a feature.
            return Tap(token_grid(patches, size), patches.mean(1), tokens[:, 0] if index else None)

        return tap_along(self.states(pixels, when, where), layers, self.layers, tap)


def year_and_day(when: Tensor) -> tuple[Tensor, Tensor]:
    """Return years and days of the year (B, T, 2) as float32, and a mask (B,) of the samples whose dates are all known.

    Args:
        when: (B, T, 3) year, month, day, -1 where unknown. An unknown day counts as the middle of its month. If the
            year or month of any date is unknown, all dates of the sample count as unknown.
    """
    year, month, day = when.long().unbind(-1)
    known = ((year > 0) & (month > 0)).all(-1)
    dates = torch.stack([year, month, torch.where(day > 0, day, MID_MONTH)], -1)
    return torch.stack([year.clamp_min(0), day_of_year(dates)], -1).float(), known
