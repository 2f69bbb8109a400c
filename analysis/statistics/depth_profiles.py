"""Scores over depth: where a layer profile peaks, and the regret of reading the last layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from analysis.statistics.intervals import percentile
from bench.metrics import direction_sign


@dataclass(frozen=True, kw_only=True)
class Regret:
    """Loss of reading the last layer instead of the one chosen on validation; positive: the last layer is worse.

    Attributes:
        value: test score at the chosen layer minus that at the last, negated where smaller is better.
        low, high: paired 95 % bootstrap interval over test blocks; NaN without draws.
        p: two-sided p of the hypothesis of no difference, from the bootstrap standard error and a normal reference.
    """

    value: float
    low: float
    high: float
    p: float


def final_layer_regret(
    chosen: float, last: float, draws: tuple[np.ndarray, np.ndarray] | None, *, direction: str
) -> Regret:
    """Return the final-layer regret of one run group. The layer was chosen on validation: it is fixed in all resamples.

    Args:
        chosen: test score at the layer chosen on validation.
        last: test score at the last layer.
        draws: both scores in each resample, (B,) and (B,), or None.
        direction: ``max`` or ``min``, the metric's.

    >>> round(final_layer_regret(0.82, 0.80, None, direction="max").value, 4)
    0.02
    >>> round(final_layer_regret(5.0, 6.5, None, direction="min").value, 4)
    1.5
    """
    sign = direction_sign(direction)
    value = sign * (chosen - last)
    if draws is None:
        return Regret(value=value, low=np.nan, high=np.nan, p=np.nan)
    differences = sign * (draws[0] - draws[1])
    low, high = percentile(differences)
    # The share of draws beyond 0 cannot be below 1 / B, too coarse to correct over many run groups.
    error = float(np.nanstd(differences, ddof=1))
    p = erfc(abs(value) / error / sqrt(2)) if error > 0 else float(value == 0)
    return Regret(value=value, low=float(low), high=float(high), p=p)


def holm(p: Sequence[float]) -> np.ndarray:
    """Return p values adjusted for the number of tests (Holm 1979); NaN stays NaN and is not counted as a test.

    >>> holm([0.01, 0.04, 0.03, float("nan")]).round(4).tolist()  # 3 x 0.01, then 2 x 0.03 for the other two
    [0.03, 0.06, 0.06, nan]
    """
    given = np.asarray(p, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(given[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return adjusted


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Depth of the best layer of a profile.

    Attributes:
        depth: relative depth of the best layer; the mean over layers that share the best score.
        layers: their indices.
        low, high: percentile interval of the depth over the draws; NaN without. Wide for a flat profile.
        chance: (layers,) share of resamples in which each layer is the best, ties shared; NaN without draws.
    """

    depth: float
    layers: tuple[int, ...]
    low: float
    high: float
    chance: np.ndarray


def peak_depth(
    depths: np.ndarray,
    scores: np.ndarray,
    draws: np.ndarray | None = None,
    *,
    direction: str = "max",
    level: float = 0.95,
) -> Peak:
    """Return the relative depth at which a layer profile peaks, with its interval.

    The depth is of interest, not the score there: the score at the peak of a test profile is selected on test and
    optimistic.

    Args:
        depths: (layers,) relative depth in 0..1.
        scores: (layers,) score of each layer.
        draws: (resamples, layers), all layers from the same resamples of the test set; or None.
        direction: ``max`` or ``min``, the metric's.
        level: nominal coverage.

    Raises:
        ValueError: if a score is NaN, or the lengths differ.

    >>> peak = peak_depth(np.array([0.0, 0.5, 1.0]), np.array([0.6, 0.8, 0.7]))
    >>> peak.depth, peak.layers
    (0.5, (1,))
    """
    sign = direction_sign(direction)
    place, values = np.asarray(depths, dtype=np.float64), sign * np.asarray(scores, dtype=np.float64)
    if place.shape != values.shape or np.isnan(values).any():
        raise ValueError(f"{place.shape} depths and {values.shape} scores, none of them missing, are needed")
    best = values == values.max()
    depth = float(place[best].mean())
    layers = tuple(np.flatnonzero(best).tolist())
    if draws is None:
        return Peak(depth=depth, layers=layers, low=np.nan, high=np.nan, chance=np.full(len(place), np.nan))
    resampled = sign * np.asarray(draws, dtype=np.float64)
    resampled = resampled[~np.isnan(resampled).any(1)]
    lead = resampled == resampled.max(1, keepdims=True)
    lead = lead / lead.sum(1, keepdims=True)
    low, high = percentile(lead @ place, level)
    return Peak(depth=depth, layers=layers, low=float(low), high=float(high), chance=lead.mean(0))


@dataclass(frozen=True, kw_only=True)
class ZeroExclusion:
    """How many intervals exclude 0.

    Attributes:
        above, below: number of intervals that lie above 0, and below 0.
        known: number of intervals.
        unknown: number of cases without an interval; they count in neither.
    """

    above: int
    below: int
    known: int
    unknown: int


def intervals_excluding_zero(low: np.ndarray, high: np.ndarray) -> ZeroExclusion:
    """Return how many intervals exclude 0, on either side.

    With 95 % intervals 2.5 % are expected on either side if nothing differs.

    Args:
        low: (cases,) lower bounds; NaN for a case without an interval.
        high: (cases,) upper bounds.

    >>> intervals_excluding_zero(np.array([0.1, -0.3, -0.1, np.nan]), np.array([0.2, -0.1, 0.2, np.nan]))
    ZeroExclusion(above=1, below=1, known=3, unknown=1)
    """
    bottom, top = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    known = ~(np.isnan(bottom) | np.isnan(top))
    return ZeroExclusion(
        above=int((bottom[known] > 0).sum()),
        below=int((top[known] < 0).sum()),
        known=int(known.sum()),
        unknown=int((~known).sum()),
    )
