"""Found boxes matched with true ones, image by image, so that average precision can be had of any set of images."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence

import numpy as np

MOST = 100  # boxes an image and class that count, as COCO has it
THRESHOLDS = 10  # overlaps 0.50, 0.55 ... 0.95


def matched(
    predicted: Sequence[Mapping[str, np.ndarray]], target: Sequence[Mapping[str, np.ndarray]], classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return which found boxes are right at each overlap, and how many true ones there are.

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
    for place, one in enumerate(target):
        np.add.at(truth[place], np.asarray(one["labels"], int), 1)
    coco, found = COCO(), COCO()
    images = [{"id": place} for place in range(len(target))]
    categories = [{"id": code} for code in range(classes)]
    coco.dataset = {"images": images, "categories": categories, "annotations": _listed(target)}
    found.dataset = {"images": images, "categories": categories, "annotations": _listed(predicted)}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
        coco.createIndex()
        found.createIndex()
        judge = COCOeval(coco, found, "bbox")
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.params.maxDets = [MOST]
        judge.evaluate()
    rows = []
    for one in judge.evalImgs:
        if one is None or not one["dtScores"]:
            continue
        count = len(one["dtScores"])
        where, code = np.full(count, one["image_id"]), np.full(count, one["category_id"])
        rows.append(np.column_stack([where, one["dtScores"], code, (np.asarray(one["dtMatches"]) > 0).T]))
    empty = np.zeros((0, 3 + THRESHOLDS), np.float32)
    return (np.concatenate(rows).astype(np.float32) if rows else empty), truth


def _listed(images: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, object]]:
    """Return COCO's annotations of some images; numbers start at 1, since 0 would read as unmatched."""
    found: list[dict[str, object]] = []
    for place, one in enumerate(images):
        boxes = np.asarray(one["boxes"], np.float64).reshape(-1, 4)
        scores = np.asarray(one.get("scores", np.ones(len(boxes))), np.float64)
        for box, label, score in zip(boxes, np.asarray(one["labels"], int), scores, strict=True):
            wide, tall = box[2:] - box[:2]
            found.append(
                {
                    "id": len(found) + 1,
                    "image_id": place,
                    "category_id": int(label),
                    "bbox": [float(box[0]), float(box[1]), float(wide), float(tall)],
                    "area": float(wide * tall),
                    "score": float(score),
                    "iscrowd": 0,
                }
            )
    return found


def average_precision(detected: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return COCO's ``box_map`` over overlaps 0.50 ... 0.95, and ``box_map50``, of what `matched` gives.

    Precision is read at 101 recalls, and averaged over overlaps and the classes that have a true box.
    """
    classes = [code for code in range(truth.shape[1]) if truth[:, code].sum()]
    if not classes:
        return {"box_map": float("nan"), "box_map50": float("nan")}
    recalls = np.linspace(0, 1, 101)
    found = np.zeros((len(classes), THRESHOLDS))
    for place, code in enumerate(classes):
        mine = detected[detected[:, 2] == code]
        right = mine[np.argsort(-mine[:, 1], kind="stable"), 3:].astype(np.float64)
        if not len(right):
            continue
        hit = np.cumsum(right, axis=0)
        precision = hit / np.arange(1, len(right) + 1)[:, None]
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        for overlap in range(THRESHOLDS):
            where = np.searchsorted(hit[:, overlap] / truth[:, code].sum(), recalls, side="left")
            inside = where < len(right)
            found[place, overlap] = np.where(inside, envelope[np.minimum(where, len(right) - 1), overlap], 0).mean()
    return {"box_map": float(found.mean()), "box_map50": float(found[:, 0].mean())}
