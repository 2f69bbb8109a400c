"""The frame every dense decoder shares: grids to one map, a linear classifier, bilinear upsampling to the labels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.core import Tap
from bench.decoders.parts.norms import convolution, small_start
from bench.decoders.parts.pyramid import resized


class Dense(nn.Module):
    """A dense decoder. There is no dropout: regularisation is the training loop's, alike for every decoder.

    Args:
        neck: list of grids -> list of maps.
        body: list of maps -> one map (B, width, h, w).
        width: channels of that map.
        outputs: classes, or 1 for values.
    """

    def __init__(self, neck: nn.Module, body: nn.Module, *, width: int, outputs: int) -> None:
        super().__init__()
        self.neck = neck
        self.body = body
        self.classifier = small_start(nn.Conv2d(width, outputs, 1))

    def forward(self, taps: Sequence[Tap], size: tuple[int, int]) -> Tensor:
        """Return logits or values (B, outputs, H, W) in float32.

        Args:
            taps: one a layer, shallow to deep.
            size: (H, W).
        """
        maps = self.neck([tap.grid for tap in taps])
        return resized(self.classifier(self.body(maps)).float(), size)


class One(nn.Module):
    """Some steps on the only map of a list.

    Args:
        steps: in order.
    """

    def __init__(self, *steps: nn.Module) -> None:
        super().__init__()
        self.steps = nn.Sequential(*steps)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return what the steps make of the only map."""
        (grid,) = maps
        found: Tensor = self.steps(grid)
        return found


class SumFuse(nn.Module):
    """Each map through a linear layer, all brought to the finest, added up; then norm, ReLU and one convolution.

    Args:
        channels: of each map.
        width: of what it returns.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(count, width, 1, bias=not i) for i, count in enumerate(channels))
        self.fuse = nn.Sequential(nn.ReLU(), convolution(width, width))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (B, width, h, w) at the size of the finest map."""
        size = max((grid.shape[-2:] for grid in maps), key=lambda side: side[0] * side[1])
        parts = [resized(step(grid), size) for step, grid in zip(self.project, maps, strict=True)]
        found: Tensor = self.fuse(sum(parts[1:], parts[0]))
        return found
