"""A pyramid of maps, each twice as coarse as the one before, from the grids of four layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Layer
from bench.decoders.parts.norms import Standardise, group_norm

NARROWEST = 32  # number of channels below which upsampling does not halve them


def is_pyramid(layers: Sequence[Layer]) -> bool:
    """Return whether layers differ in stride, as in a convolutional network or a Swin, unlike in a plain ViT."""
    return len({layer.stride for layer in layers}) > 1


def finest_stride(layers: Sequence[Layer]) -> float:
    """Return the stride of the first map of a pyramid, in input pixels.

    It is the finest stride of the layers divided by the power of two that brings it nearest to 4 pixels: 4 for patches
    of 4, 8, 16 and 32, and 3.5 for patches of 14. The maps then have strides 4, 8, 16 and 32, as in the papers of the
    decoders. A convolutional network tapped at its stages already has these. Strides below 4 pixels are kept.
    """
    finest = min(layer.stride for layer in layers)
    return float(finest / 2 ** max(0, round(math.log2(finest / 4))))


class Resample(nn.Module):
    """Changes the stride of a grid: learned upsampling by deconvolutions, downsampling by max pooling.

    This is the simple feature pyramid of ViTDet (Li et al. 2022, arXiv 2203.16527, sec. 3). For each doubling there is
    a deconvolution with kernel and step 2 that halves the channels, with a norm and GELU between two of them. For each
    halving there is max pooling with kernel and step 2, which rounds odd sizes up. Grids are interpolated if the ratio
    is no power of two.

    Args:
        channels: number of channels of the grid.
        ratio: its stride divided by the new stride; 4.0 makes the grid four times as fine.

    Attributes:
        channels: number of channels of the result.
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
        """Return the resampled grid (B, D, h, w)."""
        grid = self.up(grid)
        for _ in range(self.down):
            grid = functional.max_pool2d(grid, 2, ceil_mode=True)
        if self.rest != 1.0:
            size = [max(1, round(side * self.rest)) for side in grid.shape[-2:]]
            grid = functional.interpolate(grid, size, mode="bilinear", align_corners=False)
        return grid


class Standardised(nn.Module):
    """Standardises the grids of layers, per channel.

    Args:
        layers: the layers that the grids belong to.

    Attributes:
        channels: number of channels of each grid.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(Standardise(layer.channels) for layer in layers)
        self.channels = tuple(layer.channels for layer in layers)

    def forward(self, grids: Sequence[Tensor]) -> list[Tensor]:
        """Return the standardised grids, in the same order and shapes."""
        return [norm(grid) for norm, grid in zip(self.norms, grids, strict=True)]


class Pyramid(nn.Module):
    """One map from the grid of each layer, at strides ``finest * (1, 2, 4, ...)``, fine to coarse.

    The shallowest layer gives the finest map. Grids of a network that is a pyramid itself keep their size where they
    already have these strides.

    Args:
        layers: the layers that the grids belong to, shallow to deep.
        finest: stride of the first map in input pixels; by default that of `finest_stride`.

    Attributes:
        channels: number of channels of each map.
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
    """Return a grid (B, D, h, w) interpolated to (H, W): bilinear, corners not aligned, as in the probes."""
    if tuple(grid.shape[-2:]) == tuple(size):
        return grid
    return functional.interpolate(grid, (size[0], size[1]), mode="bilinear", align_corners=False)
