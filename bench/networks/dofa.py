"""torchgeo's DOFA as a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bench.core import Band
from bench.networks.backbones import check_size
from bench.networks.vit import ViTBackbone


class DOFABackbone(ViTBackbone):
    """torchgeo's ``DOFA``: a ViT whose patch embedding is generated from the wavelengths of the bands.

    Args:
        network: ``torchgeo.models.DOFA``.
        bands: the bands given at load.
        wavelengths: one per band in micrometres, in the order of `bench.networks.backbones.stack_sensors`.
    """

    wavelengths: Tensor

    def __init__(self, network: Any, bands: Sequence[Band], *, wavelengths: Sequence[float]) -> None:
        super().__init__(network, bands, pool="mean")
        self.register_buffer("wavelengths", torch.tensor(wavelengths, dtype=torch.float32), persistent=False)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, 1 + h w, D) of pixels (B, C, H, W), positions included."""
        network: Any = self.network
        check_size(pixels, (network.img_size, network.img_size))
        patches, _ = network.patch_embed(pixels, self.wavelengths)
        cls = (network.cls_token + network.pos_embed[:, :1]).expand(len(pixels), -1, -1)
        return torch.cat([cls, patches + network.pos_embed[:, 1:]], 1)
