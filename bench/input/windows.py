"""Windows over images larger than a network takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.input.recipe import InputRecipe

if TYPE_CHECKING:
    pass


def owned(starts: list[int], start: int, window: int, extent: int, stride: int) -> tuple[slice, slice]:
    """Return the tokens of the window at `start` that no other window holds more centrally: (in window, in image)."""
    centres = [other + window / 2 for other in starts]
    mine = starts.index(start)
    low = 0.0 if mine == 0 else (centres[mine - 1] + centres[mine]) / 2
    high = float(extent) if mine == len(starts) - 1 else (centres[mine] + centres[mine + 1]) / 2
    # A token belongs to the window that holds its centre; halves round alike on both sides of a border.
    first, last = round(low / stride), round(high / stride)
    return slice(first - start // stride, last - start // stride), slice(first, last)


def window_offsets(tokens: int, window: int) -> list[int]:
    """Return where windows of `window` tokens start so that they cover `tokens`, each overlapping its neighbour."""
    if tokens <= window:
        return [0]
    overlap = max(1, window // 8)
    count = math.ceil((tokens - overlap) / (window - overlap))
    return [round(i * (tokens - window) / (count - 1)) for i in range(count)]


def window_grid(recipe: InputRecipe, image: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the top left corners, in pixels, of the windows that cover an image of (H, W); one for no windows."""
    if not recipe.windows:
        return [(0, 0)]
    rows, columns = (
        window_offsets(-(-max(extent, side) // recipe.patch), side // recipe.patch)
        for extent, side in zip(image, recipe.size, strict=True)
    )
    return [(top * recipe.patch, left * recipe.patch) for top in rows for left in columns]
