"""Aggregates: interquartile mean, mean rank, probability of improvement, area under a label-efficiency curve.

Pure functions of arrays. `analysis.statistics.pooling` decides which rows of a table may enter such an array.
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
    """A number with its percentile interval; the bounds are NaN without resamples."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


def _complete(scores: np.ndarray) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0 or np.isnan(values).any():
        raise ValueError("scores are missing: a mean of the available ones would compare models on different tasks")
    return values


def iqm(scores: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return the interquartile mean: the mean without the lowest and the highest quarter of all values.

    Agarwal et al. 2021 (NeurIPS, "Deep reinforcement learning at the edge of the statistical precipice"):
    runs and tasks are pooled first. As in their code, n // 4 values are dropped at either end.

    Args:
        scores: (...,) normalised scores.
        axis: axis to average over; None pools all.

    Raises:
        ValueError: if a value is NaN, or there is none.

    >>> float(iqm(np.array([0.0, 0.4, 0.6, 1.0])))
    0.5
    """
    return np.asarray(trim_mean(_complete(scores), TRIMMED, axis=axis))


def stratified_draws(scores: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return scores (runs, tasks) with the runs of each task resampled, (resamples, runs, tasks).

    Agarwal et al. 2021: tasks are the strata and are not resampled. The interval therefore covers new seeds on these
    tasks.

    >>> stratified_draws(np.array([[1.0, 5.0], [1.0, 5.0]]), 1, np.random.default_rng(0))  # tasks never mix
    array([[[1., 5.],
            [1., 5.]]])
    """
    runs, tasks = scores.shape
    rows = rng.integers(0, runs, (resamples, runs, tasks))
    return np.asarray(scores[rows, np.arange(tasks)])


def iqm_interval(
    scores: np.ndarray, rng: np.random.Generator, *, resamples: int = 2000, level: float = 0.95
) -> Estimate:
    """Return the interquartile mean with its stratified bootstrap interval.

    Args:
        scores: (runs, tasks) normalised scores; with one run there is no interval.
        rng: source of the resamples.
        resamples: number of resamples.
        level: nominal coverage.

    >>> iqm_interval(np.array([[0.5, 0.7]]), np.random.default_rng(0))  # one run: no interval
    Estimate(value=0.6, low=nan, high=nan)
    """
    values = _complete(scores)
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
        ValueError: if a model lacks a task: a rank among fewer models is not comparable.

    >>> mean_rank(np.array([[0.9, 0.8, 0.7], [0.6, 0.6, 0.5]]))  # ranks 1, 2, 3 and 1.5, 1.5, 3
    array([1.25, 1.75, 3.  ])
    """
    return np.asarray(ranks(scores, direction=direction).mean(0))


def probability_of_improvement(first: np.ndarray, second: np.ndarray) -> float:
    """Return the probability that a run of the first model beats one of the second on a task drawn at random.

    Agarwal et al. 2021: the mean over tasks of the Mann-Whitney U / (n m), ties counting half.

    Args:
        first: (runs, tasks) scores, larger is better.
        second: (runs, tasks), the number of runs may differ.

    >>> probability_of_improvement(np.array([[0.9], [0.5]]), np.array([[0.6], [0.5]]))  # 2 wins, 1 tie, of 4 pairs
    0.625
    """
    a, b = _complete(first), _complete(second)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"scores of shapes {a.shape} and {b.shape}; (runs, tasks) with the same tasks is needed")
    wins = mannwhitneyu(a, b, axis=0, method="asymptotic").statistic
    return float(np.mean(wins) / (len(a) * len(b)))


def probability_of_improvement_interval(
    first: np.ndarray,
    second: np.ndarray,
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Return `probability_of_improvement` with its stratified bootstrap interval; no interval with one run of either.

    >>> first, second = np.array([[0.9], [0.8]]), np.array([[0.6], [0.5]])
    >>> probability_of_improvement_interval(first, second, np.random.default_rng(0))  # every run wins
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    value = probability_of_improvement(first, second)
    if min(len(first), len(second)) < 2:
        return Estimate(value=value)
    a, b = (stratified_draws(np.asarray(scores, np.float64), resamples, rng) for scores in (first, second))
    wins = np.sign(a[:, :, None] - b[:, None]) / 2 + 0.5
    low, high = percentile(wins.mean((1, 2, 3)), level)
    return Estimate(value=value, low=float(low), high=float(high))


def label_efficiency(fractions: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the area under the label-efficiency curve: the mean score over the logarithm of the label fraction, (...).

    Trapezoidal rule over ln(fraction), divided by its range: the area of a constant score is that score, and each
    doubling of the labels has equal weight. Compare only areas over the same fractions of one training set.

    Args:
        fractions: (points,) distinct label fractions in (0, 1], at least 2; any order.
        scores: (..., points).

    Raises:
        ValueError: for other fractions, or missing scores.

    >>> float(label_efficiency(np.array([0.01, 0.1, 1.0]), np.array([0.2, 0.4, 0.6])))  # equal steps of ln(fraction)
    0.4
    """
    at, values = np.asarray(fractions, dtype=np.float64), _complete(scores)
    if at.ndim != 1 or len(at) < 2 or values.shape[-1] != len(at):
        raise ValueError(f"{at.shape} fractions and scores {values.shape}; at least 2, and a score at each, are needed")
    if len(set(at.tolist())) < len(at) or at.min() <= 0 or at.max() > 1:
        raise ValueError(f"fractions {at.tolist()}; distinct values in (0, 1] are needed")
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
        draws: (resamples, points), all fractions from the same resamples of the test set.
        level: nominal coverage.

    >>> label_efficiency_interval(np.array([0.1, 1.0]), np.array([0.2, 0.4]), np.array([[0.2, 0.4], [0.2, 0.4]])).value
    0.30000000000000004
    """
    low, high = percentile(label_efficiency(fractions, draws), level)
    return Estimate(value=float(label_efficiency(fractions, scores)), low=float(low), high=float(high))
