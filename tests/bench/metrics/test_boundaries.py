"""Boundary F1 against distances taken pixel by pixel, and the area under the ROC curve against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_cdt
from sklearn.metrics import f1_score, roc_auc_score

from bench.metrics import auroc, boundary_f1, multilabel
from bench.metrics.boundaries import boundary_counts


def edges(codes, valid, code):
    """The boundary of one class, pixel by pixel."""
    edge = np.zeros(codes.shape, bool)
    for (y, x), value in np.ndenumerate(codes):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= v < codes.shape[0] and 0 <= u < codes.shape[1]
            if inside and value == code and codes[v, u] != value and valid[y, x] and valid[v, u]:
                edge[y, x] = True
    return edge


def test_counts_are_those_of_distances_pixel_by_pixel():
    rng = np.random.default_rng(0)
    predicted, target = rng.integers(0, 3, (2, 2, 23, 31)).repeat(4, 2).repeat(3, 3)
    target[:, 5:9] = 255
    reach = math.ceil(0.0075 * math.hypot(*target.shape[1:]))
    counts = boundary_counts(torch.from_numpy(predicted), torch.from_numpy(target), 3, 255).numpy()
    for image in range(2):
        valid = target[image] != 255
        for code in range(3):
            predicted_edges, true_edges = edges(predicted[image], valid, code), edges(target[image], valid, code)
            near = [distance_transform_cdt(~edge, "chessboard") <= reach for edge in (predicted_edges, true_edges)]
            assert counts[image, code].tolist() == [
                (predicted_edges & near[1]).sum(),
                predicted_edges.sum(),
                (true_edges & near[0]).sum(),
                true_edges.sum(),
            ]


def test_a_perfect_mask_has_one_a_shifted_one_as_much_as_lies_in_reach():
    target = torch.zeros(1, 100, 100, dtype=torch.int64)
    target[:, :, 50:] = 1

    def score(shift):
        return boundary_f1(boundary_counts(target.roll(shift, 2)[:, :, :90], target[:, :, :90], 2, None).numpy())

    assert score(0) == 1
    # The diagonal of 135 pixels allows for 2; the wrap-around brings a second, wrong boundary on the left.
    reached = score(2)
    assert reached == pytest.approx(2 * 0.5 / 1.5)
    assert score(5) == 0


def test_a_class_in_neither_is_left_out_and_no_boundary_is_no_score():
    flat = torch.zeros(1, 8, 8, dtype=torch.int64)
    assert math.isnan(boundary_f1(boundary_counts(flat, flat, 2, None).numpy()))
    half = flat.clone()
    half[:, 4:] = 1
    assert boundary_f1(boundary_counts(half, half, 5, None).numpy()) == 1


def test_auroc_is_scikit_learns():
    rng = np.random.default_rng(0)
    target, score = rng.integers(0, 2, (200, 4)), rng.random((200, 4))
    assert auroc(score, target) == pytest.approx(roc_auc_score(target, score, average="macro"))
    classes = rng.integers(0, 4, 200)
    chance = score / score.sum(1, keepdims=True)
    assert auroc(chance, classes) == pytest.approx(roc_auc_score(classes, chance, multi_class="ovr", average="macro"))
    both = np.stack([1 - score[:, 0], score[:, 0]], 1)
    assert auroc(both, target[:, 0]) == pytest.approx(roc_auc_score(target[:, 0], score[:, 0]))


def test_a_label_that_never_varies_is_left_out_of_the_mean():
    rng = np.random.default_rng(0)
    target, score = rng.integers(0, 2, (50, 3)), rng.random((50, 3))
    target[:, 1] = 0
    wanted = np.mean([roc_auc_score(target[:, k], score[:, k]) for k in (0, 2)])
    assert auroc(score, target) == pytest.approx(wanted)
    assert math.isnan(auroc(score, np.zeros((50, 3), int)))
    kept = [f1_score(target[:, k], score[:, k] > 0.5) for k in (0, 2)]
    assert multilabel(score, target)["macro_f1"] == pytest.approx(np.mean(kept))
