"""Split-half ceiling of Kendall's tau: how far a ranking agrees with itself on another test set of its kind."""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, pi, sin, sqrt

import numpy as np

from analysis.statistics.intervals import percentile
from analysis.statistics.ranking import tau_b


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The tau that a setting has with itself.

    Attributes:
        half: mean tau between two disjoint halves of its test set; too low a ceiling, halves being noisier.
        full: stepped up to two test sets of the full size by Spearman and Brown; see `split_half`.
        low, high: percentiles of the tau over splits. They overlap in samples, so this is no confidence interval.
        splits: how many.
    """

    half: float
    full: float
    low: float
    high: float
    splits: int


def half_weights(blocks: int, splits: int, rng: np.random.Generator) -> np.ndarray:
    """Return weights of complementary halves, (2 splits, blocks) uint16, rows 2k and 2k + 1 belonging together.

    They stand where `analysis.statistics.intervals.resample_weights` would: a setting's scores under them, (2 splits,
    models), reshaped to (splits, 2, models), are what `split_half` takes.

    Raises:
        ValueError: below 2 blocks.
    """
    if blocks < 2:
        raise ValueError(f"{blocks} block; a test set in halves needs at least 2")
    first = rng.permuted(np.broadcast_to(np.arange(blocks), (splits, blocks)), axis=1) < blocks // 2
    return np.stack([first, ~first], axis=1).reshape(2 * splits, blocks).astype(np.uint16)


def split_half(halves: np.ndarray, *, level: float = 0.95) -> Ceiling:
    """Return the split-half ceiling of tau: what two tests of the same setting agree to.

    Spearman and Brown's 2 r / (1 + r) holds for product-moment correlations, so the mean tau goes there and back by
    Greiner's relation r = sin(pi tau / 2), exact for normal scores (Kendall and Gibbons 1990). A tau not
    above 0 is left as it is.

    Args:
        halves: (splits, 2, models) scores, the two halves of a split disjoint; see `half_weights`.
        level: of the percentiles given beside.
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
    """Return the largest tau two settings can be expected to have, given the ceiling of each (`Ceiling.full`).

    Spearman's attenuation, sqrt(r1 r2), by way of Greiner's relation. 0 where one of the two is not above 0.
    """
    if min(first, second) <= 0:
        return 0.0
    return 2 / pi * asin(sqrt(sin(pi * first / 2) * sin(pi * second / 2)))
