"""One number from many: interquartile mean, mean rank, probability of improvement, area under a label-efficiency curve.

Pure functions of arrays. Which rows may be put into such an array at all is decided in `analysis.statistics.pooling`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu, trim_mean

from analysis.statistics.intervals import percentile
from analysis.statistics.ranking import ranks

TRIMMED = 0.25


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its percentile interval; bounds are NaN where none could be drawn."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


def _whole(scores: np.ndarray) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0 or np.isnan(values).any():
        raise ValueError("scores are missing: a mean over what is there would compare models on different tasks")
    return values


def iqm(scores: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return the interquartile mean: the mean without the lowest and the highest quarter of all values.

    Agarwal et al. 2021 (NeurIPS, "Deep reinforcement learning at the edge of the statistical precipice"):
    runs and tasks are pooled first. As there, a quarter is rounded down: n // 4 values go at either end.

    Args:
        scores: (...,) normalised scores.
        axis: over which; None pools all.

    Raises:
        ValueError: if a value is NaN, or there is none.
    """
    return np.asarray(trim_mean(_whole(scores), TRIMMED, axis=axis))


def stratified_draws(scores: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return scores (runs, tasks) with the runs of each task drawn anew, (resamples, runs, tasks).

    Agarwal et al. 2021: tasks are the strata and stay as they are. What varies is training, so that the
    interval speaks for new seeds on these tasks.
    """
    runs, tasks = scores.shape
    rows = rng.integers(0, runs, (resamples, runs, tasks))
    return np.asarray(scores[rows, np.arange(tasks)])


def iqm_interval(
    scores: np.ndarray, rng: np.random.Generator, *, resamples: int = 2000, level: float = 0.95
) -> Estimate:
    """Return the interquartile mean with its stratified bootstrap interval.

    Args:
        scores: (runs, tasks) normalised scores; with one run there is nothing to draw and no interval.
        rng: where the resamples come from.
        resamples: how many.
        level: nominal coverage.
    """
    values = _whole(scores)
    if len(values) < 2:
        return Estimate(value=float(iqm(values)))
    draws = iqm(stratified_draws(values, resamples, rng).reshape(resamples, -1), axis=1)
    low, high = percentile(draws, level)
    return Estimate(value=float(iqm(values)), low=float(low), high=float(high))


def mean_rank(scores: np.ndarray, *, direction: str = "max") -> np.ndarray:
    """Return the mean rank of each model over tasks, 1 the best, ties shared; (models,).

    Args:
        scores: (tasks, models), every task with every model.
        direction: ``max`` or ``min``.

    Raises:
        ValueError: if a model lacks a task: ranks among fewer models are no ranks among all.
    """
    return np.asarray(ranks(scores, direction=direction).mean(0))


def probability_of_improvement(first: np.ndarray, second: np.ndarray) -> float:
    """Return the chance that a run of the first model beats one of the second on a task drawn at random.

    Agarwal et al. 2021: the mean over tasks of the Mann-Whitney U / (n m), ties counting half.

    Args:
        first: (runs, tasks) scores, more the better.
        second: (runs, tasks), the number of runs may differ.
    """
    one, two = _whole(first), _whole(second)
    if one.ndim != 2 or two.ndim != 2 or one.shape[1] != two.shape[1]:
        raise ValueError(f"scores of shapes {one.shape} and {two.shape}; (runs, tasks) with the same tasks is needed")
    wins = mannwhitneyu(one, two, axis=0, method="asymptotic").statistic
    return float(np.mean(wins) / (len(one) * len(two)))


def probability_of_improvement_interval(
    first: np.ndarray,
    second: np.ndarray,
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Return `probability_of_improvement` with its stratified bootstrap interval; none with one run of either."""
    value = probability_of_improvement(first, second)
    if min(len(first), len(second)) < 2:
        return Estimate(value=value)
    one, two = (stratified_draws(np.asarray(scores, np.float64), resamples, rng) for scores in (first, second))
    wins = np.sign(one[:, :, None] - two[:, None]) / 2 + 0.5
    low, high = percentile(wins.mean((1, 2, 3)), level)
    return Estimate(value=value, low=float(low), high=float(high))


def label_efficiency(fractions: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the area under the label-efficiency curve: the mean score over the logarithm of the label fraction, (...).

    Trapezia over ln(fraction), divided by its range: a constant score gives itself, and each doubling of the labels
    weighs the same. On a linear axis the half of the curve above 50 % would count for half. Fractions of the same
    training set only: all models at the same ones.

    Args:
        fractions: (points,) label fractions in (0, 1], each once, at least 2; any order.
        scores: (..., points).

    Raises:
        ValueError: on fractions that are not so, or missing scores.
    """
    at, values = np.asarray(fractions, dtype=np.float64), _whole(scores)
    if at.ndim != 1 or len(at) < 2 or values.shape[-1] != len(at):
        raise ValueError(f"{at.shape} fractions and scores {values.shape}; at least 2, and a score at each, are needed")
    if len(set(at.tolist())) < len(at) or at.min() <= 0 or at.max() > 1:
        raise ValueError(f"fractions {at.tolist()} are not distinct values in (0, 1]")
    order = np.argsort(at)
    place, values = np.log(at[order]), values[..., order]
    areas = np.diff(place) * (values[..., 1:] + values[..., :-1]) / 2
    return np.asarray(areas.sum(-1) / (place[-1] - place[0]))


def label_efficiency_interval(
    fractions: np.ndarray, scores: np.ndarray, draws: np.ndarray, *, level: float = 0.95
) -> Estimate:
    """Return `label_efficiency` of one model with its interval.

    Args:
        fractions: (points,), see `label_efficiency`.
        scores: (points,) scores.
        draws: (resamples, points), all fractions read from the same resamples of the test set.
        level: nominal coverage.
    """
    low, high = percentile(label_efficiency(fractions, draws), level)
    return Estimate(value=float(label_efficiency(fractions, scores)), low=float(low), high=float(high))
