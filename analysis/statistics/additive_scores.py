"""Additive scores: metrics that are functions of sums over samples, and the statistics to be summed.

Statistics take the outcomes of one split, as a protocol stores them, and give (n, L, S): samples, layers, statistics.
Scores take sums of statistics (..., S) and give (...). `analysis.statistics.intervals` resamples the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]
"""Sums of statistics (..., S) -> scores (...)."""


def right_statistics(outcome: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    """Return (right, 1) of each sample and layer, (n, L, 2); `classes` is not used."""
    right = (outcome["prediction"] == outcome["target"]).T
    return np.stack([right, np.ones_like(right)], axis=-1)


def class_statistics(outcome: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    """Return hits, truths and predictions of each class, (n, L, 3K).

    Args:
        outcome: class indices, multi-hot rows, or confusion matrices.
        classes: number of classes K.
    """
    if "confusion" in outcome:
        matrix = outcome["confusion"]
        hit, truth, predicted = np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2)
    elif outcome["target"].ndim == 2:
        predicted = outcome["prediction"] > 0.5
        truth = np.broadcast_to(outcome["target"] > 0, predicted.shape)
        hit = predicted & truth
    else:
        index = np.arange(classes)
        predicted = outcome["prediction"][..., None] == index
        truth = np.broadcast_to(outcome["target"][:, None] == index, predicted.shape)
        hit = predicted & truth
    return np.moveaxis(np.concatenate([hit, truth, predicted], axis=-1), 0, 1)


def label_statistics(outcome: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    """Return hits, positives and predicted positives (probability above 0.5) over all labels, (n, L, 3)."""
    predicted = outcome["prediction"] > 0.5
    truth = np.broadcast_to(outcome["target"] > 0, predicted.shape)
    return np.stack([(predicted & truth).sum(-1).T, truth.sum(-1).T, predicted.sum(-1).T], axis=-1)


def error_statistics(outcome: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    """Return squared error, absolute error, value, squared value (of each of q outputs) and 1, (n, L, 4q + 1).

    For dense regression these are sums over an image's pixels, and the last is their number: ``errors`` (L, n, 5).
    """
    if "errors" in outcome:
        return np.moveaxis(outcome["errors"], 0, 1)
    predicted, truth = (outcome[name].astype(np.float64) for name in ("prediction", "target"))
    predicted, truth = predicted.reshape(*predicted.shape[:2], -1), truth.reshape(len(truth), -1)
    error = np.moveaxis(predicted - truth, 0, 1)
    # Scores depend on deviations only; centring avoids cancellation in the sums of squares.
    value = np.broadcast_to((truth - truth.mean(0))[:, None], error.shape)
    return np.concatenate([error**2, np.abs(error), value, value**2, np.ones_like(error[..., :1])], axis=-1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _mean(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis of the values kept; NaN if none is."""
    return _ratio(np.where(kept, values, 0).sum(-1), kept.sum(-1))


def accuracy(sums: np.ndarray) -> np.ndarray:
    """Return the share of right predictions, from `right_statistics`.

    >>> float(accuracy(np.array([3, 4])))
    0.75
    """
    return _ratio(sums[..., 0], sums[..., 1])


def balanced_accuracy(sums: np.ndarray) -> np.ndarray:
    """Return the mean recall over the classes in the truth, from `class_statistics`.

    >>> float(balanced_accuracy(np.array([3, 1, 4, 2, 4, 2])))  # hits 3 and 1, truths 4 and 2: recalls 3/4 and 1/2
    0.625
    """
    hit, truth, _ = np.split(sums, 3, axis=-1)
    return _mean(_ratio(hit, truth), truth > 0)


def macro_f1(sums: np.ndarray) -> np.ndarray:
    """Return the mean F1 over the classes in the truth, from `class_statistics`.

    >>> from sklearn.metrics import f1_score
    >>> truth, predicted = [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]  # hits 3 and 1, truths 4 and 2, predictions 4 and 2
    >>> float(macro_f1(np.array([3, 1, 4, 2, 4, 2]))), float(f1_score(truth, predicted, average="macro"))
    (0.625, 0.625)
    """
    hit, truth, predicted = np.split(sums, 3, axis=-1)
    return _mean(_ratio(2 * hit, truth + predicted), truth > 0)


def miou(sums: np.ndarray) -> np.ndarray:
    """Return the mean intersection over union from `class_statistics`, without classes absent from both.

    >>> float(miou(np.array([3, 1, 0, 4, 2, 0, 4, 2, 0])))  # 3/5, 1/3 and a class that is neither true nor predicted
    0.4666666666666667
    """
    hit, truth, predicted = np.split(sums, 3, axis=-1)
    union = truth + predicted - hit
    return _mean(_ratio(hit, union), union > 0)


def pixel_accuracy(sums: np.ndarray) -> np.ndarray:
    """Return the share of right pixels, from `class_statistics`.

    >>> float(pixel_accuracy(np.array([3, 1, 4, 2, 4, 2])))
    0.6666666666666666
    """
    hit, truth, _ = np.split(sums, 3, axis=-1)
    return _ratio(hit.sum(-1), truth.sum(-1))


def micro_f1(sums: np.ndarray) -> np.ndarray:
    """Return F1 over all labels, from `label_statistics`.

    >>> float(micro_f1(np.array([3, 4, 5])))  # 3 hits, 4 positives, 5 predicted
    0.6666666666666666
    """
    return _ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def r2(sums: np.ndarray) -> np.ndarray:
    """Return the coefficient of determination, averaged over outputs, from `error_statistics`.

    >>> from sklearn.metrics import r2_score
    >>> outcome = {"target": np.array([1.0, 2.0, 4.0]), "prediction": np.array([[1.5, 2.0, 3.0]])}
    >>> value = r2(error_statistics(outcome, 0).sum(0))[0]
    >>> bool(np.isclose(value, r2_score([1.0, 2.0, 4.0], [1.5, 2.0, 3.0])))
    True
    """
    squared, _, value, square = np.split(sums[..., :-1], 4, axis=-1)
    spread = square - value**2 / sums[..., -1:]
    return np.asarray(1 - _ratio(squared, spread).mean(-1))


def rmse(sums: np.ndarray) -> np.ndarray:
    """Return the root mean squared error, averaged over outputs, from `error_statistics`.

    >>> outcome = {"target": np.array([1.0, 2.0]), "prediction": np.array([[4.0, 6.0]])}  # errors 3 and 4
    >>> rmse(error_statistics(outcome, 0).sum(0)).round(4)  # sqrt(25 / 2)
    array([3.5355])
    """
    squared = np.split(sums[..., :-1], 4, axis=-1)[0]
    return np.asarray(np.sqrt(_ratio(squared, sums[..., -1:])).mean(-1))


def mae(sums: np.ndarray) -> np.ndarray:
    """Return the mean absolute error over samples and outputs, from `error_statistics`.

    >>> outcome = {"target": np.array([1.0, 2.0]), "prediction": np.array([[4.0, 6.0]])}  # errors 3 and 4
    >>> mae(error_statistics(outcome, 0).sum(0))
    array([3.5])
    """
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
