"""Predicted boxes matched with true ones, image by image, so that any set of images has an average precision."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence

import numpy as np

MOST = 100  # boxes an image and class that count, as COCO has it
THRESHOLDS = 10  # overlaps 0.50, 0.55 ... 0.95
OVERLAPS = {"box_map": THRESHOLDS, "box_map50": 1}  # how many of them each score averages over
RECALLS = np.linspace(0.0, 1.0, 101)
FIRST = 3  # column of the first overlap in `detected`: position of the image, score and class stand before it
SLAB = 1 << 23  # weights at once


def matched(
    predicted: Sequence[Mapping[str, np.ndarray]], target: Sequence[Mapping[str, np.ndarray]], classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return which predicted boxes are correct at each overlap, and the number of true ones.

    COCO's matching (pycocotools): within an image and class the surest box first, each taking the free true box it
    overlaps most.

    Args:
        predicted: of each image ``boxes`` (M, 4) x1 y1 x2 y2, ``scores`` (M,) and ``labels`` (M,) from 0.
        target: of each image ``boxes`` (N, 4) and ``labels`` (N,); N may be 0.
        classes: number of classes K.

    Returns:
        (m, 13) float32: position of the image, score, class, and 1 at each of 10 overlaps 0.50 ... 0.95 where right;
        (n, K) int32 true boxes.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = np.zeros((len(target), classes), np.int32)
    for place, image in enumerate(target):
        np.add.at(truth[place], np.asarray(image["labels"], int), 1)
    coco, detections = COCO(), COCO()
    images = [{"id": place} for place in range(len(target))]
    categories = [{"id": code} for code in range(classes)]
    coco.dataset = {"images": images, "categories": categories, "annotations": _listed(target)}
    detections.dataset = {"images": images, "categories": categories, "annotations": _listed(predicted)}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
        coco.createIndex()
        detections.createIndex()
        judge = COCOeval(coco, detections, "bbox")
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.params.maxDets = [MOST]
        judge.evaluate()
    rows = []
    for image in judge.evalImgs:
        if image is None or not image["dtScores"]:
            continue
        count = len(image["dtScores"])
        where, code = np.full(count, image["image_id"]), np.full(count, image["category_id"])
        rows.append(np.column_stack([where, image["dtScores"], code, (np.asarray(image["dtMatches"]) > 0).T]))
    empty = np.zeros((0, 3 + THRESHOLDS), np.float32)
    return (np.concatenate(rows).astype(np.float32) if rows else empty), truth


def _listed(images: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, object]]:
    """Return COCO's annotations of some images; numbers start at 1, since 0 would read as unmatched."""
    annotations: list[dict[str, object]] = []
    for place, image in enumerate(images):
        boxes = np.asarray(image["boxes"], np.float64).reshape(-1, 4)
        scores = np.asarray(image.get("scores", np.ones(len(boxes))), np.float64)
        for box, label, score in zip(boxes, np.asarray(image["labels"], int), scores, strict=True):
            wide, tall = box[2:] - box[:2]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": place,
                    "category_id": int(label),
                    "bbox": [float(box[0]), float(box[1]), float(wide), float(tall)],
                    "area": float(wide * tall),
                    "score": float(score),
                    "iscrowd": 0,
                }
            )
    return annotations


def average_precision(detected: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return COCO's ``box_map`` over overlaps 0.50 ... 0.95, and ``box_map50``, of what `matched` gives.

    NaN where there is no true box. (torchmetrics 1.9 reads precision at recalls rounded to float32, which moves it by
    up to 0.001 where a recall is met exactly.)
    """
    once = np.ones((1, len(truth)))
    return {
        name: float(weighted_precision(detected, truth, once, overlaps=overlaps)[0])
        for name, overlaps in OVERLAPS.items()
    }


def weighted_precision(
    detected: np.ndarray, truth: np.ndarray, weights: np.ndarray, *, overlaps: int = THRESHOLDS
) -> np.ndarray:
    """Return the mean average precision of each row of weights, (B,); NaN where no image weighed has a true box.

    The precision at 101 recalls (Lin et al. 2014, pycocotools), from the surest box down, boxes of equal score in the
    order given; averaged over recalls, overlaps and the classes with a true box. An image drawn twice counts twice.

    Args:
        detected: (m, 13) from `matched`: position of the image, score, class, right at each overlap.
        truth: (n, K) true boxes of each image and class.
        weights: (B, n) how often each draw counts an image.
        overlaps: how many of the overlaps 0.50, 0.55 ... 0.95 count, from the first; 1 for mAP50.
    """
    total = np.zeros(len(weights))
    classes = np.zeros(len(weights))
    for code in range(truth.shape[1]):
        there = weights.astype(np.float64) @ truth[:, code].astype(np.float64)
        own = detected[detected[:, 2] == code]
        # COCO sorts scores stably over images in their order.
        own = own[np.lexsort((own[:, 0], -own[:, 1].astype(np.float64)))]
        right = own[:, FIRST : FIRST + overlaps] > 0
        step = max(1, SLAB // max(1, len(own)))
        for start in range(0, len(weights), step):
            rows = slice(start, start + step)
            scores = _class_precision(own[:, 0].astype(np.int64), right, there[rows], weights[rows])
            total[rows] += np.where(there[rows] > 0, scores, 0.0)
        classes += there > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(classes > 0, total / classes, np.nan))


def _class_precision(image: np.ndarray, right: np.ndarray, there: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return one class's precision averaged over recalls and overlaps, (B,), of boxes in falling order of score."""
    precision_sum = np.zeros(len(weights))
    if not right.any():
        return precision_sum
    each = weights[:, image].astype(np.float64)
    detected = np.cumsum(each, axis=1)
    for column in right.T:
        # Recall rises at right boxes alone, and precision is highest there: the rest of the curve plays no part.
        hits = np.flatnonzero(column)
        if not len(hits):
            continue
        hit = np.cumsum(each[:, hits], axis=1)
        precision = hit / (detected[:, hits] + np.spacing(1))
        ceiling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hit / there[:, None]
        reached = np.searchsorted(RECALLS, np.nan_to_num(recall).ravel(), side="right").reshape(recall.shape)
        # Recall 0 is reached by the first box of all, right or wrong, where one is right at all later on.
        reached = np.where(hit > 0, reached, 0)
        precision_sum += (np.diff(reached, prepend=0, axis=1) * ceiling).sum(axis=1)
    return np.asarray(precision_sum / (len(RECALLS) * right.shape[1]))
