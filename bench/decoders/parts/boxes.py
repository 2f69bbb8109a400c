"""What the detectors share: a pyramid of four maps, anchors on it, and boxes to and from its own frame of coordinates.

torchvision's parts infer strides from sizes by whole division and round them to powers of two, which puts boxes in the
wrong place for patches of 14 and for odd grids. So detectors work in a frame of their own, in which the maps have
strides 4, 8, 16 and 32 whatever those are in pixels, with anchors at the centres of cells; boxes are scaled on the way
in and out.
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

MOST_CELLS = 64  # a side of the finest map, where that would be finer than 4 pixels
SCORE = 0.01  # least score of a box that is kept
BOXES = 100  # most boxes an image, as COCO counts them
Boxes = dict[str, Tensor]


def finest_map(layers: Sequence[Layer], image: tuple[int, int]) -> float:
    """Return the stride in pixels of the finest map.

    That of `finest_stride` where the network is a pyramid; else a quarter of the patch, as ViTDet (arXiv 2203.16527),
    but of patches under 16 no finer than 4 pixels where that would make more than `MOST_CELLS` cells a side.
    """
    if is_pyramid(layers):
        return finest_stride(layers)
    stride = layers[-1].stride
    factor = 4
    while factor > 1 and stride / factor < 4 and max(image) * factor > MOST_CELLS * stride:
        factor //= 2
    return stride / factor


class Neck(nn.Module):
    """Four maps of one width from the taps: a simple feature pyramid from the last grid, or an FPN over a native one.

    Args:
        layers: four, shallow to deep; of a network with one stride the last alone is read.
        finest: see `finest_map`.
        width: channels of each map.

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
        """Return maps (B, width, h, w), fine to coarse, float32, under the names ``"0"`` to ``"3"``."""
        maps = self.pyramid([taps[index].grid for index in self.reads])
        if self.join is None:
            maps = [step(grid) for step, grid in zip(self.each, maps, strict=True)]
        named = OrderedDict((str(i), grid) for i, grid in enumerate(maps))
        joined = named if self.join is None else self.join(named)
        return OrderedDict((name, grid.float()) for name, grid in joined.items())


def _lateral(channels: int, width: int) -> nn.Sequential:
    """Return ViTDet's convolutions of 1 x 1 and 3 x 3, each with a norm (appendix A.2); nothing goes top-down."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 1, bias=False),
        group_norm(width),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        group_norm(width),
    )


class Head(Protocol):
    """What finds boxes on four maps."""

    def __call__(
        self, maps: OrderedDict[str, Tensor], images: ImageList, targets: list[Boxes] | None
    ) -> dict[str, Tensor] | list[Boxes]:
        """Return losses in training mode, else the boxes of each image, all in the frame and with labels from 0."""
        ...


class Detector(nn.Module):
    """A neck and a head, with boxes in pixels of the labels outside and in the frame's units inside.

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
            taps: one a layer, shallow to deep.
            size: (H, W) of the images in whose pixels boxes are given and wanted.
            targets: of each image ``boxes`` (N, 4) x1 y1 x2 y2 and ``labels`` (N,) int64 from 0; N may be 0.

        Raises:
            Incompatible: training without targets, with a box that has no area, or with a label beyond the classes.
        """
        maps = self.neck(taps)
        grid = maps["0"]
        scale = grid.new_tensor([self.frame[1] / size[1], self.frame[0] / size[0]] * 2)
        framed = _framed(targets, scale, self.classes) if self.training else None
        # Coordinates need more than bfloat16's eight bits, and torchvision computes them in the precision of its maps.
        with torch.autocast(grid.device.type, enabled=False):
            found: dict[str, Tensor] | list[Boxes] = self.head(maps, ImageList(grid, [self.frame] * len(grid)), framed)
        if isinstance(found, dict):
            return found
        return [{**one, "boxes": one["boxes"] / scale} for one in found]


def frame_of(layers: Sequence[Layer], image: tuple[int, int]) -> tuple[float, float]:
    """Return (height, width) of an image in the frame, where the finest map's cell has a side of 4."""
    unit = STRIDES[0] / finest_map(layers, image)
    return image[0] * unit, image[1] * unit


def _framed(targets: Sequence[Mapping[str, Tensor]] | None, scale: Tensor, classes: int) -> list[Boxes]:
    """Return targets with boxes in the frame."""
    if targets is None:
        raise Incompatible("a detector is trained with targets; none were given")
    found = []
    for place, one in enumerate(targets):
        boxes = one["boxes"].to(scale).reshape(-1, 4) * scale
        if bool((boxes[:, 2:] <= boxes[:, :2]).any()):
            raise Incompatible(f"image {place} of the batch has a box without area: {one['boxes'].tolist()}")
        labels = one["labels"].to(scale.device, torch.int64).reshape(-1)
        if len(labels) != len(boxes) or bool(((labels < 0) | (labels >= classes)).any()):
            raise Incompatible(
                f"image {place}: {len(boxes)} boxes need a label each of 0..{classes - 1}: {labels.tolist()}"
            )
        found.append({"boxes": boxes, "labels": labels})
    return found
