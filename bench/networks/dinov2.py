"""DINOv2 without registers: timm's network with the authors' way of bringing positions to another grid."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.networks.backbones import ViTBackbone, resized_positions


class DINOv2Backbone(ViTBackbone):
    """timm's DINOv2 with a class token and no registers.

    Args:
        network: ``timm`` ``vit_*_patch14_dinov2``, made with ``dynamic_img_size=True``.
        bands: as given at load.
        pool: see `bench.networks.backbones.ViTBackbone`.
    """

    def embed(self, pixels: Tensor) -> Tensor:
        """Return (B, 1 + h w, D) tokens of (B, C, H, W) pixels, with positions."""
        network: Any = self.network
        patches = network.patch_embed(pixels)
        new = (patches.shape[1], patches.shape[2])
        tokens = torch.cat([network.cls_token.expand(len(patches), -1, -1), patches.flatten(1, 2)], 1)
        embedded: Tensor = tokens + resized_positions(network.pos_embed, network.patch_embed.grid_size, new)
        return embedded
