"""Random parts of large images: tokens with the pixels of the label that they cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

CROP = 128  # pixels a side that one training step looks at


class ArrayLike(Protocol):
    """What is indexed by rows and not loaded whole: a numpy array or memory map."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        ...

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        """Return some rows."""
        ...


class Crop(NamedTuple):
    """The pixels that a step sees: upsample the tokens taken to `extent`, then keep these rows and columns."""

    extent: tuple[int, int]
    rows: slice
    columns: slice


def random_crop(
    grids: Sequence[ArrayLike],
    masks: ArrayLike,
    chosen: np.ndarray,
    extent: tuple[int, int],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Crop]:
    """Return tokens and labels of one place in some images, at most `CROP` pixels a side, and how to match them.

    A step on a large image looks at a part of it, for the cost of a small one. One token of margin is taken along, so
    that upsampling inside the crop is that of the whole image. Where a token is no whole number of pixels the image is
    taken whole.

    Args:
        grids: tokens (n, D, h, w) of some layers.
        masks: labels (n, H, W).
        chosen: (b,) positions of the images, sorted.
        extent: (H, W) pixels that a grid covers.
        generator: of the place.
    """
    high, wide = grids[0].shape[2:]
    token_rows, rows, top, tall = _random_part(high, masks.shape[1], extent[0], generator)
    token_columns, columns, left, broad = _random_part(wide, masks.shape[2], extent[1], generator)
    parts = [np.asarray(layer[chosen][:, :, token_rows, token_columns], np.float32) for layer in grids]
    tokens = torch.from_numpy(np.stack(parts))
    part = np.asarray(masks[chosen][:, rows, columns])
    target = torch.from_numpy(part.astype(np.float32 if part.dtype.kind == "f" else np.int64))
    inside = Crop((tall, broad), slice(top, top + target.shape[1]), slice(left, left + target.shape[2]))
    return tokens, target, inside


def _random_part(tokens: int, pixels: int, extent: int, generator: torch.Generator) -> tuple[slice, slice, int, int]:
    """Return of one side: tokens with margin, pixels, where these begin in the upsampled tokens, and their extent."""
    stride, rest = divmod(extent, tokens)
    count = max(1, CROP // stride) if stride else tokens
    labelled = -(-pixels // stride) if stride else tokens  # tokens that hold a pixel of the label
    if rest or count >= labelled:
        return slice(None), slice(None), 0, extent
    first = int(torch.randint(labelled - count + 1, (1,), generator=generator))
    low, high = max(0, first - 1), min(tokens, first + count + 1)
    kept = slice(first * stride, min((first + count) * stride, pixels))
    return slice(low, high), kept, (first - low) * stride, (high - low) * stride
