"""HSIC: the Hilbert-Schmidt independence criterion of linear kernels, and CKA from it."""

from __future__ import annotations

import warnings
from math import sqrt

import numpy as np

from bench.metrics.representations import hsic

__all__ = ["UNRESOLVED", "alignment", "hsic", "least_rows", "warn_biased"]

UNRESOLVED = 1e-12  # share of the sum of squares of the Gram matrix below which an HSIC is rounding error


def alignment(
    cross: np.ndarray, own_x: np.ndarray, own_y: np.ndarray, scales: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return CKA (Lx, Ly) from HSICs, not clipped: a debiased estimate of no similarity is negative half of the time.

    Args:
        cross: (Lx, Ly).
        own_x: (Lx,), HSIC of each layer of x with itself.
        own_y: (Ly,), likewise.
        scales: `own_x` and `own_y` without corrections, to distinguish small values from rounding errors.

    Raises:
        ValueError: naming the layer without variation.

    >>> alignment(np.array([[1.0]]), np.array([4.0]), np.array([1.0]), (np.ones(1), np.ones(1)))
    array([[0.5]])
    """
    for own, scale, name in ((own_x, scales[0], "x"), (own_y, scales[1], "y")):
        lost = np.flatnonzero(own <= UNRESOLVED * scale)
        if len(lost):
            raise ValueError(
                f"layer {lost[0]} of {name} has no variation to compare, e.g. because all rows but one are equal; "
                "drop the layer or the outlying row"
            )
    return np.asarray(cross / np.sqrt(own_x[:, None] * own_y))


def least_rows(debiased: bool) -> int:
    """Return the number of rows that CKA needs: 4 for the unbiased HSIC, which divides by ``n - 3``, else 2.

    >>> least_rows(True), least_rows(False)
    (4, 2)
    """
    return 4 if debiased else 2


def warn_biased(rows: int, wide_x: int, wide_y: int) -> None:
    """Warn that the biased estimate is mostly bias if there are fewer rows than columns."""
    if rows < max(wide_x, wide_y):
        expected = 1 / sqrt((1 + rows / wide_x) * (1 + rows / wide_y))
        warnings.warn(
            f"biased CKA of {rows} rows with {wide_x} and {wide_y} columns: independent noise reaches up to "
            f"{expected:.2f}; use debiased=True",
            RuntimeWarning,
            stacklevel=3,
        )
