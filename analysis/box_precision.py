"""COCO's average precision of matched boxes under any weighting of the images, for resampling; numpy alone.

`bench.boxes.matched` has said which found boxes are right. What remains is a ranking by score and a curve, and an image
drawn twice counts twice: a resample is a row of weights, as in `analysis.intervals`.
"""

from __future__ import annotations

import numpy as np

RECALLS = np.linspace(0.0, 1.0, 101)
OVERLAPS = 10
FIRST = 3  # column of the first overlap in `detected`: position of the image, score and class stand before it
SLAB = 1 << 23


def box_average_precision(
    detected: np.ndarray, truth: np.ndarray, weights: np.ndarray, *, overlaps: int = OVERLAPS
) -> np.ndarray:
    """Return the mean average precision of each row of weights, (B,); NaN where no image weighed has a true box.

    The precision at 101 recalls (Lin et al. 2014, pycocotools), from the surest box down, boxes of equal score in the
    order given; averaged over recalls, overlaps and the classes with a true box.

    Args:
        detected: (m, 13) from `bench.boxes.matched`: position of the image, score, class, right at each overlap.
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
    found = np.zeros(len(weights))
    if not right.any():
        return found
    each = weights[:, image].astype(np.float64)
    said = np.cumsum(each, axis=1)
    for column in right.T:
        # Recall rises at right boxes alone, and precision is highest there: the rest of the curve plays no part.
        hits = np.flatnonzero(column)
        if not len(hits):
            continue
        hit = np.cumsum(each[:, hits], axis=1)
        precision = hit / (said[:, hits] + np.spacing(1))
        ceiling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hit / there[:, None]
        reached = np.searchsorted(RECALLS, np.nan_to_num(recall).ravel(), side="right").reshape(recall.shape)
        # Recall 0 is reached by the first box of all, right or wrong, where one is right at all later on.
        reached = np.where(hit > 0, reached, 0)
        found += (np.diff(reached, prepend=0, axis=1) * ceiling).sum(axis=1)
    return np.asarray(found / (len(RECALLS) * right.shape[1]))


def box_draws(
    metric: str, detected: np.ndarray, truth: np.ndarray, codes: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return ``box_map`` or ``box_map50`` on the test set and in every resample of its blocks, (1 + B,).

    Args:
        metric: which.
        detected: see `box_average_precision`.
        truth: likewise.
        codes: (n,) block of each image.
        weights: (B, G) how often each resample draws each block.
    """
    rows = np.concatenate([np.ones((1, weights.shape[1]), weights.dtype), weights])
    return box_average_precision(detected, truth, rows[:, codes], overlaps=1 if metric == "box_map50" else OVERLAPS)
