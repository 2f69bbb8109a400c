"""FPN: a feature pyramid, and the semantic branch of Panoptic FPN, which upsamples each map to the finest by doublings.

The feature pyramid is torchvision's. The branch is implemented here, because the decoder of segmentation-models-pytorch
doubles maps exactly and therefore takes no pyramid with an odd side.
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
        width: number of channels of the pyramid; the semantic branch has half as many.
    """
    from bench.decoders.parts.dense import Dense
    from bench.decoders.parts.fpn import FPN
    from bench.decoders.parts.pyramid import Pyramid

    DECODER.accept("fpn", layers, task)
    neck = Pyramid(layers)
    return Dense(neck, FPN(neck.channels, width), width=width // 2, outputs=outputs)


DECODER = Decoder(
    kinds=DENSE,
    layers_read=4,
    reference="Lin et al. 2017, arXiv 1612.03144; Kirillov et al. 2019, arXiv 1901.02446, sec. 3.1",
    build=build,
)
