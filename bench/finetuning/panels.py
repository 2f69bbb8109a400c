"""Panels: a few test images with their targets and predictions, kept in the record for the report to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.core import Band, Sample, Task
from bench.core.colours import RADAR, natural_bands, stretched
from bench.finetuning.predictions import predictions
from bench.finetuning.task_model import TaskModel
from bench.finetuning.workbench import Workbench
from bench.input.batches import Examples, ImageExamples, StoredExamples

IMAGES = 6
SIDE = 256  # pixels of a kept image, at most


def kept_images(
    task_model: TaskModel, examples: Examples, outcome: Mapping[str, np.ndarray], task: Task, workbench: Workbench
) -> dict[str, np.ndarray]:
    """Return the two worst, the two middle and the two best test images as arrays ``panel.*``, worst first.

    ``panel.rows`` (P,) positions among the samples; ``panel.error`` (P,); ``panel.image`` (P, 3, h, w) uint8 in natural
    colours or as a radar composite, every k-th pixel so that a side has at most 256; ``panel.target`` and
    ``panel.prediction`` (P, h, w) masks or values at the same pixels, (P,) classes, (P, ...) values; or ``panel.boxes``
    (m, 7): image, x1 y1 x2 y2 in its pixels, score (-1 for true boxes), class.

    Args:
        task_model: the trained model.
        examples: samples of the test split.
        outcome: their outcomes, see `bench.finetuning.predictions.outcomes`.
        task: what is predicted.
        workbench: gives the raw images.
    """
    error = errors(task, outcome)
    order = np.argsort(-np.nan_to_num(error, nan=-np.inf), kind="stable")
    places = sorted(
        {0, 1, len(order) // 2, len(order) // 2 + 1, len(order) - 2, len(order) - 1} & set(range(len(order)))
    )
    rows = [int(order[place]) for place in places][:IMAGES]
    split, bands = workbench.split("test"), workbench.recipe.reads
    samples = [split[_position(examples, row)] for row in rows]
    step = max(1, -(-max(next(iter(samples[0].images.values())).shape[-2:]) // SIDE))
    arrays: dict[str, np.ndarray] = {
        "panel.rows": np.array(rows),
        "panel.error": error[rows].astype(np.float32),
        "panel.image": np.stack([picture(sample, bands)[:, ::step, ::step] for sample in samples]),
    }
    if task.kind == "detection":
        arrays["panel.boxes"] = _boxes(samples, _predicted(task_model, examples, task, rows), step)
    elif task.dense:
        arrays["panel.target"] = np.stack([np.asarray(sample.target)[::step, ::step] for sample in samples])
        maps = _predicted(task_model, examples, task, rows)
        masks = np.stack([each if each.ndim == 2 else each.argmax(0) for each in maps])[:, ::step, ::step]
        arrays["panel.prediction"] = masks.astype(np.float32 if task.kind == "dense_regression" else np.int16)
    else:
        arrays["panel.target"] = np.stack([np.asarray(sample.target) for sample in samples])
        arrays["panel.prediction"] = outcome["prediction"][rows]
    return arrays


def errors(task: Task, outcome: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the error of each sample, (n,): 0 for a perfect prediction, NaN without a label."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if "confusion" in outcome:
            hit = np.trace(outcome["confusion"], axis1=1, axis2=2)
            error = 1 - hit / outcome["confusion"].sum((1, 2))
        elif "errors" in outcome:
            error = np.sqrt(outcome["errors"][:, 0] / outcome["errors"][:, 4])
        elif "truth" in outcome:
            error = _box_errors(outcome["detected"], outcome["truth"])
        elif task.kind == "classification":
            wrong = outcome["prediction"] != outcome["target"]
            error = np.where(wrong, outcome["confidence"], 1 - outcome["confidence"]) + wrong
        else:
            error = np.abs(outcome["prediction"] - outcome["target"]).reshape(len(outcome["target"]), -1).mean(1)
    return np.asarray(error, float)


def _box_errors(detected: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return 1 - F1 at an overlap of 0.5, per image, of the boxes with a score above one half."""
    sure = detected[detected[:, 1] > 0.5]
    predicted = np.bincount(sure[:, 0].astype(int), minlength=len(truth))
    hit = np.bincount(sure[:, 0].astype(int), sure[:, 3], minlength=len(truth))
    total = predicted + truth.sum(1)
    return np.where(total > 0, 1 - 2 * hit / np.maximum(total, 1), 0.0)


def _position(examples: Examples, row: int) -> int:
    assert isinstance(examples, ImageExamples | StoredExamples)
    return int(examples.positions[row])


def _predicted(task_model: TaskModel, examples: Examples, task: Task, rows: Sequence[int]) -> list[Any]:
    """Return the prediction of each row, on the CPU: arrays, or boxes."""
    by_row: dict[int, object] = {}
    for batch, output in predictions(task_model, examples, task, 1, rows):
        for row, each in zip(batch.rows, output, strict=True):
            boxes = isinstance(each, dict)
            by_row[row] = {k: v.cpu().numpy() for k, v in each.items()} if boxes else each.cpu().numpy()
    return [by_row[row] for row in rows]


def _boxes(samples: Sequence[Sample], predicted: Sequence[Any], step: int) -> np.ndarray:
    rows = []
    for place, (sample, detected) in enumerate(zip(samples, predicted, strict=True)):
        true = sample.target
        for boxes, scores, labels in (
            (true["boxes"], np.full(len(true["labels"]), -1.0), true["labels"]),
            (detected["boxes"], detected["scores"], detected["labels"]),
        ):
            boxes = np.asarray(boxes, float).reshape(-1, 4) / step
            rows.append(np.column_stack([np.full(len(boxes), place), boxes, scores, labels]))
    return np.concatenate(rows).astype(np.float32)


def picture(sample: Sample, bands: Sequence[Band]) -> np.ndarray:
    """Return the first date of a sample as (3, H, W) uint8: natural colours, else VV, VH and VV - VH, else grey.

    Each channel is stretched from its 2nd to its 98th percentile.
    """
    layers: dict[str, np.ndarray] = {}
    for index, band in enumerate(bands):
        place = sum(other.sensor == band.sensor for other in bands[:index])
        layers[band.name] = sample.images[band.sensor][0, place]
    natural = natural_bands(list(layers))
    if natural:
        channels = [layers[name] for name in natural]
    elif set(RADAR) <= set(layers):
        vv, vh = (layers[name] for name in RADAR)
        channels = [vv, vh, vv - vh]
    else:
        channels = [next(iter(layers.values()))] * 3
    return np.stack([_as_bytes(values) for values in channels])


def _as_bytes(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if finite.size else (0.0, 1.0)
    return np.asarray(np.nan_to_num(stretched(values, low, high), nan=0.0) * 255, dtype=np.uint8)
