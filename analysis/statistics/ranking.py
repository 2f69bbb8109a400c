"""How far rankings of models agree, from one setting to another and with themselves; pure functions of arrays.

A setting is a task with a way of adapting to it. Scores of a setting are a row over the same models; bootstrap draws of
it are (resamples, models), all models read from the same resamples. Draws of two settings with one test set are paired
by the row; those of different test sets are independent by construction. Models are taken as they are: no interval here
speaks for models that were not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import numpy as np
from scipy.stats import rankdata

from analysis.statistics.intervals import percentile

ROUNDING = 1e-12  # tau is a ratio of whole numbers: equal up to this is equal
ENUMERATED = 8  # all orders of up to this many models are counted where scores tie: 40,320


def oriented(scores: np.ndarray, direction: str = "max") -> np.ndarray:
    """Return the scores as float64, turned so that more is better.

    Raises:
        ValueError: if one is NaN, which has no rank, or the direction is neither ``max`` nor ``min``.
    """
    values = np.asarray(scores, dtype=np.float64)
    if direction not in ("max", "min"):
        raise ValueError(f"direction {direction!r} is neither 'max' nor 'min'")
    if np.isnan(values).any():
        where = np.argwhere(np.isnan(values))[:3].tolist()
        raise ValueError(f"scores at {where} are NaN: models are ranked only where all of them have a score")
    return -values if direction == "min" else values


def ranks(scores: np.ndarray, *, direction: str = "max") -> np.ndarray:
    """Return the rank of each model, 1 the best, equal scores sharing the mean of their ranks; shape of `scores`.

    Args:
        scores: (..., models).
        direction: ``max`` where more is better, else ``min``.
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

    Kendall 1945: concordant minus discordant pairs over the root of the pairs untied in each. NaN where all models tie.

    Args:
        first: (..., models) scores.
        second: likewise; more is better in both, or less in both.
    """
    if np.shape(first)[-1] != np.shape(second)[-1]:
        raise ValueError(f"{np.shape(first)[-1]} and {np.shape(second)[-1]} models; both settings need the same ones")
    one, two = _orders(first), _orders(second)
    agreed = np.einsum("...p,...p->...", one, two, dtype=np.float64)
    untied = np.sqrt((one**2).sum(-1, dtype=np.float64) * (two**2).sum(-1, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(untied > 0, agreed / untied, np.nan))


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Kendall's tau-b of two settings.

    The interval is about this test set. Of the tau that scores without error would have it holds, in 300 simulations of
    normal scores at a nominal 95 %: 96 and 91 % (6 and 12 models) where the standard error of a score is 0.3 of the
    spread of the models, 84 and 51 % where it equals it, because noise alone lowers tau. Read it beside the split-half
    ceiling (`analysis.statistics.split_half`), which says by how much.

    Attributes:
        tau: of the scores themselves.
        low, high: percentile interval over the draws.
        bias: mean of the draws minus `tau`. Noise pulls tau towards 0, in the scores and again in their resamples.
        p: two-sided p of "unrelated orders", over all orders of the models; see `tau_p`.
        models: how many.
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
        rng: for `tau_p` where scores tie among many models.
    """
    tau = float(tau_b(first, second))
    p = tau_p(first, second, rng=rng)
    if draws is None or np.isnan(tau):
        return Agreement(tau=tau, low=np.nan, high=np.nan, bias=np.nan, p=p, models=len(first))
    if np.shape(draws[0]) != np.shape(draws[1]):
        raise ValueError(f"draws of shapes {np.shape(draws[0])} and {np.shape(draws[1])} are not paired")
    found = tau_b(*draws)
    low, high = percentile(found, level)
    bias = float(np.nanmean(found)) - tau
    return Agreement(tau=tau, low=float(low), high=float(high), bias=bias, p=p, models=len(first))


