"""Bootstrap intervals of test scores: per-sample sufficient statistics, resampled by block with one matrix product.

Every score here is a function of sums over samples, so a resample is a row of weights and all resamples of all layers
come from ``weights (B, G) @ statistics (G, L * S)``. One set of weights serves every model of a test set, which makes
each comparison of two models a paired one (Efron and Tibshirani 1993, chapter 13: percentile intervals).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.metrics.boxes import OVERLAPS, weighted_precision

Score = Callable[[np.ndarray], np.ndarray]
"""Sums of statistics (..., S) -> scores (...)."""

RESAMPLES = 2000
RESAMPLES_RANKED = 200  # average precision is no function of sums: each resample walks the ranking anew


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A percentile interval.

    Attributes:
        low, high: its bounds; NaN where there is none.
        level: its nominal coverage.
        resamples: bootstrap resamples drawn.
        blocks: resampling units there are.
        reason: why there is no interval; empty where there is one.
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
    """
    codes = np.searchsorted(names, blocks)
    known = codes < len(names)
    if not known.all() or not (names[codes] == blocks).all():
        missing = sorted(set(np.asarray(blocks).tolist()) - set(names.tolist()))
        raise ValueError(f"blocks without a resampling weight: {missing[:5]}")
    return codes


def resample_weights(blocks: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each resample draws each block, (B, G) uint16; every row sums to `blocks`."""
    weights = np.empty((resamples, blocks), np.uint16)
    for row in range(resamples):
        weights[row] = np.bincount(rng.integers(0, blocks, blocks), minlength=blocks)
    return weights


def block_sums(statistics: np.ndarray, codes: np.ndarray, blocks: int) -> np.ndarray:
    """Return statistics (n, ...) summed within blocks, (G, ...): int64 for integers and booleans, else float64."""
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
        score: see `Score`.
    """
    if sums.ndim == 2:
        return score(_products(weights, sums))
    # What all layers share (truths, counts) is multiplied once. Each statistic has a plane of its own in memory, for a
    # score reads and adds up whole planes.
    shared = (sums == sums[:, :1]).all(axis=(0, 1))
    planes = np.empty((sums.shape[2], len(weights), sums.shape[1]))
    planes[shared] = _products(weights, sums[:, 0, shared]).T[..., None]
    own = np.moveaxis(sums[..., ~shared], 2, 1)
    found = _products(weights, own.reshape(len(own), own[0].size)).reshape(len(weights), *own.shape[1:])
    planes[~shared] = np.moveaxis(found, 1, 0)
    return score(np.moveaxis(planes, 0, -1))


def _products(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return ``weights @ columns`` in float64, a slab of resamples at a time."""
    # Integer counts stay exact in float32 below 2^24, at twice the speed.
    largest = float(np.abs(columns).max(initial=0)) * len(columns)
    kind: type[np.floating] = np.float32 if columns.dtype.kind in "iu" and largest < 2**24 else np.float64
    values = columns.astype(kind)
    found = np.empty((len(weights), columns.shape[1]))
    step = max(1, (1 << 23) // max(1, len(columns)))
    for start in range(0, len(weights), step):
        found[start : start + step] = weights[start : start + step].astype(kind, copy=False) @ values
    return found


def percentile(draws: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper percentile bounds over the first axis of draws (B, ...).

    Draws that are NaN, where a resample leaves the score undefined, are left out; a column of nothing else gives NaN.
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
        score: see `Score`.
        blocks: (n,) resampling unit of each sample; distinct values make it a bootstrap over samples.
        rng: where the resamples come from.
        minus: statistics (n, S) of the same samples under a second model; the interval is then that of the first
            score minus the second, both read from the same resamples.
        resamples: number of resamples B.
        level: nominal coverage.
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


# Statistics: outcomes of one split, as a protocol stores them -> (n, L, S). The layer axis comes second, so that one
# product serves all layers.


def right_statistics(outcome: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    """Return (right, 1) of each sample and layer, (n, L, 2)."""
    right = (outcome["prediction"] == outcome["target"]).T
    return np.stack([right, np.ones_like(right)], axis=-1)


def class_statistics(outcome: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    """Return hits, truths and predictions of each class, (n, L, 3K), from classes, multi-hot or confusion."""
    if "confusion" in outcome:
        matrix = outcome["confusion"]
        hit, truth, said = np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2)
    elif outcome["target"].ndim == 2:
        said = outcome["prediction"] > 0.5
        truth = np.broadcast_to(outcome["target"] > 0, said.shape)
        hit = said & truth
    else:
        index = np.arange(classes)
        said = outcome["prediction"][..., None] == index
        truth = np.broadcast_to(outcome["target"][:, None] == index, said.shape)
        hit = said & truth
    return np.moveaxis(np.concatenate([hit, truth, said], axis=-1), 0, 1)


def label_statistics(outcome: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    """Return hits, positives and predicted positives (probability above 0.5) over all labels, (n, L, 3)."""
    said = outcome["prediction"] > 0.5
    truth = np.broadcast_to(outcome["target"] > 0, said.shape)
    return np.stack([(said & truth).sum(-1).T, truth.sum(-1).T, said.sum(-1).T], axis=-1)


def error_statistics(outcome: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    """Return squared error, absolute error, value, squared value (of each of q outputs) and 1, (n, L, 4q + 1).

    For dense values these are sums over an image's pixels, and the last their number: ``errors`` (L, n, 5) as stored.
    """
    if "errors" in outcome:
        return np.moveaxis(outcome["errors"], 0, 1)
    said, truth = (outcome[name].astype(np.float64) for name in ("prediction", "target"))
    said, truth = said.reshape(*said.shape[:2], -1), truth.reshape(len(truth), -1)
    error = np.moveaxis(said - truth, 0, 1)
    # Scores depend on deviations alone; centring keeps the sums of squares from cancelling.
    value = np.broadcast_to((truth - truth.mean(0))[:, None], error.shape)
    return np.concatenate([error**2, np.abs(error), value, value**2, np.ones_like(error[..., :1])], axis=-1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _mean(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis of the values kept; NaN where none is."""
    return _ratio(np.where(kept, values, 0).sum(-1), kept.sum(-1))


def accuracy(sums: np.ndarray) -> np.ndarray:
    """Return the share of right predictions, from `right_statistics`."""
    return _ratio(sums[..., 0], sums[..., 1])


def balanced_accuracy(sums: np.ndarray) -> np.ndarray:
    """Return the mean recall over the classes in the truth, from `class_statistics`."""
    hit, truth, _ = np.split(sums, 3, axis=-1)
    return _mean(_ratio(hit, truth), truth > 0)


def macro_f1(sums: np.ndarray) -> np.ndarray:
    """Return the mean F1 over the classes in the truth, from `class_statistics`."""
    hit, truth, said = np.split(sums, 3, axis=-1)
    return _mean(_ratio(2 * hit, truth + said), truth > 0)


def miou(sums: np.ndarray) -> np.ndarray:
    """Return the mean intersection over union from `class_statistics`; a class in neither is left out, never 0."""
    hit, truth, said = np.split(sums, 3, axis=-1)
    union = truth + said - hit
    return _mean(_ratio(hit, union), union > 0)


def pixel_accuracy(sums: np.ndarray) -> np.ndarray:
    """Return the share of right pixels, from `class_statistics`."""
    hit, truth, _ = np.split(sums, 3, axis=-1)
    return _ratio(hit.sum(-1), truth.sum(-1))


def micro_f1(sums: np.ndarray) -> np.ndarray:
    """Return F1 over all labels, from `label_statistics`."""
    return _ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def r2(sums: np.ndarray) -> np.ndarray:
    """Return the coefficient of determination, averaged over outputs, from `error_statistics`."""
    squared, _, value, square = np.split(sums[..., :-1], 4, axis=-1)
    spread = square - value**2 / sums[..., -1:]
    return np.asarray(1 - _ratio(squared, spread).mean(-1))


def rmse(sums: np.ndarray) -> np.ndarray:
    """Return the root mean squared error, averaged over outputs, from `error_statistics`."""
    squared = np.split(sums[..., :-1], 4, axis=-1)[0]
    return np.asarray(np.sqrt(_ratio(squared, sums[..., -1:])).mean(-1))


def mae(sums: np.ndarray) -> np.ndarray:
    """Return the mean absolute error over samples and outputs, from `error_statistics`."""
    absolute = np.split(sums[..., :-1], 4, axis=-1)[1]
    return np.asarray(_ratio(absolute, sums[..., -1:]).mean(-1))


ADDITIVE: dict[str, tuple[Callable[[Mapping[str, np.ndarray], int], np.ndarray], Score]] = {
    "accuracy": (right_statistics, accuracy),
    "balanced_accuracy": (class_statistics, balanced_accuracy),
    "macro_f1": (class_statistics, macro_f1),
    "miou": (class_statistics, miou),
    "pixel_accuracy": (class_statistics, pixel_accuracy),
    "micro_f1": (label_statistics, micro_f1),
    "r2": (error_statistics, r2),
    "rmse": (error_statistics, rmse),
    "mae": (error_statistics, mae),
}
"""Metric -> (statistics, score) for every metric that is a function of sums over samples."""


def micro_average_precision(score: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted average precision of each row of weights, equal scores counted as one threshold, (B,).

    Args:
        score: (m,) scores.
        target: (m,) 0 or 1.
        weights: (B, m) how often each draw counts an entry.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    truth = target[order].astype(np.float64)
    found = np.empty(len(weights))
    for row, counts in enumerate(weights):
        weight = counts[order].astype(np.float64)
        seen, hit = np.cumsum(weight)[ends], np.cumsum(weight * truth)[ends]
        precision = np.divide(hit, seen, out=np.zeros_like(hit), where=seen > 0)
        found[row] = (precision * np.diff(hit, prepend=0)).sum() / hit[-1] if hit[-1] else np.nan
    return found


RANKED = ("map", *OVERLAPS)
"""Metrics read off a ranking: `RESAMPLES_RANKED` resamples of each."""


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
        KeyError: if the metric has no bootstrap here, or an array is missing.
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
            values = [weighted_precision(one, truth, rows, overlaps=OVERLAPS[metric]) for one in outcome["detected"]]
        found = np.stack(values, axis=1)
        return found[0], found[1:]
    statistics, score = ADDITIVE[metric]
    sums = block_sums(statistics(outcome, classes), codes, blocks)
    return score(sums.sum(0)), resampled(weights, sums, score)
