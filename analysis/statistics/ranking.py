"""Rankings of models: ranks, Kendall's tau between settings, and changes of the top model. Pure functions of arrays.

A setting is a task with an adaptation. Scores of a setting are a row over the same models; its bootstrap draws are
(resamples, models), all models from the same resamples. Draws of two settings with one test set are paired by row;
those of different test sets are independent by construction. Models are fixed: no interval here extends to models that
were not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import numpy as np
from scipy.stats import rankdata

from analysis.statistics.intervals import percentile
from bench.metrics import direction_sign

ROUNDING = 1e-12  # tau is a ratio of whole numbers: two values this close are equal
ENUMERATED = 8  # with tied scores, all orders of up to this many models are enumerated (40,320)


def oriented(scores: np.ndarray, direction: str = "max") -> np.ndarray:
    """Return the scores as float64, negated for ``min`` so that larger is better.

    Args:
        scores: any shape.
        direction: ``max`` or ``min``.

    Raises:
        ValueError: if a score is NaN, which has no rank, or the direction is neither ``max`` nor ``min``.

    >>> oriented(np.array([3.0, 1.0]), "min")
    array([-3., -1.])
    """
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        where = np.argwhere(np.isnan(values))[:3].tolist()
        raise ValueError(f"scores at {where} are NaN: models are ranked only where all of them have a score")
    return direction_sign(direction) * values


def ranks(scores: np.ndarray, *, direction: str = "max") -> np.ndarray:
    """Return the rank of each model, 1 the best, equal scores sharing the mean of their ranks; shape of `scores`.

    Args:
        scores: (..., models).
        direction: ``max`` if larger is better, else ``min``.

    >>> ranks(np.array([0.9, 0.8, 0.8]))
    array([1. , 2.5, 2.5])
    """
    return np.asarray(rankdata(-oriented(scores, direction), method="average", axis=-1))


def _orders(scores: np.ndarray) -> np.ndarray:
    """Return the sign of every pairwise difference, (..., models (models - 1) / 2) float32."""
    values = oriented(scores)
    if values.shape[-1] < 2:
        raise ValueError(f"{values.shape[-1]} model; an order needs at least 2")
    left, right = np.triu_indices(values.shape[-1], k=1)
    return np.asarray(np.sign(values[..., left] - values[..., right]), dtype=np.float32)


def tau_b(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Kendall's tau-b of two sets of scores of the same models, broadcast over all axes but the last.

    Kendall 1945: concordant minus discordant pairs over the root of the product of the numbers of untied pairs. NaN
    where all models tie.

    Args:
        first: (..., models) scores.
        second: likewise, with the same direction.

    >>> round(float(tau_b(np.array([1, 2, 3, 4]), np.array([1, 3, 2, 4]))), 4)  # 5 concordant pairs, 1 discordant, of 6
    0.6667
    """
    if np.shape(first)[-1] != np.shape(second)[-1]:
        raise ValueError(f"{np.shape(first)[-1]} and {np.shape(second)[-1]} models; both settings need the same ones")
    first_orders, second_orders = _orders(first), _orders(second)
    agreed = np.einsum("...p,...p->...", first_orders, second_orders, dtype=np.float64)
    untied = np.sqrt((first_orders**2).sum(-1, dtype=np.float64) * (second_orders**2).sum(-1, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(untied > 0, agreed / untied, np.nan))


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Kendall's tau-b of two settings.

    The interval describes this test set. Its coverage of the tau of error-free scores, in 300 simulations of normal
    scores at a nominal 95 %, is 96 and 91 % (6 and 12 models) if the standard error of a score is 0.3 of the spread of
    the models, and 84 and 51 % if it equals that spread, because noise lowers tau. Compare it with the split-half
    ceiling (`analysis.statistics.split_half`), which estimates how much.

    Attributes:
        tau: of the scores.
        low, high: percentile interval over the draws.
        bias: mean of the draws minus `tau`. Noise moves tau towards 0, in the scores and again in their resamples.
        p: two-sided p of the hypothesis of unrelated orders, over all orders of the models; see `tau_p`.
        models: number of models.
    """

    tau: float
    low: float
    high: float
    bias: float
    p: float
    models: int


def agreement(
    first: np.ndarray,
    second: np.ndarray,
    draws: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    level: float = 0.95,
    rng: np.random.Generator | None = None,
) -> Agreement:
    """Return tau-b of two settings with its bootstrap interval and permutation p.

    Args:
        first: (models,) scores.
        second: (models,) scores of the same models.
        draws: (resamples, models) of each, the same number of resamples; or None for no interval.
        level: nominal coverage.
        rng: for `tau_p`, needed if scores of many models tie.

    >>> result = agreement(np.array([1, 2, 3, 4, 5]), np.array([1, 2, 3, 4, 5]))
    >>> result.tau, round(result.p, 4)  # 2 of 120 orders are as extreme
    (1.0, 0.0167)
    """
    tau = float(tau_b(first, second))
    p = tau_p(first, second, rng=rng)
    if draws is None or np.isnan(tau):
        return Agreement(tau=tau, low=np.nan, high=np.nan, bias=np.nan, p=p, models=len(first))
    if np.shape(draws[0]) != np.shape(draws[1]):
        raise ValueError(f"draws of shapes {np.shape(draws[0])} and {np.shape(draws[1])} are not paired")
    resampled = tau_b(*draws)
    low, high = percentile(resampled, level)
    bias = float(np.nanmean(resampled)) - tau
    return Agreement(tau=tau, low=float(low), high=float(high), bias=bias, p=p, models=len(first))


def tau_matrix(
    scores: np.ndarray, draws: Sequence[np.ndarray] | None = None, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tau-b between all settings with both bounds of its interval, three (settings, settings); diagonal 1.

    Args:
        scores: (settings, models).
        draws: (resamples, models) of each setting, or None for bounds of NaN.
        level: nominal coverage.

    >>> tau, low, high = tau_matrix(np.array([[1, 2, 3], [3, 2, 1]]))
    >>> tau
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    values = oriented(scores)
    tau = tau_b(values[:, None], values[None])
    low, high = np.full(tau.shape, np.nan), np.full(tau.shape, np.nan)
    for row in range(len(values)):
        low[row, row] = high[row, row] = tau[row, row]
        for column in range(row):
            if draws is not None:
                both = percentile(tau_b(draws[row], draws[column]), level)
                low[row, column] = low[column, row] = float(both[0])
                high[row, column] = high[column, row] = float(both[1])
    return tau, low, high


@lru_cache(maxsize=64)
def _inversions(models: int) -> tuple[int, ...]:
    """Return how many orders of the models have each number of discordant pairs (Mahonian numbers)."""
    counts = [1]
    for size in range(2, models + 1):
        grown = [0] * (len(counts) + size - 1)
        for inversions, orders in enumerate(counts):
            for more in range(size):
                grown[inversions + more] += orders
        counts = grown
    return tuple(counts)


def tau_null(models: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the possible values of tau among untied models, descending, and their probabilities for unrelated orders.

    Exact: each of the n! orders is equally likely, and counted by its discordant pairs (Kendall 1938).

    Raises:
        ValueError: for fewer than 2 models.

    >>> values, probability = tau_null(3)  # 1, 2, 2 and 1 of 6 orders have 0, 1, 2 and 3 discordant pairs
    >>> values.round(3).tolist(), (6 * probability).round(6).tolist()
    ([1.0, 0.333, -0.333, -1.0], [1.0, 2.0, 2.0, 1.0])
    """
    if models < 2:
        raise ValueError(f"{models} model; an order needs at least 2")
    counts = _inversions(models)
    pairs = models * (models - 1) // 2
    orders = factorial(models)
    return 1 - 2 * np.arange(pairs + 1) / pairs, np.array([count / orders for count in counts])


def tau_tail(tau: float, models: int) -> float:
    """Return the exact two-sided P(abs(tau) at least as large) of unrelated orders of untied models.

    >>> tau_tail(1.0, 3)  # 2 of 6 orders
    0.3333333333333333
    """
    values, probability = tau_null(models)
    return float(min(1.0, probability[np.abs(values) >= abs(tau) - ROUNDING].sum()))


def smallest_significant_tau(models: int, alpha: float = 0.05) -> float:
    """Return the smallest absolute tau with two-sided p below alpha; NaN if even equal orders do not reach it.

    >>> smallest_significant_tau(5), smallest_significant_tau(4)  # p of equal orders: 2 / 120 and 2 / 24
    (1.0, nan)
    """
    values, _ = tau_null(models)
    significant = [value for value in values if value > 0 and tau_tail(float(value), models) < alpha]
    return float(min(significant)) if significant else float("nan")


def tau_p(
    first: np.ndarray, second: np.ndarray, *, rng: np.random.Generator | None = None, permutations: int = 20_000
) -> float:
    """Return the two-sided p of tau-b for the hypothesis of unrelated orders; NaN where all models tie.

    Exact without ties (`tau_null`), and with ties among up to 8 models (all orders). Beyond that the share of random
    orders with a tau at least as large, the observed one included (Phipson and Smyth 2010).

    Args:
        first: (models,) scores.
        second: (models,) scores of the same models.
        rng: needed in the last case only.
        permutations: random orders drawn in that case.

    >>> tau_p(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 4]))  # 2 of 24 orders
    0.08333333333333333
    """
    first_scores, second_scores = oriented(first), oriented(second)
    tau = float(tau_b(first_scores, second_scores))
    if np.isnan(tau):
        return tau
    if len(set(first_scores.tolist())) == len(first_scores) and len(set(second_scores.tolist())) == len(second_scores):
        return tau_tail(tau, len(first_scores))
    if len(first_scores) <= ENUMERATED:
        return float(
            (np.abs(tau_b(first_scores, second_scores[_permutations(len(first_scores))])) >= abs(tau) - ROUNDING).mean()
        )
    if rng is None:
        raise ValueError(f"scores of {len(first_scores)} models tie: pass rng for a permutation p")
    shuffled = rng.permuted(np.broadcast_to(second_scores, (permutations, len(second_scores))), axis=1)
    return float((1 + (np.abs(tau_b(first_scores, shuffled)) >= abs(tau) - ROUNDING).sum()) / (permutations + 1))


@lru_cache(maxsize=8)
def _permutations(size: int) -> np.ndarray:
    """Return every order of `size` items, (size!, size)."""
    rows = np.zeros((1, 1), np.int64)
    for last in range(1, size):
        rows = np.concatenate([np.insert(rows, place, last, axis=1) for place in range(last + 1)])
    return rows


@dataclass(frozen=True, kw_only=True)
class TopChange:
    """How often the top model differs between settings.

    Attributes:
        share: share of pairs of settings whose top model differs; with ties, the probability that models drawn from
            each tie differ.
        low, high: percentile interval over the draws; NaN without.
        wins: (models,) number of settings in which each model leads, ties shared.
        chance: (settings, models) share of resamples in which each model leads; NaN without draws.
    """

    share: float
    low: float
    high: float
    wins: np.ndarray
    chance: np.ndarray


def top_change(
    scores: np.ndarray, draws: np.ndarray | None = None, *, direction: str = "max", level: float = 0.95
) -> TopChange:
    """Return how often the top model changes from one setting to another.

    Args:
        scores: (settings, models), at least 2 settings.
        draws: (resamples, settings, models), or None.
        direction: ``max`` or ``min``.
        level: nominal coverage.

    >>> change = top_change(np.array([[0.9, 0.8], [0.7, 0.6], [0.5, 0.6]]))
    >>> round(change.share, 3), change.wins.tolist()  # the top model differs in 2 of 3 pairs
    (0.667, [2.0, 1.0])
    """
    if len(scores) < 2:
        raise ValueError(f"{len(scores)} setting; a change needs at least 2")
    lead = _lead(oriented(scores, direction))
    share, wins = float(_changed(lead)), lead.sum(0)
    if draws is None:
        return TopChange(share=share, low=np.nan, high=np.nan, wins=wins, chance=np.full(lead.shape, np.nan))
    resampled = _lead(oriented(draws, direction))
    low, high = percentile(_changed(resampled), level)
    return TopChange(share=share, low=float(low), high=float(high), wins=wins, chance=resampled.mean(0))


def _lead(values: np.ndarray) -> np.ndarray:
    best = values == values.max(-1, keepdims=True)
    return np.asarray(best / best.sum(-1, keepdims=True))


def _changed(lead: np.ndarray) -> np.ndarray:
    """Return the share of pairs of settings with different leaders, over all axes but the last two."""
    first, second = np.triu_indices(lead.shape[-2], k=1)
    return np.asarray(1 - (lead[..., first, :] * lead[..., second, :]).sum(-1).mean(-1))


def tied_with_best(scores: np.ndarray, draws: np.ndarray, *, direction: str = "max", level: float = 0.95) -> np.ndarray:
    """Return which models are statistically tied with the best: the paired interval of the difference includes 0.

    The best itself is one of them. Not corrected for the number of models.

    Args:
        scores: (models,).
        draws: (resamples, models) from shared resamples.
        direction: ``max`` or ``min``.
        level: nominal coverage of each interval.

    >>> draws = np.array([[0.9, 0.8, 0.2], [0.7, 0.8, 0.1], [0.9, 0.7, 0.3]])
    >>> tied_with_best(draws.mean(0), draws)
    array([ True,  True, False])
    """
    values, resampled = oriented(scores, direction), oriented(draws, direction)
    best = int(values.argmax())
    low, _ = percentile(resampled[:, [best]] - resampled, level)
    tied = low <= 0
    tied[best] = True
    return np.asarray(tied)
