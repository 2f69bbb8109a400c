"""Light multi-scale: four layers' grids each through a linear layer, added at the finest grid, one 3 x 3 convolution.

Adding linear maps of the parts is a linear map of their concatenation, the multi-layer linear head of DINOv2 (sec.
7.4), to which this adds one convolution. It upsamples nothing but its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Layer, Task
from bench.decoders.parts.contract import DENSE, Decoder

if TYPE_CHECKING:
    from torch import nn

WIDTH = 256


def build(
    layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int], width: int = WIDTH
) -> nn.Module:
    """Return the decoder: ``(taps, size)`` -> (B, outputs, H, W).

    Args:
        layers: four, shallow to deep.
        task: of a kind that it serves.
        outputs: classes, or 1 for values.
        image: not used.
        width: channels inside.
    """
    from bench.decoders.parts.dense import Dense, SumFuse
    from bench.decoders.parts.pyramid import Standardised

    DECODER.accept("light", layers, task)
    neck = Standardised(layers)
    return Dense(neck, SumFuse(neck.channels, width), width=width, outputs=outputs)


DECODER = Decoder(
    kinds=DENSE,
    layers_read=4,
    reference="after Oquab et al. 2023, arXiv 2304.07193 (linear head on four concatenated layers)",
    build=build,
)
