"""Faster R-CNN: proposals from anchors on a feature pyramid, then classes and boxes of what is pooled from each.

torchvision's proposal network and region heads over the pyramid of `bench.decoders._boxes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Kind, Layer, Task
from bench.decoders._contract import accept

if TYPE_CHECKING:
    from torch import nn

KINDS: tuple[Kind, ...] = ("detection",)
LEVELS = 4
REFERENCE = "Ren et al. 2015, arXiv 1506.01497; pyramids of arXiv 2203.16527 (one stride) and 1612.03144 (several)"
WIDTH = 128


def build(
    layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int], width: int = WIDTH
) -> nn.Module:
    """Return the detector: ``(taps, size, targets)`` -> losses in training mode, else the boxes of each image.

    Args:
        layers: four, shallow to deep; of a network with one stride only the last is read.
        task: of a kind in `KINDS`.
        outputs: classes.
        image: (H, W) of the network's input in pixels.
        width: channels inside.
    """
    from bench.decoders._box_heads import TwoStage
    from bench.decoders._boxes import Detector, Neck, finest_map, frame_of

    accept("faster_rcnn", layers, task, kinds=KINDS, levels=LEVELS)
    neck = Neck(layers, finest_map(layers, image), width)
    head = TwoStage(outputs, width, min(frame_of(layers, image)))
    return Detector(layers, image, neck, head, classes=outputs)
