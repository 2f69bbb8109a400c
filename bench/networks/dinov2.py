"""DINOv2 without registers: timm's network with the authors' way to interpolate positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.networks.vit import ViTBackbone

# In patches. DINOv2's authors add it to the size of the new grid before they divide by the size of the old one, and so
# it shifts where their networks sample positions.
POSITION_OFFSET = 0.1


class DINOv2Backbone(ViTBackbone):
    """timm's DINOv2 with a class token and no registers.

    Args:
        network: ``timm`` ``vit_*_patch14_dinov2``, built with ``dynamic_img_size=True``.
        bands: the bands given at load.
        pool: see `bench.networks.vit.ViTBackbone`.
    """

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, 1 + h w, D) of pixels (B, C, H, W), positions included."""
        network: Any = self.network
        patches = network.patch_embed(pixels)
        size = (patches.shape[1], patches.shape[2])
        tokens = torch.cat([network.cls_token.expand(len(patches), -1, -1), patches.flatten(1, 2)], 1)
        embedded: Tensor = tokens + resized_positions(network.pos_embed, network.patch_embed.grid_size, size)
        return embedded


def resized_positions(positions: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Return learned positions interpolated from one grid to another as the authors of DINOv2 do.

    The authors of Panopticon follow them. The interpolation is bicubic, without antialiasing.

    Args:
        positions: (1, 1 + H W, D), that of the class token first.
        old: (H, W).
        new: (h, w).

    Returns:
        (1, 1 + h w, D).
    """
    if old == new:
        return positions
    grid = positions[:, 1:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    factors = ((new[0] + POSITION_OFFSET) / old[0], (new[1] + POSITION_OFFSET) / old[1])
    grid = functional.interpolate(grid, scale_factor=factors, mode="bicubic")
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)
