"""timm's DINOv3 as a backbone: its blocks take rotary positions in addition to the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import Tensor

from bench.networks.backbones import outputs_along
from bench.networks.vit import ViTBackbone


class DINOv3Backbone(ViTBackbone):
    """timm's ``Eva`` as built for DINOv3: a class token, register tokens, and rotary positions in each block.

    Args:
        network: ``timm`` ``vit_*_patch16_dinov3``.
        bands: the bands given at load.
        pool: see `bench.networks.vit.ViTBackbone`.
    """

    def states(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, prefix + h w, D) at each layer in turn."""
        network: Any = self.network
        tokens, rotations = network._pos_embed(network.patch_embed(pixels))
        blocks = [partial(block, rope=rotations) for block in network.blocks]
        yield from outputs_along(network.norm_pre(tokens), (*blocks, network.norm))
