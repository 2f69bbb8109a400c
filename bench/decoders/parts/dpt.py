"""DPT's reassembly and fusion, for any grid.

The blocks are those of segmentation-models-pytorch. Its decoder as a whole doubles maps exactly and rounds the ratio of
a patch to a stride of 4, which suits neither odd grids nor patches of 14. The fusion here resizes to the next finer
map.
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
    """Two residual units around the sum of a map and the result of the coarser ones (fig. 1, right).

    Args:
        width: number of channels of every map.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = with_group_norm(ResidualConvBlock(width))
        self.both = with_group_norm(ResidualConvBlock(width))
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, grid: Tensor, coarser: Tensor | None, size: Sequence[int]) -> Tensor:
        """Return (B, width, H, W) from a map (B, width, h, w) and the result of the coarser maps, also h x w.

        Args:
            grid: the map.
            coarser: the result of the coarser maps, None for the coarsest.
            size: (H, W).
        """
        grid = self.own(grid)
        grid = self.both(grid if coarser is None else grid + coarser)
        # The 1 x 1 convolution commutes with the interpolation; before it, it costs a quarter.
        return resized(self.project(grid), size)


class DPT(nn.Module):
    """Reassembles grids as maps and fuses them into one map at half of the finest stride.

    Args:
        layers: four, shallow to deep.
        finest: stride of the first reassembled map in input pixels; each next map is twice as coarse.
        width: number of channels of the fusion.
    """

    def __init__(self, layers: Sequence[Layer], finest: float, width: int) -> None:
        super().__init__()
        # The paper's (256, 512, 1024, 1024) for ViT-L, as shares of its width.
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
        fused: Tensor | None = None
        for grid, fuse, size in zip(reversed(maps), self.fuse, reversed(sizes), strict=True):
            fused = fuse(grid, fused, size)
        output: Tensor = self.head(fused)
        return output
