"""A feature pyramid and the semantic branch of Panoptic FPN."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from bench.decoders.parts.norms import convolution
from bench.decoders.parts.pyramid import resized


class FPN(nn.Module):
    """torchvision's ``FeaturePyramidNetwork``, whose maps are convolved, doubled up to the finest and added.

    Args:
        channels: number of channels of the maps, fine to coarse.
        width: number of channels of the pyramid; the branch has half as many.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.pyramid = FeaturePyramidNetwork(list(channels), width)
        # The finest map is convolved once, the next once and doubled, the third twice, and so on (sec. 3.1, fig. 3).
        self.branches = nn.ModuleList(
            nn.Sequential(
                *(convolution(width if step == 0 else width // 2, width // 2) for step in range(max(1, level)))
            )
            for level in range(len(channels))
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (B, width // 2, h, w) at the size of the finest map."""
        levels = list(self.pyramid(OrderedDict((str(i), grid) for i, grid in enumerate(maps))).values())
        sizes = [level.shape[-2:] for level in levels]
        upsampled = []
        for place, (grid, branch) in enumerate(zip(levels, self.branches, strict=True)):
            for step, block in enumerate(branch.children()):
                grid = resized(block(grid), sizes[max(0, place - step - 1)])
            upsampled.append(grid)
        return torch.stack(upsampled).sum(0)
