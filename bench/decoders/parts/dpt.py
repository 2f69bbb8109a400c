"""DPT's reassembly and fusion, for any grid.

The blocks are those of segmentation-models-pytorch. Its decoder as a whole doubles maps exactly and rounds the ratio of
a patch to a stride of 4, which fits neither odd grids nor patches of 14. The fusion here resizes to the map it meets.
"""

from __future__ import annotations

from collections.abc import Sequence

from segmentation_models_pytorch.decoders.dpt.decoder import (  # type: ignore[import-untyped]
    ReassembleBlock,
    ResidualConvBlock,
)
from torch import Tensor, nn

from bench.core import Layer
from bench.decoders.parts.norms import convolution, with_group_norm
from bench.decoders.parts.pyramid import resized


class Fusion(nn.Module):
    """Two residual units around the sum of a map and what comes from the coarser ones (fig. 1, right).

    Args:
        width: of all.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = with_group_norm(ResidualConvBlock(width))
        self.both = with_group_norm(ResidualConvBlock(width))
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, grid: Tensor, coarser: Tensor | None, size: Sequence[int]) -> Tensor:
        """Return (B, width, H, W) at a size, from (B, width, h, w) and what the coarser maps gave at h x w."""
        grid = self.own(grid)
        grid = self.both(grid if coarser is None else grid + coarser)
        # The 1 x 1 convolution commutes with the interpolation: first, it costs a quarter.
        return resized(self.project(grid), size)


class DPT(nn.Module):
    """Grids -> one map at half of the finest stride.

    Args:
        layers: four, shallow to deep.
        finest: stride of the first reassembled map in input pixels; each next one is twice as coarse.
        width: of the fusion.
    """

    def __init__(self, layers: Sequence[Layer], finest: float, width: int) -> None:
        super().__init__()
        # As the paper's (256, 512, 1024, 1024) of ViT-L, in parts of its width.
        middle = [max(8, round(layer.channels * part)) for layer, part in zip(layers, (0.25, 0.5, 1, 1), strict=True)]
        self.reassemble = nn.ModuleList(
            ReassembleBlock(layer.channels, middle[i], width, upsample_factor=layer.stride / (finest * 2**i))
            for i, layer in enumerate(layers)
        )
        self.fuse = nn.ModuleList(Fusion(width) for _ in layers)
        self.head = convolution(width, width)

    def forward(self, grids: Sequence[Tensor]) -> Tensor:
        """Return (B, width, 2 h, 2 w), twice as fine as the first reassembled map."""
        maps = [step(grid) for step, grid in zip(self.reassemble, grids, strict=True)]
        sizes = [[2 * side for side in maps[0].shape[-2:]], *(grid.shape[-2:] for grid in maps[:-1])]
        found: Tensor | None = None
        for grid, fuse, size in zip(reversed(maps), self.fuse, reversed(sizes), strict=True):
            found = fuse(grid, found, size)
        fused: Tensor = self.head(found)
        return fused
