"""Light multi-scale: the grids of four layers, each through a linear layer, are added at the finest and convolved once.

The sum of linear maps of the parts is a linear map of their concatenation, which is the multi-layer linear head of
DINOv2 (sec. 7.4); this decoder adds one 3 x 3 convolution. It upsamples to the labels only once, at its output.
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
    """Return the decoder, a module ``(taps, size)`` -> (B, outputs, H, W).

    Args:
        layers: four, shallow to deep.
        task: of one of the kinds it serves.
        outputs: number of classes, or 1 for values.
        image: not used.
        width: number of channels inside the decoder.
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
