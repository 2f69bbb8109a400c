"""Split-half ceiling of Kendall's tau: how far a ranking agrees with itself on another test set of the same kind."""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, pi, sin, sqrt

import numpy as np

from analysis.statistics.intervals import percentile
from analysis.statistics.ranking import tau_b


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """Tau of a setting with itself.

    Attributes:
        half: mean tau between two disjoint halves of its test set; it underestimates the ceiling, halves being noisier.
        full: `half` extrapolated to two test sets of full size with the Spearman-Brown formula; see `split_half`.
        low, high: percentiles of the tau over splits. Splits share samples, so this is not a confidence interval.
        splits: number of splits.
    """

    half: float
    full: float
    low: float
    high: float
    splits: int


def half_weights(blocks: int, splits: int, rng: np.random.Generator) -> np.ndarray:
    """Return weights of complementary halves, (2 splits, blocks) uint16; rows 2k and 2k + 1 are one split.

    Use them like `analysis.statistics.intervals.resample_weights`: a setting's scores under them, (2 splits, models),
    reshaped to (splits, 2, models), are the argument of `split_half`.

    Raises:
        ValueError: for fewer than 2 blocks.

    >>> weights = half_weights(5, 1, np.random.default_rng(0))
    >>> weights.sum(0).tolist(), weights.sum(1).tolist()  # each block once; halves of 2 and 3 blocks
    ([1, 1, 1, 1, 1], [2, 3])
    """
    if blocks < 2:
        raise ValueError(f"{blocks} block; a test set in halves needs at least 2")
    first = rng.permuted(np.broadcast_to(np.arange(blocks), (splits, blocks)), axis=1) < blocks // 2
    return np.stack([first, ~first], axis=1).reshape(2 * splits, blocks).astype(np.uint16)


def split_half(halves: np.ndarray, *, level: float = 0.95) -> Ceiling:
    """Return the split-half ceiling of tau: the tau to be expected between two tests of the same setting.

    The Spearman-Brown formula 2 r / (1 + r) holds for product-moment correlations, so the mean tau is converted with
    Greiner's relation r = sin(pi tau / 2), exact for normal scores (Kendall and Gibbons 1990), and back. A tau of 0 or
    below is not changed.

    Args:
        halves: (splits, 2, models) scores, the two halves of a split disjoint; see `half_weights`.
        level: of the percentiles.

    >>> ceiling = split_half(np.array([[[1, 2, 3], [1, 3, 2]]]))  # tau 1/3: r = 1/2, stepped up to 2/3
    >>> round(ceiling.half, 4), round(ceiling.full, 4)
    (0.3333, 0.4646)
    """
    if np.ndim(halves) != 3 or np.shape(halves)[1] != 2:
        raise ValueError(f"halves of shape {np.shape(halves)}; (splits, 2, models) is needed")
    tau = tau_b(halves[:, 0], halves[:, 1])
    low, high = percentile(tau, level)
    half = float(np.nanmean(tau)) if not np.isnan(tau).all() else float("nan")
    correlation = sin(pi * half / 2) if half > 0 else 0.0
    full = 2 / pi * asin(2 * correlation / (1 + correlation)) if half > 0 else half
    return Ceiling(half=half, full=full, low=float(low), high=float(high), splits=len(halves))


def shared_ceiling(first: float, second: float) -> float:
    """Return the largest tau to be expected between two settings, given the ceiling of each (`Ceiling.full`).

    Spearman's attenuation sqrt(r1 r2), converted with Greiner's relation. 0 if one of the two is not above 0.

    >>> round(shared_ceiling(0.6, 0.6), 4), shared_ceiling(0.6, 0.0)
    (0.6, 0.0)
    """
    if min(first, second) <= 0:
        return 0.0
    return 2 / pi * asin(sqrt(sin(pi * first / 2) * sin(pi * second / 2)))
