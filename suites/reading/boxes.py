"""Cutting images with boxes into windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def cut_boxes(
    boxes: np.ndarray, size: tuple[int, int], tile: int, kept: float
) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """Return (row, column) of each tile -> which boxes lie in it, and these clipped to it, from its corner.

    A tile has the boxes of which it holds a share of `kept` or more, and those of which it holds most: each is in one
    at least.

    Args:
        boxes: (N, 4) x1 y1 x2 y2 in pixels of the image, each of some area.
        size: (H, W) of the image.
        tile: side of a tile.
        kept: share of a box's area.
    """
    import numpy as np

    places = [(row, column) for row in range(-(-size[0] // tile)) for column in range(-(-size[1] // tile))]
    corners = np.array([(column * tile, row * tile) * 2 for row, column in places], np.float32)
    clipped = (boxes[None] - corners[:, None]).clip(0, tile)
    share = np.prod(clipped[..., 2:] - clipped[..., :2], axis=-1) / np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1)
    inside = share >= kept
    if len(boxes):
        inside[share.argmax(axis=0), np.arange(len(boxes))] = True
    return {
        place: (np.flatnonzero(held), clip[held]) for place, held, clip in zip(places, inside, clipped, strict=True)
    }
