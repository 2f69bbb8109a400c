"""U-Net decoder: from the coarsest map up, each step doubles the map, joins the next finer one and convolves twice.

The network is that of segmentation-models-pytorch with group norm for batch norm. Of a plain ViT the four maps come
from `bench.decoders.parts.pyramid` (as UNETR has it, arXiv 2103.10504). A last doubling without a partner ends it.
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
        width: channels after the first step, halved at each of the three that follow.
    """
    from bench.decoders.parts.dense import Dense
    from bench.decoders.parts.from_smp import UNet
    from bench.decoders.parts.pyramid import Pyramid

    DECODER.accept("unet", layers, task)
    neck = Pyramid(layers)
    return Dense(neck, UNet(neck.channels, width), width=width // 8, outputs=outputs)


DECODER = Decoder(kinds=DENSE, layers_read=4, reference="Ronneberger et al. 2015, arXiv 1505.04597", build=build)
