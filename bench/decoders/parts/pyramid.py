"""From the grids of four layers to a pyramid of maps, each twice as coarse as the one before."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Layer
from bench.decoders.parts.norms import Standardise, group_norm

NARROWEST = 32  # channels below which upsampling halves no further


def is_pyramid(layers: Sequence[Layer]) -> bool:
    """Return whether layers differ in stride (a convolutional network or a Swin), unlike those of a plain ViT."""
    return len({layer.stride for layer in layers}) > 1


def finest_stride(layers: Sequence[Layer]) -> float:
    """Return the stride of the first map of a pyramid, in input pixels.

    It is the part of the layers' finest, by a power of two, that comes nearest to 4 pixels: 4 for patches of 4, 8, 16
    and 32 and 3.5 for 14, so that maps have strides 4, 8, 16 and 32, as the decoders' papers have. A convolutional
    network tapped at its stages has those already. What is finer than 4 pixels is not thinned out.
    """
    finest = min(layer.stride for layer in layers)
    return float(finest / 2 ** max(0, round(math.log2(finest / 4))))


class Resample(nn.Module):
    """Changes a grid's stride: learned upsampling by deconvolutions, downsampling by max pooling.

    As the simple feature pyramid of ViTDet (Li et al. 2022, arXiv 2203.16527, sec. 3): a deconvolution of kernel and
    step 2 for each doubling, halving the channels, with norm and GELU between two; max pooling of kernel and step 2 for
    each halving, which rounds odd sizes up. A ratio that is no power of two is interpolated.

    Args:
        channels: of the grid.
        ratio: its stride by the stride wanted: 4.0 makes it four times as fine.

    Attributes:
        channels: of what it returns.
    """

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        steps = math.log2(ratio)
        self.rest = 1.0 if steps.is_integer() else ratio
        self.up = nn.Sequential()
        for step in range(max(0, int(steps)) if self.rest == 1.0 else 0):
            if step:
                self.up += nn.Sequential(group_norm(channels), nn.GELU())
            narrow = min(channels, max(channels // 2, NARROWEST))
            self.up.append(nn.ConvTranspose2d(channels, narrow, 2, stride=2))
            channels = narrow
        self.down = max(0, -int(steps)) if self.rest == 1.0 else 0
        self.channels = channels

    def forward(self, grid: Tensor) -> Tensor:
        """Return (B, D, h, w) resampled."""
        grid = self.up(grid)
        for _ in range(self.down):
            grid = functional.max_pool2d(grid, 2, ceil_mode=True)
        if self.rest != 1.0:
            size = [max(1, round(side * self.rest)) for side in grid.shape[-2:]]
            grid = functional.interpolate(grid, size, mode="bilinear", align_corners=False)
        return grid


class Standardised(nn.Module):
    """The grids of some layers, each standardised a channel.

    Args:
        layers: whose grids they are.

    Attributes:
        channels: of each.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(Standardise(layer.channels) for layer in layers)
        self.channels = tuple(layer.channels for layer in layers)

    def forward(self, grids: Sequence[Tensor]) -> list[Tensor]:
        """Return one (B, D, h, w) for each given."""
        return [norm(grid) for norm, grid in zip(self.norms, grids, strict=True)]


class Pyramid(nn.Module):
    """One map from each layer's grid, at strides ``finest * (1, 2, 4, ...)``, fine to coarse.

    The shallowest layer gives the finest map. Maps of a network that is a pyramid itself pass as they are where their
    strides are those.

    Args:
        layers: whose grids it is given, shallow to deep.
        finest: stride of the first map in input pixels; that of `finest_stride` by default.

    Attributes:
        channels: of each map.
    """

    def __init__(self, layers: Sequence[Layer], finest: float = 0.0) -> None:
        super().__init__()
        finest = finest or finest_stride(layers)
        self.entrance = Standardised(layers)
        steps = [Resample(layer.channels, layer.stride / (finest * 2**i)) for i, layer in enumerate(layers)]
        self.steps = nn.ModuleList(steps)
        self.channels = tuple(step.channels for step in steps)

    def forward(self, grids: Sequence[Tensor]) -> list[Tensor]:
        """Return maps (B, D_i, h_i, w_i), fine to coarse."""
        return [step(grid) for step, grid in zip(self.steps, self.entrance(grids), strict=True)]


def resized(grid: Tensor, size: Sequence[int] | torch.Size) -> Tensor:
    """Return (B, D, h, w) at (H, W), bilinearly, corners not aligned (as the probes and labels have it)."""
    if tuple(grid.shape[-2:]) == tuple(size):
        return grid
    return functional.interpolate(grid, (size[0], size[1]), mode="bilinear", align_corners=False)
