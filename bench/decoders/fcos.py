"""FCOS: class, box and centre-ness for each cell of a feature pyramid, without anchors.

The head is torchvision's, over the pyramid of `bench.decoders.parts.boxes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Layer, Task
from bench.decoders.parts.contract import Decoder

if TYPE_CHECKING:
    from torch import nn

WIDTH = 128


def build(
    layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int], width: int = WIDTH
) -> nn.Module:
    """Return the detector, a module ``(taps, size, targets)`` -> losses in training mode, else the boxes of each image.

    Args:
        layers: four, shallow to deep; of a network with a single stride only the last is read.
        task: of one of the kinds it serves.
        outputs: number of classes.
        image: (H, W) of the network's input in pixels.
        width: number of channels inside the decoder, a multiple of 32.
    """
    from bench.decoders.parts.box_heads import fcos
    from bench.decoders.parts.boxes import Detector, Neck, finest_map

    DECODER.accept("fcos", layers, task)
    neck = Neck(layers, finest_map(layers, image), width)
    head = fcos(outputs, width)
    return Detector(layers, image, neck, head, classes=outputs)


DECODER = Decoder(
    kinds=("detection",),
    layers_read=4,
    reference="Tian et al. 2019, arXiv 1904.01355; pyramids of arXiv 2203.16527 (one stride) and 1612.03144 (several)",
    build=build,
)