def tau_matrix(
    scores: np.ndarray, draws: Sequence[np.ndarray] | None = None, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tau-b between all settings with both bounds of its interval, three (settings, settings); diagonal 1.

    Args:
        scores: (settings, models).
        draws: (resamples, models) of each setting, or None for bounds of NaN.
        level: nominal coverage.
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
    """Return the values tau can take among untied models, falling, and the probability of each if orders are unrelated.

    Exact: each of the n! orders is equally likely, and counted by its discordant pairs (Kendall 1938).

    Raises:
        ValueError: below 2 models.
    """
    if models < 2:
        raise ValueError(f"{models} model; an order needs at least 2")
    counts = _inversions(models)
    pairs = models * (models - 1) // 2
    orders = factorial(models)
    return 1 - 2 * np.arange(pairs + 1) / pairs, np.array([count / orders for count in counts])


def tau_tail(tau: float, models: int) -> float:
    """Return the exact two-sided P(abs(tau) at least as large) of unrelated orders of untied models."""
    values, probability = tau_null(models)
    return float(min(1.0, probability[np.abs(values) >= abs(tau) - ROUNDING].sum()))


def smallest_telling_tau(models: int, alpha: float = 0.05) -> float:
    """Return the smallest absolute tau with two-sided p below alpha; NaN where not even equal orders reach it."""
    values, _ = tau_null(models)
    telling = [value for value in values if value > 0 and tau_tail(float(value), models) < alpha]
    return float(min(telling)) if telling else float("nan")


def tau_p(
    first: np.ndarray, second: np.ndarray, *, rng: np.random.Generator | None = None, permutations: int = 20_000
) -> float:
    """Return the two-sided p of tau-b between unrelated orders; NaN where all models tie.

    Exact without ties (`tau_null`), and with ties among up to 8 models (all orders). Beyond that a share of random
    orders, the observed one counted in (Phipson and Smyth 2010).

    Args:
        first: (models,) scores.
        second: (models,) scores of the same models.
        rng: needed in the last case alone.
        permutations: random orders drawn in that case.
    """
    one, two = oriented(first), oriented(second)
    tau = float(tau_b(one, two))
    if np.isnan(tau):
        return tau
    if len(set(one.tolist())) == len(one) and len(set(two.tolist())) == len(two):
        return tau_tail(tau, len(one))
    if len(one) <= ENUMERATED:
        return float((np.abs(tau_b(one, two[_permutations(len(one))])) >= abs(tau) - ROUNDING).mean())
    if rng is None:
        raise ValueError(f"scores of {len(one)} models tie: pass rng for a permutation p")
    shuffled = rng.permuted(np.broadcast_to(two, (permutations, len(two))), axis=1)
    return float((1 + (np.abs(tau_b(one, shuffled)) >= abs(tau) - ROUNDING).sum()) / (permutations + 1))


@lru_cache(maxsize=8)
def _permutations(size: int) -> np.ndarray:
    """Return every order of `size` things, (size!, size)."""
    rows = np.zeros((1, 1), np.int64)
    for last in range(1, size):
        rows = np.concatenate([np.insert(rows, place, last, axis=1) for place in range(last + 1)])
    return rows


@dataclass(frozen=True, kw_only=True)
class TopChange:
    """How often the top model is another.

    Attributes:
        share: of pairs of settings; where the top is tied, the chance that one drawn from each tie differs.
        low, high: percentile interval over the draws, where there are any.
        wins: (models,) settings each model leads, ties shared.
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
    """
    if len(scores) < 2:
        raise ValueError(f"{len(scores)} setting; a change needs at least 2")
    lead = _lead(oriented(scores, direction))
    if draws is None:
        nothing = np.full(lead.shape, np.nan)
        return TopChange(share=float(_changed(lead)), low=np.nan, high=np.nan, wins=lead.sum(0), chance=nothing)
    each = _lead(oriented(draws, direction))
    low, high = percentile(_changed(each), level)
    return TopChange(
        share=float(_changed(lead)), low=float(low), high=float(high), wins=lead.sum(0), chance=each.mean(0)
    )


def _lead(values: np.ndarray) -> np.ndarray:
    best = values == values.max(-1, keepdims=True)
    return np.asarray(best / best.sum(-1, keepdims=True))


def _changed(lead: np.ndarray) -> np.ndarray:
    """Return the share of pairs of settings with different leaders, over all axes but the last two."""
    first, second = np.triu_indices(lead.shape[-2], k=1)
    return np.asarray(1 - (lead[..., first, :] * lead[..., second, :]).sum(-1).mean(-1))


def tied_with_best(scores: np.ndarray, draws: np.ndarray, *, direction: str = "max", level: float = 0.95) -> np.ndarray:
    """Return which models cannot be told from the best: the paired interval of their difference to it holds 0.

    The best itself is among them. Nothing is corrected for the number of models: a tie is never declared too rarely.

    Args:
        scores: (models,).
        draws: (resamples, models) from shared resamples.
        direction: ``max`` or ``min``.
        level: nominal coverage of each interval.
    """
    values, each = oriented(scores, direction), oriented(draws, direction)
    best = int(values.argmax())
    low, _ = percentile(each[:, [best]] - each, level)
    tied = low <= 0
    tied[best] = True
    return np.asarray(tied)
