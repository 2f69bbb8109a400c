"""Cutting annotated images into tiles: which boxes belong to which tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def cut_boxes(
    boxes: np.ndarray, size: tuple[int, int], tile: int, kept: float
) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """Return the boxes of every tile of an image, clipped to the tile.

    A tile has the boxes of which it holds the share `kept` of the area or more, and the boxes of which it holds the
    largest part. Every box is thus in one tile at least.

    Args:
        boxes: (N, 4) x1 y1 x2 y2 in pixels of the image, each of some area.
        size: (H, W) of the image in pixels.
        tile: side of a tile in pixels.
        kept: share of a box's area, 0..1.

    Returns:
        (row, column) of each tile -> indices (n,) of its boxes, and their corners (n, 4) in pixels from the tile's
        upper left corner.

    Example:
        >>> import numpy as np
        >>> tiles = cut_boxes(np.array([[5.0, 1.0, 11.0, 3.0]]), (8, 16), 8, 0.4)
        >>> {place: (which.tolist(), corners.tolist()) for place, (which, corners) in tiles.items()}
        {(0, 0): ([0], [[5.0, 1.0, 8.0, 3.0]]), (0, 1): ([0], [[0.0, 1.0, 3.0, 3.0]])}
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
