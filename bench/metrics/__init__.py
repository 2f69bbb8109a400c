"""Scores of predictions against targets."""

from bench.metrics.scores import (
    INFINITY,
    METRICS,
    Metric,
    auroc,
    boundary_f1,
    classification,
    dense_regression,
    direction_sign,
    metric,
    multilabel,
    regression,
    score,
    segmentation,
)

__all__ = [
    "INFINITY",
    "METRICS",
    "Metric",
    "auroc",
    "boundary_f1",
    "classification",
    "dense_regression",
    "direction_sign",
    "metric",
    "multilabel",
    "regression",
    "score",
    "segmentation",
]
