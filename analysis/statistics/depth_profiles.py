"""What depth does to a score: where it peaks, and what reading the last layer costs, over one cell or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from analysis.statistics.intervals import percentile


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


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Where in depth a profile is highest.

    Attributes:
        depth: relative depth of the best layer; the mean of those that share the best score.
        layers: their indices.
        low, high: percentile interval of the depth over the draws; NaN without. A flat profile has a wide one.
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

    It says where, not how much higher: the score at the peak of a test curve is chosen on test and too good.

    Args:
        depths: (layers,) relative depth in 0..1.
        scores: (layers,) score of each layer.
        draws: (resamples, layers), all layers read from the same resamples of the test set; or None.
        direction: ``max`` or ``min``, the metric's.
        level: nominal coverage.

    Raises:
        ValueError: if a score is NaN, or the lengths differ.
    """
    sign = -1.0 if direction == "min" else 1.0
    place, values = np.asarray(depths, dtype=np.float64), sign * np.asarray(scores, dtype=np.float64)
    if place.shape != values.shape or np.isnan(values).any():
        raise ValueError(f"{place.shape} depths and {values.shape} scores, none of them missing, are needed")
    best = values == values.max()
    found = float(place[best].mean())
    layers = tuple(np.flatnonzero(best).tolist())
    if draws is None:
        return Peak(depth=found, layers=layers, low=np.nan, high=np.nan, chance=np.full(len(place), np.nan))
    each = sign * np.asarray(draws, dtype=np.float64)
    each = each[~np.isnan(each).any(1)]
    lead = each == each.max(1, keepdims=True)
    lead = lead / lead.sum(1, keepdims=True)
    low, high = percentile(lead @ place, level)
    return Peak(depth=found, layers=layers, low=float(low), high=float(high), chance=lead.mean(0))


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """How many cells have an interval that leaves out 0.

    Attributes:
        above, below: share of cells whose interval lies above 0, and below.
        cells: cells with an interval.
        without: cells without one; they count in neither.
    """

    above: float
    below: float
    cells: int
    without: int


def share_beyond_zero(low: np.ndarray, high: np.ndarray) -> Beyond:
    """Return the share of cells whose interval excludes 0, on either side; NaN shares where no cell has an interval.

    With 95 % intervals 2.5 % of cells are expected on either side where nothing differs.

    Args:
        low: (cells,) lower bounds; NaN where a cell has none.
        high: (cells,) upper bounds.
    """
    bottom, top = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    known = ~(np.isnan(bottom) | np.isnan(top))
    cells = int(known.sum())
    if not cells:
        return Beyond(above=np.nan, below=np.nan, cells=0, without=len(known))
    above, below = (bottom[known] > 0).mean(), (top[known] < 0).mean()
    return Beyond(above=float(above), below=float(below), cells=cells, without=len(known) - cells)
