"""(prediction, target) -> scores by task kind, on torchmetrics; METRICS names each with direction, range and unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.core import Task
from bench.core.errors import UnknownName

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Name, direction, range and unit of a score.

    Attributes:
        label: name in tables and figures.
        direction: ``max`` where larger values are better, ``min`` where smaller ones are.
        low: smallest possible value.
        high: largest possible value.
        unit: ``""`` for pure numbers, ``"target"`` for the task's own unit.
    """

    label: str
    direction: Literal["max", "min"] = "max"
    low: float = 0.0
    high: float = 1.0
    unit: str = ""

    @property
    def sign(self) -> float:
        """1 where larger values are better, -1 where smaller ones are, so that ``sign * score`` is larger-is-better.

        >>> METRICS["accuracy"].sign, METRICS["rmse"].sign
        (1.0, -1.0)
        """
        return direction_sign(self.direction)


def direction_sign(direction: str) -> float:
    """Return the factor that makes larger scores better: 1 for ``max``, -1 for ``min``.

    Records and tables hold the direction of a metric as a word, so that they can be read without its name.

    Raises:
        ValueError: the direction is neither ``max`` nor ``min``.

    >>> direction_sign("min") * 3.5
    -3.5
    """
    if direction not in ("max", "min"):
        raise ValueError(f"direction {direction!r} is neither 'max' nor 'min'")
    return 1.0 if direction == "max" else -1.0


INFINITY = float("inf")
METRICS: dict[str, Metric] = {
    "accuracy": Metric(label="accuracy"),
    "macro_f1": Metric(label="macro F1"),
    "balanced_accuracy": Metric(label="balanced accuracy"),
    "ece": Metric(label="ECE (15 bins)", direction="min"),
    "map": Metric(label="micro mAP"),
    "macro_map": Metric(label="macro mAP"),
    "micro_f1": Metric(label="micro F1"),
    "auroc": Metric(label="macro AUROC"),
    "r2": Metric(label="R²", low=-INFINITY),
    "rmse": Metric(label="RMSE", direction="min", high=INFINITY, unit="target"),
    "mae": Metric(label="MAE", direction="min", high=INFINITY, unit="target"),
    "spearman": Metric(label="Spearman", low=-1.0),
    "miou": Metric(label="mIoU"),
    "pixel_accuracy": Metric(label="pixel accuracy"),
    "boundary_f1": Metric(label="boundary F1"),
    "box_map": Metric(label="box mAP"),
    "box_map50": Metric(label="box mAP50"),
}


def metric(name: str) -> Metric:
    """Return the metric of a name.

    Raises:
        UnknownName: there is no such metric; the message lists all names.
    """
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]


def classification(
    prediction: np.ndarray, target: np.ndarray, classes: int, confidence: np.ndarray | None = None
) -> dict[str, float]:
    """Return accuracy, balanced accuracy and macro F1 over the classes present, and ECE.

    Args:
        prediction: (n,) class indices.
        target: (n,) class indices.
        classes: number of classes K.
        confidence: (n,) probability of the predicted class, or None to leave ECE out.
    """
    import numpy as np
    import torch
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    matrix = multiclass_confusion_matrix(
        torch.as_tensor(prediction.astype(np.int64)), torch.as_tensor(target.astype(np.int64)), classes
    ).double()
    hit, truth, predicted = matrix.diag(), matrix.sum(1), matrix.sum(0)
    present = truth > 0
    scores = {
        "accuracy": float(hit.sum() / matrix.sum()),
        "balanced_accuracy": float((hit[present] / truth[present]).mean()),
        "macro_f1": float((2 * hit / (truth + predicted).clamp_min(1))[present].mean()),
    }
    if confidence is not None:
        # torchmetrics needs all K probabilities; records hold only the largest one per sample.
        scores["ece"] = _ece(confidence, prediction == target)
    return scores


