"""FCN head: two 3 x 3 convolutions on the grid of one layer, then a linear classifier and bilinear upsampling."""

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
        layers: the only layer it reads.
        task: of one of the kinds it serves.
        outputs: number of classes or values.
        image: not used.
        width: number of channels inside the decoder.
    """
    from bench.decoders.parts.dense import Dense, OnlyMap
    from bench.decoders.parts.norms import convolution
    from bench.decoders.parts.pyramid import Standardised

    DECODER.accept("fcn", layers, task)
    body = OnlyMap(convolution(layers[0].channels, width), convolution(width, width))
    return Dense(Standardised(layers), body, width=width, outputs=outputs)


DECODER = Decoder(
    kinds=DENSE,
    layers_read=1,
    reference="Long et al. 2015, arXiv 1411.4038; two convolutions of 256 channels as the FCN head of MMSegmentation",
    build=build,
)
