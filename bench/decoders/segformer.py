"""SegFormer head: a linear layer per map; the four results are upsampled to the finest, concatenated and fused.

The network is that of segmentation-models-pytorch with group norm instead of batch norm. For a plain ViT,
`bench.decoders.parts.pyramid` makes the four maps.
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
    from bench.decoders.parts.dense import Dense
    from bench.decoders.parts.from_smp import segformer
    from bench.decoders.parts.pyramid import Pyramid

    DECODER.accept("segformer", layers, task)
    neck = Pyramid(layers)
    return Dense(neck, segformer(neck.channels, width), width=width, outputs=outputs)


DECODER = Decoder(kinds=DENSE, layers_read=4, reference="Xie et al. 2021, arXiv 2105.15203, sec. 3.2", build=build)