def _ece(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error of top-label confidences (Guo et al. 2017, eq. 3), equal-width bins."""
    import numpy as np

    which = np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(which, confidence.astype(np.float64) - right, minlength=bins)
    return float(np.abs(gap).sum() / len(right))


def auroc(score: np.ndarray, target: np.ndarray) -> float:
    """Return the area under the ROC curve of each label or class against the rest, averaged over labels or classes.

    Args:
        score: (n, K) probabilities.
        target: (n, K) multi-hot, or (n,) class indices. Labels without a positive or without a negative are left out of
            the mean.

    Returns:
        A value in 0..1, NaN where no label has both positives and negatives.
    """
    import numpy as np
    import torch
    from torchmetrics.functional.classification import multilabel_auroc

    truth = target if target.ndim == 2 else target[:, None] == np.arange(score.shape[1])
    varied = (truth > 0).any(0) & ~(truth > 0).all(0)
    if not varied.any():
        return float("nan")
    scores, right = torch.as_tensor(score[:, varied]).double(), torch.as_tensor(truth[:, varied]).long()
    if right.shape[1] == 1:  # torchmetrics requires at least two labels
        scores, right = scores.repeat(1, 2), right.repeat(1, 2)
    return float(multilabel_auroc(scores, right, num_labels=right.shape[1], average="macro"))


def multilabel(score: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Return micro and macro average precision, micro and macro F1 at probability 0.5, and macro AUROC.

    Args:
        score: (n, K) probabilities.
        target: (n, K) multi-hot. Labels without a positive are left out of the macro means.
    """
    import torch
    from torchmetrics.functional.classification import multilabel_average_precision, multilabel_f1_score

    scores, truth = torch.as_tensor(score).float(), torch.as_tensor(target).long()
    present = truth.sum(0) > 0
    count = truth.shape[1]
    each = multilabel_average_precision(scores, truth, num_labels=count, average="none")
    return {
        "map": float(multilabel_average_precision(scores, truth, num_labels=count, average="micro")),
        "macro_map": float(each[present].mean()),
        "micro_f1": float(multilabel_f1_score(scores, truth, num_labels=count, average="micro")),
        "macro_f1": float(multilabel_f1_score(scores, truth, num_labels=count, average="none")[present].mean()),
        "auroc": auroc(score, target),
    }


def regression(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Return R², RMSE, MAE and Spearman's rho, averaged over outputs; both (n, q) in the target's unit.

    R² of fewer than two samples, or of a constant target, is NaN.
    """
    import numpy as np
    from scipy.stats import spearmanr

    predicted, truth = prediction.astype(np.float64), target.astype(np.float64)
    error = predicted - truth
    spread = ((truth - truth.mean(0)) ** 2).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 0, 1 - (error**2).sum(0) / spread, np.nan)
    varied = len(truth) > 1 and bool((spread > 0).all()) and bool((predicted.std(0) > 0).all())
    rho = (
        [spearmanr(predicted[:, j], truth[:, j]).statistic for j in range(truth.shape[1])] if varied else [float("nan")]
    )
    return {
        "r2": float(r2.mean()),
        "rmse": float(np.sqrt((error**2).mean(0)).mean()),
        "mae": float(np.abs(error).mean()),
        "spearman": float(np.mean(rho)),
    }


def segmentation(confusion: np.ndarray) -> dict[str, float]:
    """Return mIoU and pixel accuracy from confusion matrices summed over images.

    Args:
        confusion: (K, K) or (n, K, K) counts, rows truth, columns prediction.

    Returns:
        ``miou`` over the classes in truth or prediction: a class absent from both is left out, never scored 0.
        ``iou_<k>`` is NaN for such a class; ``classes_absent`` counts them.
    """
    import numpy as np

    matrix = confusion.reshape(-1, *confusion.shape[-2:]).sum(0).astype(np.float64)
    hit = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hit
    with np.errstate(divide="ignore", invalid="ignore"):
        iou = np.where(union > 0, hit / union, np.nan)
    present = union > 0
    total = matrix.sum()
    return {
        "miou": float(iou[present].mean()) if present.any() else float("nan"),
        "pixel_accuracy": float(hit.sum() / total) if total else float("nan"),
        "classes_absent": float((~present).sum()),
        **{f"iou_{k}": float(value) for k, value in enumerate(iou)},
    }


def boundary_f1(counts: np.ndarray) -> float:
    """Return the boundary F1 of each class, averaged over the classes that have a boundary in truth or prediction.

    Precision is the share of predicted boundary pixels near a true one, recall the share of true ones near a predicted
    one (Csurka et al. 2013), each over all images together.

    Args:
        counts: (n, K, 4) of each image and class, see `bench.metrics.boundaries.boundary_counts`.
    """
    import numpy as np

    predicted_near, predicted, met, truth = np.moveaxis(counts.sum(0).astype(np.float64), -1, 0)
    present = predicted + truth > 0
    precision, recall = predicted_near / np.maximum(predicted, 1), met / np.maximum(truth, 1)
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(score[present].mean()) if present.any() else float("nan")


def dense_regression(errors: np.ndarray) -> dict[str, float]:
    """Return R2, RMSE and MAE over all pixels that have a value.

    Args:
        errors: (n, 5) sums of each image, see `bench.metrics.pixel_sums.error_sums`.
    """
    import numpy as np

    squares, absolute, value, square, count = errors.reshape(-1, 5).sum(0).astype(np.float64)
    if not count:
        return {"r2": float("nan"), "rmse": float("nan"), "mae": float("nan")}
    spread = square - value**2 / count
    return {
        "r2": float(1 - squares / spread) if spread > 0 else float("nan"),
        "rmse": float(np.sqrt(squares / count)),
        "mae": float(absolute / count),
    }


def score(task: Task, outcome: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return every score of a task, by metric name, computed from per-sample outcomes.

    Args:
        task: its kind determines the scores.
        outcome: ``prediction`` and ``target`` (and ``confidence``), ``confusion`` (n, K, K), ``errors`` (n, 5), or
            ``detected`` and ``truth``, see `bench.metrics.boxes.matched`.
    """
    if task.kind == "classification":
        return classification(outcome["prediction"], outcome["target"], len(task.classes), outcome.get("confidence"))
    if task.kind == "multilabel":
        return multilabel(outcome["prediction"], outcome["target"])
    if task.kind == "regression":
        return regression(outcome["prediction"], outcome["target"])
    if task.kind == "dense_regression":
        return dense_regression(outcome["errors"])
    if task.kind == "detection":
        from bench.metrics.boxes import average_precision

        return average_precision(outcome["detected"], outcome["truth"])
    return segmentation(outcome["confusion"])
