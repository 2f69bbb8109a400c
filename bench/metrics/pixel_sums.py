"""Sums over the pixels of each image, from which the scores of masks and of dense values follow."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion_counts(prediction: Tensor, target: Tensor, classes: int, ignore: int | None) -> Tensor:
    """Return the confusion matrices (B, R, K, K) int64 of each image and predictor: rows truth, columns prediction.

    Args:
        prediction: (B, R, H, W) int64 classes of R predictors.
        target: (B, H, W) int64 classes.
        classes: number of classes K.
        ignore: label that is not counted, or None (then negative ones are not).

    >>> prediction, target = torch.tensor([[[[0, 1, 1]]]]), torch.tensor([[[0, 0, -1]]])
    >>> confusion_counts(prediction, target, 2, ignore=-1).tolist()
    [[[[1, 1], [0, 0]]]]
    """
    images, predictors = prediction.shape[:2]
    valid = target >= 0 if ignore is None else target != ignore
    # One count serves all images and predictors: each has codes of its own.
    first = torch.arange(images * predictors, device=target.device).view(images, predictors, 1, 1) * classes**2
    codes = first + target[:, None] * classes + prediction
    counts = torch.bincount(codes[valid[:, None].expand_as(codes)], minlength=images * predictors * classes**2)
    return counts.view(images, predictors, classes, classes)


def error_sums(prediction: Tensor, target: Tensor, centre: float) -> Tensor:
    """Return the sums (B, R, 5) float64 of each image and predictor over the pixels that have a value.

    The sums are those of squared error, absolute error, value less `centre`, the square of that, and the number of
    pixels; `bench.metrics.dense_regression` makes scores of them. Values are taken relative to a `centre` near their
    mean, so that the variance that R2 needs is not the difference of two large numbers.

    Args:
        prediction: (B, R, H, W) values of R predictors.
        target: (B, H, W) values, NaN where there is none.
        centre: of the values, the same for all images of a task.

    >>> error_sums(torch.tensor([[[[1.0, 5.0]]]]), torch.tensor([[[3.0, torch.nan]]]), centre=2.0).tolist()
    [[[4.0, 2.0, 1.0, 1.0, 1.0]]]
    """
    valid = target.isfinite()
    value = torch.where(valid, target.double() - centre, 0.0)
    error = torch.where(valid[:, None], prediction.double() - centre - value[:, None], 0.0)
    sums = torch.stack([value.sum((1, 2)), value.square().sum((1, 2)), valid.double().sum((1, 2))], -1)
    errors = torch.stack([error.square().sum((2, 3)), error.abs().sum((2, 3))], -1)
    return torch.cat([errors, sums[:, None].expand(-1, prediction.shape[1], -1)], -1)
