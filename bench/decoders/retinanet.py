"""RetinaNet: classes and boxes directly from anchors on a feature pyramid, trained with focal loss.

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
        width: number of channels inside the decoder.
    """
    from bench.decoders.parts.box_heads import retinanet
    from bench.decoders.parts.boxes import Detector, Neck, finest_map, frame_of

    DECODER.accept("retinanet", layers, task)
    neck = Neck(layers, finest_map(layers, image), width)
    head = retinanet(outputs, width, min(frame_of(layers, image)))
    return Detector(layers, image, neck, head, classes=outputs)


DECODER = Decoder(
    kinds=("detection",),
    layers_read=4,
    reference="Lin et al. 2017, arXiv 1708.02002; pyramids of arXiv 2203.16527 (one stride) and 1612.03144 (several)",
    build=build,
)
