"""The structure of every dense decoder: grids to one map, a linear classifier, bilinear upsampling to the labels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.core import Tap
from bench.decoders.parts.norms import convolution, small_start
from bench.decoders.parts.pyramid import resized


class Dense(nn.Module):
    """A dense decoder. It has no dropout: regularisation belongs to the training loop and is equal for every decoder.

    Args:
        neck: list of grids -> list of maps.
        body: list of maps -> one map (B, width, h, w).
        width: number of channels of that map.
        outputs: number of classes, or 1 for values.
    """

    def __init__(self, neck: nn.Module, body: nn.Module, *, width: int, outputs: int) -> None:
        super().__init__()
        self.neck = neck
        self.body = body
        self.classifier = small_start(nn.Conv2d(width, outputs, 1))

    def forward(self, taps: Sequence[Tap], size: tuple[int, int]) -> Tensor:
        """Return logits or values (B, outputs, H, W) in float32.

        Args:
            taps: one per layer, shallow to deep.
            size: (H, W) of the labels.
        """
        maps = self.neck([tap.grid for tap in taps])
        return resized(self.classifier(self.body(maps)).float(), size)


class OnlyMap(nn.Module):
    """The body of a decoder that reads one layer: steps applied to its only map.

    Args:
        steps: modules, in order.
    """

    def __init__(self, *steps: nn.Module) -> None:
        super().__init__()
        self.steps = nn.Sequential(*steps)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the output of the last step."""
        (grid,) = maps
        output: Tensor = self.steps(grid)
        return output


class SumFuse(nn.Module):
    """A linear layer per map, the sum of their outputs at the size of the finest map, then ReLU and one convolution.

    Args:
        channels: number of channels of each map.
        width: number of channels of the result.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(count, width, 1, bias=not i) for i, count in enumerate(channels))
        self.fuse = nn.Sequential(nn.ReLU(), convolution(width, width))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (B, width, h, w) at the size of the finest map."""
        size = max((grid.shape[-2:] for grid in maps), key=lambda side: side[0] * side[1])
        parts = [resized(step(grid), size) for step, grid in zip(self.project, maps, strict=True)]
        fused: Tensor = self.fuse(sum(parts[1:], parts[0]))
        return fused
