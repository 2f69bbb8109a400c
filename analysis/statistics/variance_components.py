"""How much of the variance of a score each choice accounts for: model, decoder, taps, tuning and their interactions.

Balanced, fully crossed designs, with or without replicates (seeds). Two readings of one analysis of variance:

* **eta squared**: the share of the sum of squares, which describes the runs at hand; shares sum to 1, and effects of
  many levels get noise for nothing.
* **variance components**: the same with the noise taken out. Every factor is random, its levels a sample of those there
  could be, and components are solved from the expected mean squares (Henderson 1953; Searle, Casella and
  McCulloch 1992): E[MS of A] = sum over effects E that contain A of n_E component_E + error, n_E the runs
  per cell of E. "Decoder matters as much as the model" compares two of these.

A component below 0 says that the effect does not exceed the noise; it is reported as it is, and as a share of 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np
import pandas as pd

from analysis.statistics.intervals import percentile
from bench.core.errors import Incompatible

RESIDUAL = "residual"


@dataclass(frozen=True, kw_only=True)
class Component:
    """What one effect accounts for.

    Attributes:
        effect: factors joined by `` x ``, or ``residual``: replicates, and interactions above the order asked for.
        degrees: of freedom.
        sum_of_squares, mean_square: of the analysis of variance.
        eta: share of the total sum of squares.
        omega: omega squared, (SS - degrees MS_residual) / (SS_total + MS_residual): eta squared with the noise taken
            out, levels fixed. NaN without a residual.
        variance: component, in squared units of the score; below 0 as estimated.
        share: of the sum of the components, those below 0 counted as 0.
        low, high: interval of `share` over levels and seeds like these (`levels_interval`).
        draw_low, draw_high: percentile interval of `share` over bootstrap draws of the test sets, these levels given.
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
    """Return tidy rows as an array with an axis a factor and a last one of replicates, and the levels of each factor.

    Args:
        rows: one score a row; columns besides those named are not looked at, so pass rows that are equal in them.
        factors: columns, in the order of the axes.
        value: column of the score.
        replicate: column that tells replicates apart (their names need not recur), or None for one row a cell.

    Raises:
        Incompatible: where cells are missing, hold different numbers of rows, or a score is missing; says which.
    """
    if rows[value].isna().any():
        raise Incompatible(f"{int(rows[value].isna().sum())} rows have no {value}")
    levels = {factor: sorted(rows[factor].unique()) for factor in factors}
    single = [factor for factor, found in levels.items() if len(found) < 2]
    if single:
        raise Incompatible(f"{', '.join(single)} has one level: there is no variance to split off")
    counts = rows.groupby(list(factors)).size().reindex(pd.MultiIndex.from_product(list(levels.values())), fill_value=0)
    if counts.min() != counts.max():
        fewest = [" ".join(map(str, cell)) for cell in counts.index[counts == counts.min()]]
        raise Incompatible(
            f"the design is unbalanced: {len(fewest)} of {len(counts)} cells have {counts.min()} rows, others up to "
            f"{counts.max()}; the first: {', '.join(fewest[:5])}. Run them, or leave a level out"
        )
    if replicate is None and counts.max() > 1:
        raise Incompatible(f"cells hold {counts.max()} rows: name the column that tells them apart as replicate")
    if replicate is not None and rows.duplicated([*factors, replicate]).any():
        raise Incompatible(f"a cell holds two rows of the same {replicate}")
    order = rows.sort_values([*factors, *([replicate] if replicate else [])], kind="stable")
    shape = (*(len(found) for found in levels.values()), int(counts.max()))
    return order[value].to_numpy(dtype=np.float64).reshape(shape), {
        name: list(map(str, v)) for name, v in levels.items()
    }


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
    found = np.zeros(mean_squares.shape)
    error = np.nan_to_num(mean_squares[..., -1])
    found[..., -1] = error
    runs = prod(shape)
    per_cell = [runs // prod(shape[axis] for axis in effect) for effect in effects]
    for place in range(len(effects) - 1, -1, -1):
        rest = error.copy()
        for other in range(place + 1, len(effects)):
            if set(effects[place]) < set(effects[other]):
                rest = rest + per_cell[other] * found[..., other]
        found[..., place] = (mean_squares[..., place] - rest) / per_cell[place]
    return found


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
    """Return what each factor and interaction accounts for, the residual last.

    Args:
        scores: an axis a factor and a last one of replicates (length 1 where there are none); see `balanced`.
        factors: names of the axes but the last.
        order: largest interaction told apart. Those above it, and all replicates, are the residual. By default all with
            replicates, else all but the interaction of all factors, which cannot be told from noise.
        draws: (resamples, *scores.shape) of bootstrap draws from shared resamples of each test set, or None.
        rng: for `levels_interval`, or None for none.
        resamples: draws of that interval.
        level: nominal coverage of both.

    Raises:
        Incompatible: if a score is missing or a factor has one level.
        ValueError: if names and axes, or draws and scores, do not fit.
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
    found = _components(mean_squares, values.shape, effects)
    total = sums.sum()
    columns = {
        "degrees": degrees,
        "sum_of_squares": sums,
        "mean_square": mean_squares,
        "eta": sums / total if total > 0 else np.full(len(sums), np.nan),
        "omega": np.append((sums - degrees * mean_squares[-1])[:-1] / (total + mean_squares[-1]), np.nan),
        "variance": found,
        "share": _shares(found),
        **dict(zip(("low", "high", "draw_low", "draw_high"), bounds, strict=True)),
    }
    return [
        Component(effect=name, **{column: values[place].item() for column, values in columns.items()})
        for place, name in enumerate(names)
    ]


def _checked(
    values: np.ndarray, factors: Sequence[str], order: int | None, draws: np.ndarray | None
) -> tuple[np.ndarray, int]:
    """Return the scores and the order of interactions, both found fit."""
    if values.ndim != len(factors) + 1:
        raise ValueError(f"scores of shape {values.shape} for {len(factors)} factors; one axis more, of replicates")
    if draws is not None and np.shape(draws)[1:] != values.shape:
        raise ValueError(f"draws of shape {np.shape(draws)} for scores of shape {values.shape}")
    if np.isnan(values).any():
        raise Incompatible("a score is missing: the design is unbalanced, and this is for balanced ones")
    if min(values.shape[:-1]) < 2:
        raise Incompatible(f"{factors[int(np.argmin(values.shape[:-1]))]} has one level: no variance to split off")
    most = len(factors) if values.shape[-1] > 1 else len(factors) - 1
    if most < 1:
        raise Incompatible(f"one factor, {factors[0]}, and no replicates: it cannot be told from noise")
    order = most if order is None else order
    if not 1 <= order <= most:
        raise ValueError(f"order {order}; with these factors and replicates it lies in 1..{most}")
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
    """Return bounds of the share of each component over levels and seeds like these: generalised intervals.

    Weerahandi 1993; Burdick, Borror and Montgomery 2005: in a balanced design each sum of squares over its
    expected mean square is chi-square, independently, so SS / chi-square draws stand for the expected mean squares. Few
    levels of a factor make it wide: that is what few levels can say. A bootstrap over so few would draw some of them
    twice and be too narrow.

    Args:
        sums: (effects + 1,) sums of squares.
        degrees: their degrees of freedom.
        shape: levels of each factor, and replicates.
        effects: the axes in each effect.
        rng: where the chi-squares come from.
        resamples: how many.
        level: nominal coverage.
    """
    chi = rng.chisquare(np.maximum(degrees, 1), (resamples, len(degrees)))
    expected = np.where(degrees > 0, sums / chi, np.nan)
    return percentile(_shares(_components(expected, shape, effects)), level)


def as_frame(components: Sequence[Component]) -> pd.DataFrame:
    """Return the components as a table, a row each."""
    rows: list[Mapping[str, object]] = [vars(component) for component in components]
    return pd.DataFrame(rows)
