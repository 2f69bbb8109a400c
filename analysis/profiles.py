"""What depth does to a score: what reading the last layer costs, with interval and significance over many cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from analysis.intervals import percentile


@dataclass(frozen=True, kw_only=True)
class Regret:
    """What is lost by reading the last layer instead of the one chosen on validation; positive: the last is worse.

    Attributes:
        value: test score at the chosen layer minus that at the last (the other way round where less is better).
        low, high: paired 95 % bootstrap interval over test blocks; NaN where none could be drawn.
        p: two-sided p of "no difference", from the bootstrap standard error and a normal reference.
    """

    value: float
    low: float
    high: float
    p: float


def final_layer_regret(
    chosen: float, last: float, draws: tuple[np.ndarray, np.ndarray] | None, *, direction: str
) -> Regret:
    """Return the regret of one cell. The choice was made on validation, so it stays fixed in every resample.

    Args:
        chosen: test score at the layer chosen on validation.
        last: test score at the last layer.
        draws: both scores in each resample, (B,) and (B,), or None.
        direction: ``max`` or ``min``, the metric's.
    """
    sign = -1.0 if direction == "min" else 1.0
    value = sign * (chosen - last)
    if draws is None:
        return Regret(value=value, low=np.nan, high=np.nan, p=np.nan)
    differences = sign * (draws[0] - draws[1])
    low, high = percentile(differences)
    # Counting draws beyond 0 cannot give a p below 1 / B, too coarse to correct over many cells.
    error = float(np.nanstd(differences, ddof=1))
    p = erfc(abs(value) / error / sqrt(2)) if error > 0 else float(value == 0)
    return Regret(value=value, low=float(low), high=float(high), p=p)


def holm(p: Sequence[float]) -> np.ndarray:
    """Return p values adjusted for the number of tests (Holm 1979); NaN stays NaN and counts as no test."""
    given = np.asarray(p, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(given[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return adjusted
