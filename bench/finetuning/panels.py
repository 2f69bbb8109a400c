"""A few images of a test split with what was said of them, kept in the record so that a report can show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.core import Band, Sample, Task
from bench.finetuning.task_model import TaskModel, predictions
from bench.finetuning.workbench import Workbench
from bench.input.batches import Examples, ImageExamples, StoredExamples

IMAGES = 6
SIDE = 256  # pixels of a kept image, at most
COLOURS = (("red", "b04"), ("green", "b03"), ("blue", "b02"))


def kept_images(
    assembly: TaskModel, examples: Examples, outcome: Mapping[str, np.ndarray], task: Task, network: Workbench | None
) -> dict[str, np.ndarray]:
    """Return the worst, the middling and the best images: ``panel.*`` arrays, worst first.

    ``panel.rows`` (P,) places among the samples; ``panel.error`` (P,); ``panel.image`` (P, 3, h, w) uint8 in natural
    colours or as a radar composite, thinned to at most 256 pixels a side; ``panel.target`` and ``panel.prediction``
    (P, h, w) masks or values thinned alike, (P,) classes, (P, ...) values; or ``panel.boxes`` (m, 7): image, x1 y1 x2
    y2 in its pixels, score (-1 for true ones), class.
    """
    if network is None:
        return {}
    error = errors(task, outcome)
    order = np.argsort(-np.nan_to_num(error, nan=-np.inf), kind="stable")
    places = sorted(
        {0, 1, len(order) // 2, len(order) // 2 + 1, len(order) - 2, len(order) - 1} & set(range(len(order)))
    )
    rows = [int(order[place]) for place in places][:IMAGES]
    split, bands = network.split("test"), network.recipe.reads
    samples = [split[_position(examples, row)] for row in rows]
    step = max(1, -(-max(next(iter(samples[0].images.values())).shape[-2:]) // SIDE))
    found: dict[str, np.ndarray] = {
        "panel.rows": np.array(rows),
        "panel.error": error[rows].astype(np.float32),
        "panel.image": np.stack([picture(one, bands)[:, ::step, ::step] for one in samples]),
    }
    said = _said(assembly, examples, task, rows)
    if task.kind == "detection":
        found["panel.boxes"] = _boxes(samples, said, step)
    elif task.dense:
        found["panel.target"] = np.stack([np.asarray(one.target)[::step, ::step] for one in samples])
        masks = np.stack([one if one.ndim == 2 else one.argmax(0) for one in said])[:, ::step, ::step]
        found["panel.prediction"] = masks.astype(np.float32 if task.kind == "dense_regression" else np.int16)
    else:
        found["panel.target"] = np.stack([np.asarray(one.target) for one in samples])
        found["panel.prediction"] = outcome["prediction"][rows]
    return found


def errors(task: Task, outcome: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return how wrong each sample is, (n,), 0 for perfect: NaN where it has no label."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if "confusion" in outcome:
            hit = np.trace(outcome["confusion"], axis1=1, axis2=2)
            found = 1 - hit / outcome["confusion"].sum((1, 2))
        elif "errors" in outcome:
            found = np.sqrt(outcome["errors"][:, 0] / outcome["errors"][:, 4])
        elif "truth" in outcome:
            found = _box_errors(outcome["detected"], outcome["truth"])
        elif task.kind == "classification":
            wrong = outcome["prediction"] != outcome["target"]
            found = np.where(wrong, outcome["confidence"], 1 - outcome["confidence"]) + wrong
        else:
            found = np.abs(outcome["prediction"] - outcome["target"]).reshape(len(outcome["target"]), -1).mean(1)
    return np.asarray(found, float)


def _box_errors(detected: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return 1 - F1 at overlap 0.5 of the boxes surer than one half, per image."""
    sure = detected[detected[:, 1] > 0.5]
    said = np.bincount(sure[:, 0].astype(int), minlength=len(truth))
    hit = np.bincount(sure[:, 0].astype(int), sure[:, 3], minlength=len(truth))
    total = said + truth.sum(1)
    return np.where(total > 0, 1 - 2 * hit / np.maximum(total, 1), 0.0)


def _position(examples: Examples, row: int) -> int:
    assert isinstance(examples, ImageExamples | StoredExamples)
    return int(examples.positions[row])


def _said(assembly: TaskModel, examples: Examples, task: Task, rows: Sequence[int]) -> list[Any]:
    """Return the prediction of each row, on the CPU: arrays, or boxes."""
    if task.kind not in ("detection", "segmentation", "change", "dense_regression"):
        return []
    found: dict[int, Any] = {}
    for batch, output in predictions(assembly, examples, task, 1, rows):
        for row, one in zip(batch.rows, output, strict=True):
            found[row] = {k: v.cpu().numpy() for k, v in one.items()} if isinstance(one, dict) else one.cpu().numpy()
    return [found[row] for row in rows]


def _boxes(samples: Sequence[Sample], said: Sequence[Any], step: int) -> np.ndarray:
    rows = []
    for place, (sample, one) in enumerate(zip(samples, said, strict=True)):
        true = sample.target
        for boxes, scores, labels in (
            (true["boxes"], np.full(len(true["labels"]), -1.0), true["labels"]),
            (one["boxes"], one["scores"], one["labels"]),
        ):
            boxes = np.asarray(boxes, float).reshape(-1, 4) / step
            rows.append(np.column_stack([np.full(len(boxes), place), boxes, scores, labels]))
    return np.concatenate(rows).astype(np.float32)


def picture(sample: Sample, bands: Sequence[Band]) -> np.ndarray:
    """Return a sample's first date as (3, H, W) uint8: natural colours, else VV, VH and their difference, else grey.

    Each channel is stretched from its 2nd to its 98th percentile.
    """
    layers: dict[str, np.ndarray] = {}
    for band in bands:
        place = sum(other.sensor == band.sensor for other in bands[: list(bands).index(band)])
        layers.setdefault(band.name.partition(".")[2], sample.images[band.sensor][0, place])
    chosen = [next((layers[name] for name in names if name in layers), None) for names in COLOURS]
    if any(one is None for one in chosen):
        if {"vv", "vh"} <= set(layers):
            chosen = [layers["vv"], layers["vh"], layers["vv"] - layers["vh"]]
        else:
            chosen = [next(iter(layers.values()))] * 3
    return np.stack([_stretched(one) for one in chosen if one is not None])


def _stretched(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if finite.size else (0.0, 1.0)
    scaled = np.nan_to_num((values - low) / max(float(high - low), 1e-9), nan=0.0)
    return (scaled.clip(0, 1) * 255).astype(np.uint8)
