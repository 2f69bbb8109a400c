"""timm's DINOv3, tapped at every layer: its blocks are given rotary positions beside the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from bench.networks.backbones import ViTBackbone


class DINOv3Backbone(ViTBackbone):
    """timm's ``Eva`` as built for DINOv3: a class token, register tokens, and rotary positions in each block.

    Args:
        network: ``timm`` ``vit_*_patch16_dinov3``.
        bands: as given at load.
        pool: see `bench.networks.backbones.ViTBackbone`.
    """

    def states(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, prefix + h w, D) at each layer in turn."""
        network: Any = self.network
        tokens, rotations = network._pos_embed(network.patch_embed(pixels))
        tokens = network.norm_pre(tokens)
        yield tokens
        for block in network.blocks:
            tokens = block(tokens, rope=rotations)
            yield tokens
        yield network.norm(tokens)
