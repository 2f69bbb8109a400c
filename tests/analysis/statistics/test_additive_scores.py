"""Additive scores: by hand, and equal to the scores that a record holds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    r2_score,
)

from analysis.statistics import additive_scores
from analysis.statistics.additive_scores import ADDITIVE, class_statistics, error_statistics, miou
from analysis.statistics.intervals import (
    score_draws,
)
from bench import metrics
from bench.core import Task

LABELS = 5


def outcome_of(kind, layers=3, n=120, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "classification":
        target = rng.integers(0, LABELS, n).astype(np.int16)
        noise = rng.integers(0, LABELS, (layers, n)).astype(np.int16)
        return {"prediction": np.where(rng.random((layers, n)) < 0.6, target, noise), "target": target}
    if kind == "multilabel":
        target = (rng.random((n, LABELS)) < 0.3).astype(np.int8)
        return {
            "prediction": (0.4 * target + 0.6 * rng.random((layers, n, LABELS))).astype(np.float32),
            "target": target,
        }
    if kind == "regression":
        target = (500 + 20 * rng.standard_normal((n, 2))).astype(np.float32)
        return {"prediction": (target + 9 * rng.standard_normal((layers, n, 2))).astype(np.float32), "target": target}
    return {"confusion": rng.integers(0, 900, (layers, n, LABELS, LABELS))}


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression", "segmentation"])
def test_points_equal_the_scores_a_record_holds(kind):
    task = Task(name="t", kind=kind, classes=tuple("abcde") if kind != "regression" else (), metric="any")
    outcome = outcome_of(kind)
    codes = np.arange(120)
    compared = 0
    for layer in range(3):
        held = {name: part if name == "target" else part[layer] for name, part in outcome.items()}
        for name, value in metrics.score(task, held).items():
            if name in ADDITIVE or name == "map":
                points, _ = score_draws(name, outcome, LABELS, codes, np.ones((1, 120), np.uint16))
                assert points[layer] == pytest.approx(value, abs=2e-6)
                compared += 1
    assert compared >= 6


def test_miou_of_a_two_by_two_matrix_by_hand():
    matrix = np.array([[50, 10], [5, 35]])  # rows truth
    sums = class_statistics({"confusion": matrix[None, None]}, 2).sum(0)
    assert miou(sums)[0] == pytest.approx((50 / 65 + 35 / 50) / 2)
    assert additive_scores.pixel_accuracy(sums)[0] == pytest.approx(0.85)


def test_a_class_in_neither_truth_nor_prediction_is_left_out_and_one_only_predicted_counts_as_zero():
    matrix = np.array([[50, 10, 0], [5, 35, 0], [0, 0, 0]])
    absent = class_statistics({"confusion": matrix[None, None]}, 3).sum(0)
    assert miou(absent)[0] == pytest.approx((50 / 65 + 35 / 50) / 2)
    matrix[0, 2] = 4
    predicted = class_statistics({"confusion": matrix[None, None]}, 3).sum(0)
    assert miou(predicted)[0] == pytest.approx((50 / 69 + 35 / 50 + 0) / 3)
    assert np.isnan(miou(np.zeros((1, 9)))[0])


def test_r2_does_not_suffer_from_a_large_mean():
    rng = np.random.default_rng(0)
    target = 1e6 + rng.standard_normal((300, 1))
    predicted = target + 0.5 * rng.standard_normal((1, 300, 1))
    sums = error_statistics({"prediction": predicted, "target": target}, 0).sum(0)
    assert additive_scores.r2(sums)[0] == pytest.approx(r2_score(target, predicted[0]), abs=1e-9)


def test_a_constant_target_has_no_r2():
    sums = error_statistics({"prediction": np.ones((1, 4, 1)), "target": np.full((4, 1), 2.0)}, 0).sum(0)
    assert np.isnan(additive_scores.r2(sums)[0])
