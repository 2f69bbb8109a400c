"""DINOv2 without registers: timm's network with the authors' way of bringing positions to another grid."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.backbones import ViTBackbone

OFFSET = 0.1  # patches, added by the authors before dividing, and so part of where their networks sample positions


def resized_positions(positions: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Return learnt positions of one grid brought to another, as the authors of DINOv2 do.

    Args:
        positions: (1, 1 + H W, D), the class token's first.
        old: (H, W).
        new: (h, w).

    Returns:
        (1, 1 + h w, D).
    """
    if old == new:
        return positions
    grid = positions[:, 1:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    factors = ((new[0] + OFFSET) / old[0], (new[1] + OFFSET) / old[1])
    grid = functional.interpolate(grid, scale_factor=factors, mode="bicubic")
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)


class DINOv2Backbone(ViTBackbone):
    """timm's DINOv2 with a class token and no registers.

    Args:
        network: ``timm`` ``vit_*_patch14_dinov2``, made with ``dynamic_img_size=True``.
        bands: as given at load.
        pool: see `bench.backbones.ViTBackbone`.
    """

    def embed(self, pixels: Tensor) -> Tensor:
        """Return (B, 1 + h w, D) tokens of (B, C, H, W) pixels, with positions."""
        network: Any = self.network
        patches = network.patch_embed(pixels)
        new = (patches.shape[1], patches.shape[2])
        tokens = torch.cat([network.cls_token.expand(len(patches), -1, -1), patches.flatten(1, 2)], 1)
        embedded: Tensor = tokens + resized_positions(network.pos_embed, network.patch_embed.grid_size, new)
        return embedded
