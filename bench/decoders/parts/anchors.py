"""Anchors of detectors, in a frame of coordinates in which the maps have known strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator

STRIDES = (4, 8, 16, 32)  # of the maps in the frame of `bench.decoders.parts.boxes`


def anchor_scales(side: float) -> tuple[float, ...]:
    """Return the smallest anchor of each map in the frame: from two cells of the finest map to about half an image.

    Objects seen from above are small compared with their image, so the anchors start at 8, whereas those of detectors
    for photographs start at 32.

    Args:
        side: shorter side of the image in the frame.
    """
    smallest = 2.0 * STRIDES[0]
    step = min(2.5, max(1.5, (side / 2 / smallest) ** (1 / 3)))
    return tuple(smallest * step**level for level in range(len(STRIDES)))


class Anchors(AnchorGenerator):
    """Anchors centred on the cells of maps with known strides; not rounded, unlike torchvision's, and always float32.

    Args:
        sizes: for each map, the square roots of the areas of its anchors.
        ratios: height divided by width.
    """

    def __init__(self, sizes: Sequence[Sequence[float]], ratios: Sequence[float]) -> None:
        super().__init__(tuple(tuple(size) for size in sizes), (tuple(ratios),) * len(sizes))

    def forward(self, image_list: Any, feature_maps: Sequence[Tensor]) -> list[Tensor]:
        """Return boxes (A, 4), x1 y1 x2 y2 in the frame, equal for each image, ordered by map, row, column, anchor."""
        device = feature_maps[0].device
        boxes = []
        for stride, sizes, ratios, grid in zip(STRIDES, self.sizes, self.aspect_ratios, feature_maps, strict=True):
            root = torch.tensor(ratios, device=device).sqrt()[:, None]
            size = torch.tensor(sizes, device=device)[None]
            half = torch.stack([(size / root).flatten(), (size * root).flatten()], 1) / 2
            rows, columns = ((torch.arange(side, device=device) + 0.5) * stride for side in grid.shape[-2:])
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            centre = torch.stack([x.flatten(), y.flatten()], 1)[:, None]
            boxes.append(torch.cat([centre - half, centre + half], 2).flatten(0, 1))
        return [torch.cat(boxes)] * len(feature_maps[0])
