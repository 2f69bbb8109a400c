"""Anchors of detectors, in a frame of coordinates where maps have known strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator

STRIDES = (4, 8, 16, 32)  # of the maps in the frame of `bench.decoders.parts.boxes`


def anchor_scales(side: float) -> tuple[float, ...]:
    """Return the smallest anchor of each map, in the frame: from two cells of the finest to some half of the image.

    Objects in images from above are small for their image, so this starts at 8 where detectors of photographs do at 32.

    Args:
        side: the image's shorter side in the frame.
    """
    low = 2.0 * STRIDES[0]
    step = min(2.5, max(1.5, (side / 2 / low) ** (1 / 3)))
    return tuple(low * step**level for level in range(len(STRIDES)))


class Anchors(AnchorGenerator):
    """Anchors centred on the cells of maps of known strides; not rounded, unlike torchvision's, and always float32.

    Args:
        sizes: of each map, the square roots of the anchors' areas.
        ratios: heights by widths.
    """

    def __init__(self, sizes: Sequence[Sequence[float]], ratios: Sequence[float]) -> None:
        super().__init__(tuple(tuple(size) for size in sizes), (tuple(ratios),) * len(sizes))

    def forward(self, image_list: Any, feature_maps: Sequence[Tensor]) -> list[Tensor]:
        """Return (A, 4) boxes x1 y1 x2 y2 in the frame, the same for each image: by map, row, column, anchor."""
        device = feature_maps[0].device
        found = []
        for stride, sizes, ratios, grid in zip(STRIDES, self.sizes, self.aspect_ratios, feature_maps, strict=True):
            root = torch.tensor(ratios, device=device).sqrt()[:, None]
            size = torch.tensor(sizes, device=device)[None]
            half = torch.stack([(size / root).flatten(), (size * root).flatten()], 1) / 2
            rows, columns = ((torch.arange(side, device=device) + 0.5) * stride for side in grid.shape[-2:])
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            centre = torch.stack([x.flatten(), y.flatten()], 1)[:, None]
            found.append(torch.cat([centre - half, centre + half], 2).flatten(0, 1))
        return [torch.cat(found)] * len(feature_maps[0])
