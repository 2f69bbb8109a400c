"""U-Net decoder: from the coarsest map on, each step doubles the map, concatenates the next finer one, convolves twice.

The network is that of segmentation-models-pytorch with group norm instead of batch norm. For a plain ViT,
`bench.decoders.parts.pyramid` makes the four maps (as in UNETR, arXiv 2103.10504). The last step doubles the map
without a finer one to concatenate.
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
        width: number of channels after the first step, halved at each of the three that follow.
    """
    from bench.decoders.parts.dense import Dense
    from bench.decoders.parts.from_smp import unet
    from bench.decoders.parts.pyramid import Pyramid

    DECODER.accept("unet", layers, task)
    neck = Pyramid(layers)
    return Dense(neck, unet(neck.channels, width), width=width // 8, outputs=outputs)


DECODER = Decoder(kinds=DENSE, layers_read=4, reference="Ronneberger et al. 2015, arXiv 1505.04597", build=build)
