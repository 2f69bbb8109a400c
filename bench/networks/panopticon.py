"""torchgeo's Panopticon as a backbone, with the authors' way to interpolate positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bench.core import Band
from bench.networks.backbones import grid_of
from bench.networks.dinov2 import resized_positions
from bench.networks.vit import ViTBackbone


class PanopticonBackbone(ViTBackbone):
    """torchgeo's ``Panopticon``: a DINOv2 ViT whose patch embedding attends over the channels.

    Args:
        network: the ``model`` of ``torchgeo.models.Panopticon``.
        bands: the bands given at load.
        channels: one number per band (wavelength in nanometres or radar category), in the order of
            `bench.networks.backbones.stack_sensors`.
    """

    channels: Tensor

    def __init__(self, network: Any, bands: Sequence[Band], *, channels: Sequence[int]) -> None:
        super().__init__(network, bands, pool="cls")
        self.register_buffer("channels", torch.tensor([channels], dtype=torch.float32), persistent=False)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, 1 + h w, D) of pixels (B, C, H, W), positions included."""
        network: Any = self.network
        size = grid_of(pixels, self.patch)
        # One row of channels serves every image. It is copied because the network rounds it in place.
        patches = network.patch_embed({"imgs": pixels, "chn_ids": self.channels.clone()})
        positions = resized_positions(network.pos_embed, network.patch_embed.grid_size, size)
        cls = (network.cls_token + positions[:, :1]).expand(len(pixels), -1, -1)
        return torch.cat([cls, patches + positions[:, 1:]], 1)
