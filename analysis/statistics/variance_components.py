"""Variance components: the share of the variance of a score due to model, decoder, taps, tuning and interactions.

For balanced, fully crossed designs, with or without replicates (seeds). Two summaries of one analysis of variance:

* **eta squared**: the share of the sum of squares, which describes the runs at hand. Shares sum to 1; effects with many
  levels are inflated by noise.
* **variance components**: corrected for noise. Every factor is random, its levels a sample of possible levels, and the
  components are solved from the expected mean squares (Henderson 1953; Searle, Casella and McCulloch 1992):
  E[MS of A] = sum over effects E that contain A of n_E component_E + error, n_E the runs per cell of E. A claim such
  as "the decoder matters as much as the model" compares two components.

A component below 0 means that the effect does not exceed the noise; it is reported as estimated, with a share of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np
import pandas as pd

from analysis.statistics.intervals import percentile
from bench.core.errors import Incompatible
from bench.core.wording import shortened

RESIDUAL = "residual"


@dataclass(frozen=True, kw_only=True)
class Component:
    """One effect of an analysis of variance.

    Attributes:
        effect: factors joined by `` x ``, or ``residual``: replicates, and interactions above the requested order.
        degrees: degrees of freedom.
        sum_of_squares, mean_square: of the analysis of variance.
        eta: share of the total sum of squares.
        omega: omega squared, (SS - degrees MS_residual) / (SS_total + MS_residual): eta squared corrected for noise,
            levels fixed. NaN without a residual.
        variance: component, in squared units of the score; may be below 0.
        share: of the sum of the components, those below 0 counted as 0.
        low, high: interval of `share` for a new sample of levels and seeds (`levels_interval`).
        draw_low, draw_high: percentile interval of `share` over bootstrap draws of the test sets, levels fixed.
    """

    effect: str
    degrees: int
    sum_of_squares: float
    mean_square: float
    eta: float
    omega: float
    variance: float
    share: float
    low: float = float("nan")
    high: float = float("nan")
    draw_low: float = float("nan")
    draw_high: float = float("nan")


def balanced(
    rows: pd.DataFrame, factors: Sequence[str], *, value: str = "score", replicate: str | None = None
) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Return tidy rows as an array, one axis per factor and a last axis of replicates, and the levels of each factor.

    Args:
        rows: one score per row; other columns are ignored, so pass rows that are equal in them.
        factors: columns, in the order of the axes.
        value: column of the score.
        replicate: column that distinguishes replicates (its values may differ between cells), or None for one row per
            cell.

    Raises:
        Incompatible: names the cells that are missing or hold different numbers of rows, or the missing scores.

    >>> rows = pd.DataFrame({"model": list("aabb"), "decoder": list("xyxy"), "score": [1.0, 2.0, 3.0, 4.0]})
    >>> scores, levels = balanced(rows, ["model", "decoder"])
    >>> scores[..., 0].tolist(), levels["decoder"]
    ([[1.0, 2.0], [3.0, 4.0]], ['x', 'y'])
    """
    if rows[value].isna().any():
        raise Incompatible(f"{int(rows[value].isna().sum())} rows have no {value}")
    levels = {factor: sorted(rows[factor].unique()) for factor in factors}
    single = [factor for factor, values in levels.items() if len(values) < 2]
    if single:
        raise Incompatible(f"{', '.join(single)} has one level and therefore no variance")
    counts = rows.groupby(list(factors)).size().reindex(pd.MultiIndex.from_product(list(levels.values())), fill_value=0)
    if counts.min() != counts.max():
        fewest = [" ".join(map(str, cell)) for cell in counts.index[counts == counts.min()]]
        raise Incompatible(
            f"the design is unbalanced: {len(fewest)} of {len(counts)} cells have {counts.min()} rows, others up to "
            f"{counts.max()}: {shortened(fewest, 5)}. Run the missing ones, or leave a level out"
        )
    if replicate is None and counts.max() > 1:
        raise Incompatible(f"cells hold {counts.max()} rows: pass the column in which they differ as replicate=")
    if replicate is not None and rows.duplicated([*factors, replicate]).any():
        raise Incompatible(f"a cell holds two rows with the same {replicate}")
    order = rows.sort_values([*factors, *([replicate] if replicate else [])], kind="stable")
    shape = (*(len(values) for values in levels.values()), int(counts.max()))
    scores = order[value].to_numpy(dtype=np.float64).reshape(shape)
    return scores, {name: list(map(str, values)) for name, values in levels.items()}


