"""Boxes matched image by image give pycocotools' average precision."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.metrics.boxes import MOST, average_precision, matched


def scene(rng, images=12, classes=3):
    """True boxes, and found ones: shifted copies, misses, doubles and inventions; one image is empty of each."""
    target, predicted = [], []
    for image in range(images):
        count = 0 if image == 2 else int(rng.integers(1, 6))
        corner, side = rng.uniform(0, 80, (count, 2)), rng.uniform(6, 40, (count, 2))
        boxes, labels = np.hstack([corner, corner + side]), rng.integers(0, classes, count)
        target.append({"boxes": boxes, "labels": labels})
        kept = rng.random(count) < 0.8
        moved = boxes[kept] + rng.normal(0, 3, (kept.sum(), 4))
        extra = rng.uniform(0, 60, (0 if image == 5 else 2, 2))
        detections = np.vstack([moved, moved, np.hstack([extra, extra + 15])])
        detected_labels = np.concatenate([labels[kept], labels[kept], rng.integers(0, classes, len(extra))])
        predicted.append(
            {"boxes": detections, "scores": rng.random(len(detections)).round(2), "labels": detected_labels}
        )
    return predicted, target


def by_pycocotools(predicted, target, classes):
    """The first two of the twelve numbers COCOeval prints, of its own annotations and results."""
    annotations = [
        {"id": number, "image_id": image, "category_id": int(label), "bbox": [*box[:2], *(box[2:] - box[:2])]}
        for number, (image, box, label) in enumerate(
            (
                (image, box, label)
                for image, truth in enumerate(target)
                for box, label in zip(*truth.values(), strict=True)
            ),
            1,
        )
    ]
    annotations = [
        annotation | {"area": annotation["bbox"][2] * annotation["bbox"][3], "iscrowd": 0} for annotation in annotations
    ]
    rows = [
        [image, *box[:2], *(box[2:] - box[:2]), score, label]
        for image, detection in enumerate(predicted)
        for box, score, label in zip(detection["boxes"], detection["scores"], detection["labels"], strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(len(target))],
            "categories": [{"id": code} for code in range(classes)],
            "annotations": annotations,
        }
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(np.array(rows)), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return {"box_map": judge.stats[0], "box_map50": judge.stats[1]}


@pytest.mark.parametrize("seed", range(4))
def test_it_is_pycocotools_average_precision(seed):
    predicted, target = scene(np.random.default_rng(seed))
    wanted = by_pycocotools(predicted, target, 3)
    assert average_precision(*matched(predicted, target, 3)) == pytest.approx(wanted, abs=1e-12)


def test_a_perfect_finder_has_one_and_an_absent_class_counts_for_nothing():
    _, target = scene(np.random.default_rng(0))
    perfect = [image | {"scores": np.ones(len(image["labels"]))} for image in target]
    assert average_precision(*matched(perfect, target, 7)) == {"box_map": 1.0, "box_map50": 1.0}


def test_nothing_found_is_zero_and_nothing_true_is_no_score():
    _, target = scene(np.random.default_rng(0))
    nothing = [{"boxes": np.zeros((0, 4)), "scores": np.zeros(0), "labels": np.zeros(0, int)} for _ in target]
    detected, truth = matched(nothing, target, 3)
    assert detected.shape == (0, 13) and truth.sum() == sum(len(image["labels"]) for image in target)
    assert average_precision(detected, truth) == {"box_map": 0.0, "box_map50": 0.0}
    assert all(math.isnan(value) for value in average_precision(*matched(nothing, nothing, 3)).values())


def test_no_more_boxes_count_than_coco_counts():
    box = {"boxes": np.array([[0.0, 0, 10, 10]]), "labels": np.array([0])}
    many = {
        "boxes": np.tile(box["boxes"], (MOST + 5, 1)),
        "scores": np.linspace(1, 0, MOST + 5),
        "labels": np.zeros(MOST + 5, int),
    }
    detected, _ = matched([many], [box], 1)
    assert len(detected) == MOST and detected[:, 3].sum() == 1
