"""SegFormer head: four maps each through a linear layer, brought to the finest, concatenated and fused by another.

The network is that of segmentation-models-pytorch with group norm for batch norm. Of a plain ViT the four maps come
from `bench.decoders.parts.pyramid`.
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
    from bench.decoders.parts.dense import Dense
    from bench.decoders.parts.from_smp import Segformer
    from bench.decoders.parts.pyramid import Pyramid

    DECODER.accept("segformer", layers, task)
    neck = Pyramid(layers)
    return Dense(neck, Segformer(neck.channels, width), width=width, outputs=outputs)


DECODER = Decoder(kinds=DENSE, layers_read=4, reference="Xie et al. 2021, arXiv 2105.15203, sec. 3.2", build=build)
