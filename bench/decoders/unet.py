"""U-Net decoder: from the coarsest map up, each step doubles the map, joins the next finer one and convolves twice.

The network is that of segmentation-models-pytorch with group norm for batch norm. Of a plain ViT the four maps come
from `bench.decoders._pyramid` (as UNETR has it, arXiv 2103.10504). A last doubling without a partner ends it.
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
REFERENCE = "Ronneberger et al. 2015, arXiv 1505.04597"
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
        width: channels after the first step, halved at each of the three that follow.
    """
    from bench.decoders._dense import Dense
    from bench.decoders._pyramid import Pyramid
    from bench.decoders._smp_networks import UNet

    accept("unet", layers, task, kinds=KINDS, levels=LEVELS)
    neck = Pyramid(layers)
    return Dense(neck, UNet(neck.channels, width), width=width // 8, outputs=outputs)
