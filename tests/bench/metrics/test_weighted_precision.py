"""Average precision of weighted images: pycocotools' on random boxes, and on the images drawn twice."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from analysis.statistics.intervals import score_draws
from bench.metrics import boxes
from bench.metrics.boxes import MOST, matched, weighted_precision


def scene(seed, images=12, classes=3, most=6):
    """Random true boxes, and found ones: some near them, some anywhere."""
    rng = np.random.default_rng(seed)
    target, predicted = [], []
    for _ in range(images):
        count = int(rng.integers(0, most))
        corner = rng.uniform(0, 80, (count, 2))
        true = np.concatenate([corner, corner + rng.uniform(8, 30, (count, 2))], 1)
        labels = rng.integers(0, classes, count)
        near = true[rng.random(count) < 0.8] + 0
        near = near + rng.normal(0, 1.2, near.shape)
        named = labels[: len(near)]
        wild = rng.uniform(0, 60, (int(rng.integers(0, most)), 2))
        wild = np.concatenate([wild, wild + rng.uniform(5, 30, wild.shape)], 1)
        detections = np.concatenate([near, wild])
        target.append({"boxes": true, "labels": labels})
        predicted.append(
            {
                "boxes": detections,
                "scores": rng.random(len(detections)).round(2),  # some scores tie
                "labels": np.concatenate([named, rng.integers(0, classes, len(wild))]),
            }
        )
    return predicted, target


def coco(predicted, target, classes=3):
    truth, detections = COCO(), COCO()
    images = [{"id": place} for place in range(len(target))]
    categories = [{"id": code} for code in range(classes)]
    truth.dataset = {"images": images, "categories": categories, "annotations": boxes._listed(target)}
    detections.dataset = {"images": images, "categories": categories, "annotations": boxes._listed(predicted)}
    truth.createIndex(), detections.createIndex()
    judge = COCOeval(truth, detections, "bbox")
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
    judge.params.maxDets = [MOST]
    judge.evaluate(), judge.accumulate()
    precision = judge.eval["precision"]
    return [float(part[part > -1].mean()) for part in (precision, precision[0])]


@pytest.mark.parametrize("seed", range(4))
def test_it_is_pycocotools_on_random_boxes(seed):
    predicted, target = scene(seed)
    detected, truth = matched(predicted, target, 3)
    equal_weights = np.ones((1, len(target)))
    wanted = coco(predicted, target)
    assert weighted_precision(detected, truth, equal_weights)[0] == pytest.approx(wanted[0], abs=1e-6)
    assert weighted_precision(detected, truth, equal_weights, overlaps=1)[0] == pytest.approx(wanted[1], abs=1e-6)


def test_an_image_that_weighs_two_counts_as_two_images_and_one_of_weight_zero_as_none():
    predicted, target = scene(11)
    rng = np.random.default_rng(1)
    for image in predicted:  # the order of copies of tied boxes is anybody's guess
        image["scores"] = rng.random(len(image["scores"]))
    detected, truth = matched(predicted, target, 3)
    weights = rng.integers(0, 4, (3, len(target)))
    precision = weighted_precision(detected, truth, weights)
    for row, value in zip(weights, precision, strict=True):
        order = np.repeat(np.arange(len(target)), row)
        assert value == pytest.approx(coco([predicted[i] for i in order], [target[i] for i in order])[0], abs=1e-6)


def test_a_class_without_true_boxes_is_left_out_and_no_true_box_at_all_has_no_score():
    predicted, target = scene(3)
    detected, truth = matched(predicted, target, 3)
    equal_weights = np.ones((1, len(target)))
    wider = np.concatenate([truth, np.zeros((len(truth), 1), truth.dtype)], 1)
    assert weighted_precision(detected, wider, equal_weights) == pytest.approx(
        weighted_precision(detected, truth, equal_weights)
    )
    assert np.isnan(weighted_precision(detected, truth * 0, equal_weights)).all()
    assert weighted_precision(detected[:0], truth, equal_weights)[0] == 0


def test_draws_of_blocks_hold_the_score_and_spread_around_it():
    predicted, target = scene(5, images=40)
    detected, truth = matched(predicted, target, 3)
    codes = np.arange(40) // 2
    rng = np.random.default_rng(0)
    weights = np.stack([np.bincount(rng.integers(0, 20, 20), minlength=20) for _ in range(50)])
    outcome = {"detected": detected[None], "truth": truth}
    point, draws = score_draws("box_map50", outcome, 3, codes, weights)
    assert point[0] == pytest.approx(coco(predicted, target)[1], abs=1e-6)
    assert draws.shape == (50, 1) and draws.min() < point[0] < draws.max()
