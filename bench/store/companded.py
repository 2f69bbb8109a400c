"""Companded codes: columns of numbers in one byte each, with about the same relative precision for small and large."""

from __future__ import annotations

import numpy as np

LARGEST = 127


def compand(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 codes (n, k) of values (n, k), and the largest magnitude of each column, (k,) float32.

    A code is the signed square root of a value over the column's largest magnitude, in 127 steps. Where a few values
    are far larger than the others, linear steps would round the others to 0.

    Example:
        >>> codes, peak = compand(np.array([[4.0, 0.0], [-1.0, 0.0]]))
        >>> codes.tolist(), peak.tolist()
        ([[127, 0], [-64, 0]], [4.0, 0.0])
    """
    peak = np.abs(values).max(0, initial=0.0).astype(np.float32)
    share = np.abs(values) / np.where(peak > 0, peak, 1)
    codes = np.rint(LARGEST * np.sign(values) * np.sqrt(share)).clip(-LARGEST, LARGEST)
    return codes.astype(np.int8), peak


def expand(codes: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Return the values (n, k) float32 of companded codes.

    Example:
        >>> expand(*compand(np.array([[4.0], [-1.0]]))).round(2).tolist()
        [[4.0], [-1.02]]
    """
    share = codes.astype(np.float32) / LARGEST
    result: np.ndarray = np.sign(share) * share * share * peak
    return result
