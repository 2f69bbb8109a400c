"""SegFormer head: four maps each through a linear layer, brought to the finest, concatenated and fused by another.

The network is that of segmentation-models-pytorch with group norm for batch norm. Of a plain ViT the four maps come
from `bench.decoders._pyramid`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Kind, Layer, Task
from bench.decoders._contract import accept

if TYPE_CHECKING:
    from torch import nn

KINDS: tuple[Kind, ...] = ("segmentation", "change", "dense_regression")
LEVELS = 4
REFERENCE = "Xie et al. 2021, arXiv 2105.15203, sec. 3.2"
WIDTH = 256


def build(
    layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int], width: int = WIDTH
) -> nn.Module:
    """Return the decoder: ``(taps, size)`` -> (B, outputs, H, W).

    Args:
        layers: four, shallow to deep.
        task: of a kind in `KINDS`.
        outputs: classes, or 1 for values.
        image: not used.
        width: channels inside.
    """
    from bench.decoders._dense import Dense
    from bench.decoders._pyramid import Pyramid
    from bench.decoders._smp_networks import Segformer

    accept("segformer", layers, task, kinds=KINDS, levels=LEVELS)
    neck = Pyramid(layers)
    return Dense(neck, Segformer(neck.channels, width), width=width, outputs=outputs)
