"""torchgeo's Copernicus-FM, tapped at every layer, with what is known of each image beside its pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torchgeo.models.copernicusfm import resize_abs_pos_embed

from bench.core import Band, Images, Tap
from bench.networks.backbones import ViTBackbone, check_size, stack_sensors, tap_along, token_grid


def days_since_1970(dates: Tensor) -> Tensor:
    """Return days since 1 January 1970 as float32, NaN where a part of the date is unknown.

    Args:
        dates: (..., 3) int year, month, day in the Gregorian calendar, -1 where unknown.
    """
    year, month, day = dates.long().unbind(-1)
    # Years begin in March here, so that the leap day is the last.
    year = year - (month <= 2).long()
    day_of_year = (153 * ((month + 9) % 12) + 2).div(5, rounding_mode="floor") + day - 1
    leaps = sum(sign * year.div(every, rounding_mode="floor") for every, sign in ((4, 1), (100, -1), (400, 1)))
    days = (365 * year + leaps + day_of_year - 719468).float()
    return torch.where((dates > 0).all(-1), days, torch.nan)


class CopernicusFMBackbone(ViTBackbone):
    """torchgeo's ``CopernicusFM`` in its spectral mode.

    What is unknown of an image is replaced by a learnt token, image by image; torchgeo's own forward does so for a
    whole batch as soon as one image of it lacks something.

    Args:
        network: ``torchgeo.models.CopernicusFM`` with ``patch_embed_spectral``.
        bands: as given at load.
        wavelengths: one a band, nanometres, in the order of `stack_sensors`.
        bandwidths: likewise.
        area: of a patch in square kilometres, NaN where unknown.
    """

    wavelengths: Tensor
    bandwidths: Tensor

    def __init__(
        self,
        network: Any,
        bands: Sequence[Band],
        *,
        wavelengths: Sequence[float],
        bandwidths: Sequence[float],
        area: float,
    ) -> None:
        network.patch_embed = network.patch_embed_spectral  # under the name that ViTBackbone reads it by
        network.embed_dim = network.cls_token.shape[-1]
        super().__init__(network, bands, pool="mean")
        del network.patch_embed
        self.area = area
        self.register_buffer("wavelengths", torch.tensor(wavelengths, dtype=torch.float32), persistent=False)
        self.register_buffer("bandwidths", torch.tensor(bandwidths, dtype=torch.float32), persistent=False)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; see `bench.core.Backbone`."""
        pixels = stack_sensors(images, self.bands)
        size = (pixels.shape[-2] // self.patch, pixels.shape[-1] // self.patch)
        check_size(pixels, (size[0] * self.patch, size[1] * self.patch))

        def tap(index: int, tokens: Tensor) -> Tap:
            patches = tokens[:, 1:]
            return Tap(token_grid(patches, size), patches.mean(1), tokens[:, 0] if index else None)

        return tap_along(self._states(pixels, size, when, where), layers, self.layers, tap)

    def _states(
        self, pixels: Tensor, size: tuple[int, int], when: Tensor | None, where: Tensor | None
    ) -> Iterator[Tensor]:
        network: Any = self.network
        patches = network.patch_embed_spectral(pixels, wavelengths=self.wavelengths, bandwidths=self.bandwidths)
        old = round(network.num_patches**0.5)
        positions = resize_abs_pos_embed(network.pos_embed, size, (old, old)) + self._context(pixels, when, where)
        tokens = torch.cat([network.cls_token + positions[:, :1], patches + positions[:, 1:]], 1)
        yield tokens
        for block in network.blocks:
            tokens = block(tokens)
            yield tokens

    def _context(self, pixels: Tensor, when: Tensor | None, where: Tensor | None) -> Tensor:
        """Return (B, 1, D), the sum of what place, patch area and date say, or their tokens."""
        network: Any = self.network
        width = network.embed_dim
        unknown = pixels.new_full((len(pixels), 2), torch.nan)
        place = unknown if where is None else where.to(pixels)
        # In the network's own range of angles, zero excepted; see its FourierExpansion.
        lon, lat = ((place + place.new_tensor([180.0, 90.0])).clamp_min(network.coord_expansion.lower)).unbind(-1)
        days = unknown[:, 0] if when is None else days_since_1970(when[:, 0]).to(pixels)
        area = torch.full_like(days, self.area)
        # An area the network has no period for, of patches below 32 m a side, is as good as unknown.
        area = torch.where(
            (area >= network.scale_expansion.lower) & (area <= network.scale_expansion.upper), area, torch.nan
        )
        known = ~(lon + lat).isnan()
        coordinates = torch.cat(
            [network.coord_expansion(torch.where(known, degrees, 0.0), width // 2) for degrees in (lon, lat)], -1
        )
        coordinates = torch.where(known[:, None], coordinates, network.coord_token[0])
        size = torch.where(
            area.isnan()[:, None], network.scale_token[0], network.scale_expansion(area.nan_to_num(), width)
        )
        date = torch.where(
            days.isnan()[:, None], network.time_token[0], network.time_expansion(days.nan_to_num(), width)
        )
        context = network.coord_fc(coordinates) + network.scale_fc(size) + network.time_fc(date)
        return context.unsqueeze(1)  # type: ignore[no-any-return]
