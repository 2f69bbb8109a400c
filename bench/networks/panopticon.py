"""torchgeo's Panopticon, tapped at every layer, with the authors' way of bringing positions to another grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bench.core import Band
from bench.networks.backbones import ViTBackbone, check_size, resized_positions


class PanopticonBackbone(ViTBackbone):
    """torchgeo's ``Panopticon``: a DINOv2 ViT whose patch embedding attends over the channels.

    Args:
        network: the ``model`` of ``torchgeo.models.Panopticon``.
        bands: as given at load.
        channels: one number a band, wavelength in nanometres or radar category, in the order of `stack_sensors`.
    """

    channels: Tensor

    def __init__(self, network: Any, bands: Sequence[Band], *, channels: Sequence[int]) -> None:
        super().__init__(network, bands, pool="cls")
        self.register_buffer("channels", torch.tensor([channels], dtype=torch.float32), persistent=False)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return (B, 1 + h w, D) tokens of (B, C, H, W) pixels, with positions."""
        network: Any = self.network
        size = (pixels.shape[-2] // self.patch, pixels.shape[-1] // self.patch)
        check_size(pixels, (size[0] * self.patch, size[1] * self.patch))
        # One row of channels serves every image; a copy, for the network rounds it in place.
        patches = network.patch_embed({"imgs": pixels, "chn_ids": self.channels.clone()})
        positions = resized_positions(network.pos_embed, network.patch_embed.grid_size, size)
        cls = (network.cls_token + positions[:, :1]).expand(len(pixels), -1, -1)
        return torch.cat([cls, patches + positions[:, 1:]], 1)
