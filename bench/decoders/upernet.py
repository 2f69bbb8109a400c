"""UPerNet: pyramid pooling on the coarsest map, a feature pyramid over the others, all fused at the finest.

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
REFERENCE = "Xiao et al. 2018, arXiv 1807.10221"
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
    from bench.decoders._smp_networks import UPerNet

    accept("upernet", layers, task, kinds=KINDS, levels=LEVELS)
    neck = Pyramid(layers)
    return Dense(neck, UPerNet(neck.channels, width), width=width, outputs=outputs)
