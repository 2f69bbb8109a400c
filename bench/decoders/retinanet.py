"""RetinaNet: classes and boxes straight from anchors on a feature pyramid, by focal loss.

torchvision's head over the pyramid of `bench.decoders.parts.boxes`.
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
    """Return the detector: ``(taps, size, targets)`` -> losses in training mode, else the boxes of each image.

    Args:
        layers: four, shallow to deep; of a network with one stride only the last is read.
        task: of a kind that it serves.
        outputs: classes.
        image: (H, W) of the network's input in pixels.
        width: channels inside.
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
