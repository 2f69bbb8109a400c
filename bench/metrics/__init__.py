"""Scores of predictions against targets."""

from bench.metrics.scores import (
    INFINITY,
    METRICS,
    Metric,
    auroc,
    better,
    boundary_f1,
    classification,
    dense_regression,
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
    "better",
    "boundary_f1",
    "classification",
    "dense_regression",
    "metric",
    "multilabel",
    "regression",
    "score",
    "segmentation",
]
