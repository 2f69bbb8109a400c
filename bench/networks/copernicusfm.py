"""torchgeo's Copernicus-FM as a backbone, given the date, coordinates and patch area of each image where known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchgeo.models.copernicusfm import resize_abs_pos_embed

from bench.core import Band, Images, Tap
from bench.networks.acquisition import days_since_1970
from bench.networks.backbones import grid_of, outputs_along, stack_sensors, tap_along
from bench.networks.vit import ViTBackbone, vit_tap


class CopernicusFMBackbone(ViTBackbone):
    """torchgeo's ``CopernicusFM`` in its spectral mode.

    Metadata that is unknown is replaced by a learned token, image by image. torchgeo's own forward pass replaces it for
    a whole batch as soon as it is unknown for one image.

    Args:
        network: ``torchgeo.models.CopernicusFM`` with ``patch_embed_spectral``.
        bands: the bands given at load.
        wavelengths: one per band in nanometres, in the order of `bench.networks.backbones.stack_sensors`.
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
        network.patch_embed = network.patch_embed_spectral  # the name under which ViTBackbone reads it
        network.embed_dim = network.cls_token.shape[-1]
        super().__init__(network, bands, pool="mean")
        del network.patch_embed
        self.area = area
        self.register_buffer("wavelengths", torch.tensor(wavelengths, dtype=torch.float32), persistent=False)
        self.register_buffer("bandwidths", torch.tensor(bandwidths, dtype=torch.float32), persistent=False)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`."""
        pixels = stack_sensors(images, self.bands)
        size = grid_of(pixels, self.patch)
        tap = partial(vit_tap, size=size, pool=self.pool)
        return tap_along(self._states(pixels, size, when, where), layers, self.layers, tap)

    def _states(
        self, pixels: Tensor, size: tuple[int, int], when: Tensor | None, where: Tensor | None
    ) -> Iterator[Tensor]:
        network: Any = self.network
        patches = network.patch_embed_spectral(pixels, wavelengths=self.wavelengths, bandwidths=self.bandwidths)
        side = round(network.num_patches**0.5)
        positions = resize_abs_pos_embed(network.pos_embed, size, (side, side)) + self._metadata(pixels, when, where)
        tokens = torch.cat([network.cls_token + positions[:, :1], patches + positions[:, 1:]], 1)
        yield from outputs_along(tokens, network.blocks)

    def _metadata(self, pixels: Tensor, when: Tensor | None, where: Tensor | None) -> Tensor:
        """Return the sum (B, 1, D) of the encodings of coordinates, patch area and date, or of their learned tokens."""
        network: Any = self.network
        width = network.embed_dim
        unknown = pixels.new_full((len(pixels), 2), torch.nan)
        place = unknown if where is None else where.to(pixels)
        # Shifted to the network's own range of angles, which excludes zero; see its FourierExpansion.
        lon, lat = ((place + place.new_tensor([180.0, 90.0])).clamp_min(network.coord_expansion.lower)).unbind(-1)
        days = unknown[:, 0] if when is None else days_since_1970(when[:, 0]).to(pixels)
        area = torch.full_like(days, self.area)
        # The network has no period for the area of patches below 32 m per side: such an area counts as unknown.
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
        encoding = network.coord_fc(coordinates) + network.scale_fc(size) + network.time_fc(date)
        return encoding.unsqueeze(1)  # type: ignore[no-any-return]
