"""Random crops of large images: tokens together with the label pixels that they cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

CROP = 128  # side in pixels of the part of an image that one training step uses


class ArrayLike(Protocol):
    """An array that is read by row index and never loaded whole: a numpy array or memory map."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array, samples first."""
        ...

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        """Return the rows at an index array."""
        ...


class Crop(NamedTuple):
    """The pixels of one training step: upsample the cropped tokens to `extent`, then keep these rows and columns."""

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
    """Return tokens and labels of one random crop, the same in all chosen images, and the pixels the tokens match.

    The crop has at most `CROP` pixels per side, so that a step on a large image costs as much as one on a small image.
    It includes a margin of one token, so that upsampling inside the crop gives the same values as in the whole image.
    An image whose tokens do not cover a whole number of pixels is used whole.

    Args:
        grids: tokens (n, D, h, w) of some layers.
        masks: labels (n, H, W).
        chosen: (b,) positions of the images, sorted.
        extent: (H, W) pixels that a grid covers.
        generator: source of the crop's position.

    Returns:
        Tokens (L, b, D, h', w') float32, labels (b, H', W') int64 or float32, and the matching pixels.
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
    """Return, along one axis: token slice with margin, pixel slice, its offset and extent in the upsampled tokens."""
    stride, rest = divmod(extent, tokens)
    count = max(1, CROP // stride) if stride else tokens
    labelled = -(-pixels // stride) if stride else tokens  # tokens that hold a pixel of the label
    if rest or count >= labelled:
        return slice(None), slice(None), 0, extent
    first = int(torch.randint(labelled - count + 1, (1,), generator=generator))
    low, high = max(0, first - 1), min(tokens, first + count + 1)
    kept = slice(first * stride, min((first + count) * stride, pixels))
    return slice(low, high), kept, (first - low) * stride, (high - low) * stride