def _effects(factors: int, order: int) -> list[tuple[int, ...]]:
    return [axes for size in range(1, order + 1) for axes in combinations(range(factors), size)]


def _squares(scores: np.ndarray, factors: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sums of squares (..., effects + 1), the residual last, and their degrees of freedom, (effects + 1,)."""
    lead = scores.ndim - factors - 1
    axes = tuple(range(lead, scores.ndim))
    centred = scores - scores.mean(axes, keepdims=True)
    parts: dict[tuple[int, ...], np.ndarray] = {}
    sums, degrees = [], []
    for effect in _effects(factors, order):
        away = tuple(axis for axis in axes if axis - lead not in effect)
        means = centred.mean(away, keepdims=True)
        for inner, part in parts.items():
            if set(inner) < set(effect):
                means = means - part
        parts[effect] = means
        cells = prod(scores.shape[lead + axis] for axis in effect)
        runs = prod(scores.shape[axis] for axis in axes)
        sums.append((means**2).sum(axes) * (runs / cells))
        degrees.append(prod(scores.shape[lead + axis] - 1 for axis in effect))
    total = (centred**2).sum(axes)
    sums.append(np.maximum(total - sum(sums), 0.0))
    degrees.append(prod(scores.shape[axis] for axis in axes) - 1 - sum(degrees))
    return np.stack(sums, axis=-1), np.array(degrees)


def _components(mean_squares: np.ndarray, shape: Sequence[int], effects: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Return components (..., effects + 1) from mean squares, solved from the largest interaction down."""
    components = np.zeros(mean_squares.shape)
    error = np.nan_to_num(mean_squares[..., -1])
    components[..., -1] = error
    runs = prod(shape)
    per_cell = [runs // prod(shape[axis] for axis in effect) for effect in effects]
    for place in range(len(effects) - 1, -1, -1):
        rest = error.copy()
        for other in range(place + 1, len(effects)):
            if set(effects[place]) < set(effects[other]):
                rest = rest + per_cell[other] * components[..., other]
        components[..., place] = (mean_squares[..., place] - rest) / per_cell[place]
    return components


def _shares(components: np.ndarray) -> np.ndarray:
    positive = np.maximum(components, 0.0)
    total = positive.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, positive / total, np.nan)


def variance_components(
    scores: np.ndarray,
    factors: Sequence[str],
    *,
    order: int | None = None,
    draws: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> list[Component]:
    """Return the component of each factor and interaction, the residual last.

    Args:
        scores: one axis per factor and a last axis of replicates (length 1 without); see `balanced`.
        factors: names of all axes but the last.
        order: largest interaction estimated. Higher ones, and all replicates, are the residual. By default all with
            replicates, else all but the interaction of all factors, which cannot be separated from noise.
        draws: (resamples, *scores.shape) of bootstrap draws from shared resamples of each test set, or None.
        rng: for `levels_interval`, or None for no such interval.
        resamples: draws of that interval.
        level: nominal coverage of both intervals.

    Raises:
        Incompatible: if a score is missing or a factor has one level.
        ValueError: if names and axes, or draws and scores, do not match.

    >>> scores = np.array([[1.0, 2.0], [3.0, 4.0]])[..., None]  # additive: model adds 2, decoder adds 1
    >>> [(part.effect, part.eta, part.variance) for part in variance_components(scores, ["model", "decoder"])]
    [('model', 0.8, 2.0), ('decoder', 0.2, 0.5), ('residual', 0.0, 0.0)]
    """
    values, order = _checked(np.asarray(scores, dtype=np.float64), factors, order, draws)
    effects = _effects(len(factors), order)
    sums, degrees = _squares(values, len(factors), order)
    bounds = np.full((4, len(degrees)), np.nan)
    if rng is not None:
        bounds[:2] = levels_interval(sums, degrees, values.shape, effects, rng=rng, resamples=resamples, level=level)
    if draws is not None:
        each = _mean_squares(_squares(np.asarray(draws, np.float64), len(factors), order)[0], degrees)
        bounds[2:] = percentile(_shares(_components(each, values.shape, effects)), level)
    names = [" x ".join(factors[axis] for axis in effect) for effect in effects] + [RESIDUAL]
    mean_squares = _mean_squares(sums, degrees)
    components = _components(mean_squares, values.shape, effects)
    total = sums.sum()
    columns = {
        "degrees": degrees,
        "sum_of_squares": sums,
        "mean_square": mean_squares,
        "eta": sums / total if total > 0 else np.full(len(sums), np.nan),
        "omega": np.append((sums - degrees * mean_squares[-1])[:-1] / (total + mean_squares[-1]), np.nan),
        "variance": components,
        "share": _shares(components),
        **dict(zip(("low", "high", "draw_low", "draw_high"), bounds, strict=True)),
    }
    return [
        Component(effect=name, **{column: values[place].item() for column, values in columns.items()})
        for place, name in enumerate(names)
    ]


def _checked(
    values: np.ndarray, factors: Sequence[str], order: int | None, draws: np.ndarray | None
) -> tuple[np.ndarray, int]:
    """Return the scores and the order of interactions, checked."""
    if values.ndim != len(factors) + 1:
        raise ValueError(
            f"scores of shape {values.shape} for {len(factors)} factors: one axis per factor and one of replicates"
        )
    if draws is not None and np.shape(draws)[1:] != values.shape:
        raise ValueError(f"draws of shape {np.shape(draws)} for scores of shape {values.shape}")
    if np.isnan(values).any():
        raise Incompatible("a score is missing: the design is unbalanced, and a balanced one is needed")
    if min(values.shape[:-1]) < 2:
        raise Incompatible(f"{factors[int(np.argmin(values.shape[:-1]))]} has one level and therefore no variance")
    most = len(factors) if values.shape[-1] > 1 else len(factors) - 1
    if most < 1:
        raise Incompatible(f"one factor, {factors[0]}, and no replicates: it cannot be separated from noise")
    order = most if order is None else order
    if not 1 <= order <= most:
        raise ValueError(f"order {order}; with these factors and replicates it must be in 1..{most}")
    return values, order


def _mean_squares(sums: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(degrees > 0, sums / degrees, np.nan))


def levels_interval(
    sums: np.ndarray,
    degrees: np.ndarray,
    shape: Sequence[int],
    effects: Sequence[tuple[int, ...]],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of the share of each component for a new sample of levels and seeds: generalised intervals.

    Weerahandi 1993; Burdick, Borror and Montgomery 2005: in a balanced design each sum of squares over its expected
    mean square is chi-square, independently, so SS / chi-square draws represent the expected mean squares. Few levels
    of a factor give a wide interval; a bootstrap over few levels would repeat some of them and be too narrow.

    Args:
        sums: (effects + 1,) sums of squares.
        degrees: their degrees of freedom.
        shape: levels of each factor, and replicates.
        effects: the axes in each effect.
        rng: source of the chi-squares.
        resamples: number of draws.
        level: nominal coverage.
    """
    chi = rng.chisquare(np.maximum(degrees, 1), (resamples, len(degrees)))
    expected = np.where(degrees > 0, sums / chi, np.nan)
    return percentile(_shares(_components(expected, shape, effects)), level)
