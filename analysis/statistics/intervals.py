"""Bootstrap intervals of test scores: sufficient statistics per sample, resampled by block with one matrix product.

Every additive score is a function of sums over samples, so a resample is a row of weights, and the resamples of all
layers are ``weights (B, G) @ statistics (G, L * S)``. All models of a test set share the weights, which makes every
comparison of two models paired (percentile intervals: Efron and Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.statistics.additive_scores import ADDITIVE, Score
from bench.metrics.boxes import OVERLAPS, weighted_precision

RESAMPLES = 2000
RESAMPLES_RANKED = 200  # average precision is not additive: every resample sorts out the ranking again


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A percentile interval.

    Attributes:
        low, high: its bounds; NaN without an interval.
        level: nominal coverage.
        resamples: bootstrap resamples drawn.
        blocks: number of resampling units.
        reason: why there is no interval; empty if there is one.
    """

    low: float
    high: float
    level: float = 0.95
    resamples: int = 0
    blocks: int = 0
    reason: str = ""


def block_codes(blocks: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Return the index in the sorted `names` of each sample's block, (n,) int64.

    Raises:
        ValueError: if a block is not among the names.

    >>> block_codes(np.array(["b", "a", "b"]), np.array(["a", "b"])).tolist()
    [1, 0, 1]
    """
    codes = np.searchsorted(names, blocks)
    known = codes < len(names)
    if not known.all() or not (names[codes] == blocks).all():
        missing = sorted(set(np.asarray(blocks).tolist()) - set(names.tolist()))
        raise ValueError(f"blocks without a resampling weight: {missing[:5]}")
    return codes


def resample_weights(blocks: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each resample draws each block, (B, G) uint16; every row sums to `blocks`.

    >>> resample_weights(5, 3, np.random.default_rng(0)).sum(1).tolist()
    [5, 5, 5]
    """
    weights = np.empty((resamples, blocks), np.uint16)
    for row in range(resamples):
        weights[row] = np.bincount(rng.integers(0, blocks, blocks), minlength=blocks)
    return weights


def block_sums(statistics: np.ndarray, codes: np.ndarray, blocks: int) -> np.ndarray:
    """Return statistics (n, ...) summed within blocks, (G, ...): int64 for integers and booleans, else float64.

    >>> block_sums(np.array([1, 2, 4]), np.array([0, 1, 0]), 2)
    array([5, 2])
    """
    kind = np.int64 if statistics.dtype.kind in "biu" else np.float64
    sums = np.zeros((blocks, *statistics.shape[1:]), kind)
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    if len(present):
        sums[present] = np.add.reduceat(statistics[order].astype(kind), starts, axis=0)
    return sums


def resampled(weights: np.ndarray, sums: np.ndarray, score: Score) -> np.ndarray:
    """Return the score of every resample, (B,) or (B, L).

    Args:
        weights: (B, G) from `resample_weights`.
        sums: (G, S) or (G, L, S) from `block_sums`.
        score: see `analysis.statistics.additive_scores.Score`.

    >>> sums = np.array([[3, 4], [1, 4]])  # right and total of two blocks of four samples
    >>> from analysis.statistics.additive_scores import accuracy
    >>> resampled(np.array([[1, 1], [2, 0]]), sums, accuracy)
    array([0.5 , 0.75])
    """
    if sums.ndim == 2:
        return score(_products(weights, sums))
    # Statistics that all layers share (truths, counts) are multiplied once. Each statistic is contiguous in memory,
    # because a score reads and sums whole statistics.
    shared = (sums == sums[:, :1]).all(axis=(0, 1))
    planes = np.empty((sums.shape[2], len(weights), sums.shape[1]))
    planes[shared] = _products(weights, sums[:, 0, shared]).T[..., None]
    varying = np.moveaxis(sums[..., ~shared], 2, 1)
    products = _products(weights, varying.reshape(len(varying), varying[0].size))
    planes[~shared] = np.moveaxis(products.reshape(len(weights), *varying.shape[1:]), 1, 0)
    return score(np.moveaxis(planes, 0, -1))


def _products(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return ``weights @ columns`` in float64, a slab of resamples at a time."""
    # Integer counts stay exact in float32 below 2^24, at twice the speed.
    largest = float(np.abs(columns).max(initial=0)) * len(columns)
    kind: type[np.floating] = np.float32 if columns.dtype.kind in "iu" and largest < 2**24 else np.float64
    values = columns.astype(kind)
    products = np.empty((len(weights), columns.shape[1]))
    step = max(1, (1 << 23) // max(1, len(columns)))
    for start in range(0, len(weights), step):
        products[start : start + step] = weights[start : start + step].astype(kind, copy=False) @ values
    return products


def percentile(draws: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper percentile bounds over the first axis of draws (B, ...).

    NaN draws (resamples in which the score is undefined) are ignored; a column of NaN only gives NaN.

    >>> low, high = percentile(np.arange(101.0))
    >>> round(float(low), 6), round(float(high), 6)
    (2.5, 97.5)
    """
    tails = [(1 - level) / 2, (1 + level) / 2]
    flat = draws.reshape(len(draws), -1)
    if not np.isnan(flat).any():
        bounds = np.quantile(flat, tails, axis=0)
    else:
        bounds = np.full((2, flat.shape[1]), np.nan)
        for column, values in enumerate(flat.T):
            defined = values[~np.isnan(values)]
            if len(defined):
                bounds[:, column] = np.quantile(defined, tails)
    return bounds[0].reshape(draws.shape[1:]), bounds[1].reshape(draws.shape[1:])


def bootstrap(
    statistics: np.ndarray,
    score: Score,
    blocks: np.ndarray,
    *,
    rng: np.random.Generator,
    minus: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """Return the percentile interval of a score, or of the paired difference of two.

    Args:
        statistics: (n, S) additive statistics of each sample.
        score: see `analysis.statistics.additive_scores.Score`.
        blocks: (n,) resampling unit of each sample; distinct values give a bootstrap over samples.
        rng: source of the resamples.
        minus: statistics (n, S) of the same samples under a second model; the interval is then that of the first
            score minus the second, from the same resamples.
        resamples: number of resamples B.
        level: nominal coverage.

    >>> from analysis.statistics.additive_scores import accuracy
    >>> right = np.ones((20, 2))  # 20 of 20 right: every resample has accuracy 1
    >>> interval = bootstrap(right, accuracy, np.arange(20), rng=np.random.default_rng(0))
    >>> interval.low, interval.high, interval.blocks
    (1.0, 1.0, 20)
    """
    names = np.unique(blocks)
    if len(names) < 2:
        reason = f"{len(names)} block; resampling needs at least 2"
        return Interval(low=np.nan, high=np.nan, level=level, blocks=len(names), reason=reason)
    codes = block_codes(blocks, names)
    weights = resample_weights(len(names), resamples, rng)
    draws = resampled(weights, block_sums(statistics, codes, len(names)), score)
    if minus is not None:
        draws = draws - resampled(weights, block_sums(minus, codes, len(names)), score)
    low, high = percentile(draws, level)
    return Interval(low=float(low), high=float(high), level=level, resamples=resamples, blocks=len(names))


def micro_average_precision(score: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted average precision of each row of weights, equal scores forming one threshold, (B,).

    Args:
        score: (m,) scores.
        target: (m,) 0 or 1.
        weights: (B, m) how often each draw counts an entry.

    >>> from sklearn.metrics import average_precision_score
    >>> score, target = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0])
    >>> once = micro_average_precision(score, target, np.ones((1, 4)))  # (1/1 + 2/3) / 2
    >>> float(once[0]), float(average_precision_score(target, score))
    (0.8333333333333333, 0.8333333333333333)
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    truth = target[order].astype(np.float64)
    values = np.empty(len(weights))
    for row, counts in enumerate(weights):
        weight = counts[order].astype(np.float64)
        predicted, hit = np.cumsum(weight)[ends], np.cumsum(weight * truth)[ends]
        precision = np.divide(hit, predicted, out=np.zeros_like(hit), where=predicted > 0)
        values[row] = (precision * np.diff(hit, prepend=0)).sum() / hit[-1] if hit[-1] else np.nan
    return values


RANKED = ("map", *OVERLAPS)
"""Metrics of a ranking: `RESAMPLES_RANKED` resamples of each."""


def score_draws(
    metric: str, outcome: Mapping[str, np.ndarray], classes: int, codes: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a metric at every layer on the test set (L,), and in every resample (B, L).

    Args:
        metric: a key of `ADDITIVE`, or one of `RANKED` (``map`` is the micro average precision).
        outcome: ``prediction`` and ``target``, ``confusion``, ``errors``, or ``detected`` and ``truth``.
        classes: number of classes K; 0 for regression.
        codes: (n,) block index of each sample.
        weights: (B, G) from `resample_weights`.

    Raises:
        KeyError: if the metric is in neither, or an array is missing.

    >>> outcome = {"target": np.array([0, 1, 1]), "prediction": np.array([[0, 1, 0]])}
    >>> score, draws = score_draws("accuracy", outcome, 2, np.array([0, 1, 2]), np.array([[1, 1, 1], [0, 3, 0]]))
    >>> score.round(4), draws.round(4)
    (array([0.6667]), array([[0.6667],
           [1.    ]]))
    """
    blocks = weights.shape[1]
    if metric in RANKED:
        rows = np.concatenate([np.ones((1, blocks), weights.dtype), weights[:RESAMPLES_RANKED]])
        if metric == "map":
            target = outcome["target"].reshape(-1)
            rows = rows[:, np.repeat(codes, outcome["target"].shape[1])]
            values = [micro_average_precision(layer.reshape(-1), target, rows) for layer in outcome["prediction"]]
        else:
            truth, rows = outcome["truth"], rows[:, codes]
            values = [weighted_precision(each, truth, rows, overlaps=OVERLAPS[metric]) for each in outcome["detected"]]
        scores = np.stack(values, axis=1)
        return scores[0], scores[1:]
    statistics, score = ADDITIVE[metric]
    sums = block_sums(statistics(outcome, classes), codes, blocks)
    return score(sums.sum(0)), resampled(weights, sums, score)
