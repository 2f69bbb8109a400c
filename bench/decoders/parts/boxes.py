"""What the detectors share: a pyramid of four maps, and boxes converted to and from a frame of coordinates.

torchvision's parts infer strides from sizes by integer division and round them to powers of two, which puts boxes in
the wrong place for patches of 14 and for odd grids. Detectors therefore work in their own frame of coordinates. In the
frame the maps have strides 4, 8, 16 and 32, whatever these are in pixels, and anchors lie at the centres of cells.
Boxes are scaled when they enter and leave it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork

from bench.core import Layer, Tap
from bench.core.errors import Incompatible
from bench.decoders.parts.anchors import STRIDES
from bench.decoders.parts.norms import group_norm
from bench.decoders.parts.pyramid import Pyramid, finest_stride, is_pyramid

MOST_CELLS = 64  # largest number of cells per side of a finest map with a stride below 4 pixels
SCORE = 0.01  # lowest score of a box that is kept
BOXES = 100  # largest number of boxes per image, as in COCO's evaluation
Boxes = dict[str, Tensor]


def finest_map(layers: Sequence[Layer], image: tuple[int, int]) -> float:
    """Return the stride in pixels of the finest map.

    For a network that is a pyramid it is that of `bench.decoders.parts.pyramid.finest_stride`. Otherwise it is a
    quarter of the patch, as in ViTDet (arXiv 2203.16527). For patches below 16 pixels it is larger where a quarter
    would be finer than 4 pixels and give more than `MOST_CELLS` cells per side.

    Args:
        layers: the layers that the detector is given, shallow to deep.
        image: (H, W) of the network's input in pixels.
    """
    if is_pyramid(layers):
        return finest_stride(layers)
    stride = layers[-1].stride
    factor = 4
    while factor > 1 and stride / factor < 4 and max(image) * factor > MOST_CELLS * stride:
        factor //= 2
    return stride / factor


class Neck(nn.Module):
    """Four maps of equal width from the taps: a simple feature pyramid of the last grid, or an FPN over native maps.

    Args:
        layers: four, shallow to deep; of a network with a single stride only the last is read.
        finest: see `finest_map`.
        width: number of channels of each map.

    Attributes:
        reads: positions of the taps that are read.
    """

    def __init__(self, layers: Sequence[Layer], finest: float, width: int) -> None:
        super().__init__()
        native = is_pyramid(layers)
        self.reads = tuple(range(len(layers))) if native else (len(layers) - 1,) * len(STRIDES)
        self.pyramid = Pyramid([layers[index] for index in self.reads], finest)
        channels = list(self.pyramid.channels)
        self.join = FeaturePyramidNetwork(channels, width, norm_layer=group_norm) if native else None
        self.each = nn.ModuleList(_lateral(count, width) for count in ([] if native else channels))

    def forward(self, taps: Sequence[Tap]) -> OrderedDict[str, Tensor]:
        """Return maps (B, width, h, w) in float32, fine to coarse, with the names ``"0"`` to ``"3"``."""
        maps = self.pyramid([taps[index].grid for index in self.reads])
        if self.join is None:
            maps = [step(grid) for step, grid in zip(self.each, maps, strict=True)]
        named = OrderedDict((str(i), grid) for i, grid in enumerate(maps))
        joined = named if self.join is None else self.join(named)
        return OrderedDict((name, grid.float()) for name, grid in joined.items())


def _lateral(channels: int, width: int) -> nn.Sequential:
    """Return ViTDet's convolutions of 1 x 1 and 3 x 3, each with a norm (appendix A.2); there is no top-down path."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 1, bias=False),
        group_norm(width),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        group_norm(width),
    )


class Head(Protocol):
    """The part of a detector that predicts boxes from four maps."""

    def __call__(
        self, maps: OrderedDict[str, Tensor], images: ImageList, targets: list[Boxes] | None
    ) -> dict[str, Tensor] | list[Boxes]:
        """Return losses in training mode, else the boxes of each image, in the frame and with labels from 0."""
        ...


