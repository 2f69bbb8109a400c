"""Intervals of a quantity that is measured with several seeds on one test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True, kw_only=True)
class SeedInterval:
    """A mean over seeds with its 95 % bounds.

    Attributes:
        mean: over seeds.
        low, high: bounds; NaN with a single seed.
        seeds: number of seeds.
    """

    mean: float
    low: float
    high: float
    seeds: int


def seed_interval(values: np.ndarray, draws: np.ndarray) -> SeedInterval:
    """Return the mean over seeds with bounds that hold the noise of the test set and that of the seeds.

    The test set is shared by the seeds, so its part is the standard deviation of the mean over seeds in resamples of
    the test set, times 1.96. The part of the seeds is their standard error times Student's quantile with S - 1 degrees
    of freedom. Both are added in quadrature. The part of the seeds holds some noise of the test set as well, so the
    bounds are rather too wide than too narrow.

    Args:
        values: (S,) the quantity with each seed, e.g. a difference of two arms.
        draws: (B, S) the same in resamples of the test set; B of 0 leaves its part out.

    >>> seed_interval(np.array([0.5, 0.5, 0.5]), np.full((10, 3), 0.5)).low
    0.5
    """
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return SeedInterval(mean=mean, low=np.nan, high=np.nan, seeds=count)
    of_seeds = float(np.std(values, ddof=1)) / count**0.5 * float(stats.t.ppf(0.975, count - 1))
    of_test = 1.96 * float(np.std(draws.mean(1), ddof=1)) if len(draws) > 1 else 0.0
    half = float(np.hypot(of_seeds, of_test))
    return SeedInterval(mean=mean, low=mean - half, high=mean + half, seeds=count)