class Detector(nn.Module):
    """A neck and a head. Its inputs and outputs have boxes in pixels of the labels; inside, boxes are in the frame.

    Args:
        layers: four, shallow to deep.
        image: (H, W) of the network's input in pixels.
        neck: taps -> four maps.
        head: see `Head`.
        classes: K.
    """

    def __init__(
        self, layers: Sequence[Layer], image: tuple[int, int], neck: Neck, head: nn.Module, *, classes: int
    ) -> None:
        super().__init__()
        self.neck = neck
        self.head = head
        self.classes = classes
        self.frame = frame_of(layers, image)

    @property
    def reads(self) -> tuple[int, ...]:
        """Positions of the taps that are read, each once."""
        return tuple(sorted(set(self.neck.reads)))

    def forward(
        self, taps: Sequence[Tap], size: tuple[int, int], targets: Sequence[Mapping[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[Boxes]:
        """Return losses by name in training mode; else ``boxes``, ``scores`` and ``labels`` of each image, best first.

        Args:
            taps: one per layer, shallow to deep.
            size: (H, W) of the images in whose pixels boxes are given and returned.
            targets: ``boxes`` (N, 4) as x1 y1 x2 y2 and ``labels`` (N,) int64 from 0, for each image; N may be 0.

        Raises:
            Incompatible: training without targets, with a box that has no area, or with a label beyond the classes.
        """
        return self.on_maps(self.neck(taps), size, targets)

    def on_maps(
        self,
        maps: OrderedDict[str, Tensor],
        size: tuple[int, int],
        targets: Sequence[Mapping[str, Tensor]] | None = None,
    ) -> dict[str, Tensor] | list[Boxes]:
        """Return what `forward` does, from the maps of the neck."""
        grid = maps["0"]
        scale = grid.new_tensor([self.frame[1] / size[1], self.frame[0] / size[0]] * 2)
        framed = _framed(targets, scale, self.classes) if self.training else None
        images = ImageList(grid, [self.frame] * len(grid))
        # Coordinates need more than the eight bits of bfloat16, and torchvision computes them in the precision of maps.
        with torch.autocast(grid.device.type, enabled=False):
            output: dict[str, Tensor] | list[Boxes] = self.head(maps, images, framed)
        if isinstance(output, dict):
            return output
        return [{**detected, "boxes": detected["boxes"] / scale} for detected in output]


def frame_of(layers: Sequence[Layer], image: tuple[int, int]) -> tuple[float, float]:
    """Return (height, width) of an image in the frame, in which a cell of the finest map has a side of 4.

    Args:
        layers: see `finest_map`.
        image: see `finest_map`.
    """
    unit = STRIDES[0] / finest_map(layers, image)
    return image[0] * unit, image[1] * unit


def _framed(targets: Sequence[Mapping[str, Tensor]] | None, scale: Tensor, classes: int) -> list[Boxes]:
    """Return the targets with boxes in the frame.

    Args:
        targets: see `Detector.forward`.
        scale: (4,), frame units per pixel of x, y, x, y.
        classes: K.

    Raises:
        Incompatible: see `Detector.forward`.
    """
    if targets is None:
        raise Incompatible("a detector needs targets in training mode; none were given")
    framed = []
    for index, target in enumerate(targets):
        boxes = target["boxes"].to(scale).reshape(-1, 4) * scale
        if bool((boxes[:, 2:] <= boxes[:, :2]).any()):
            raise Incompatible(f"image {index} of the batch has a box without area: {target['boxes'].tolist()}")
        labels = target["labels"].to(scale.device, torch.int64).reshape(-1)
        if len(labels) != len(boxes) or bool(((labels < 0) | (labels >= classes)).any()):
            raise Incompatible(
                f"image {index} of the batch: each of its {len(boxes)} boxes needs a label of 0..{classes - 1}; "
                f"given {labels.tolist()}"
            )
        framed.append({"boxes": boxes, "labels": labels})
    return framed
