"""Predictions of a task model for whole images, and the outcomes per sample that scores are computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core import Task
from bench.finetuning.task_model import TaskModel
from bench.input.batches import Batch, Examples, windows


def outputs(task_model: TaskModel, batch: Batch, task: Task) -> Any:
    """Return the output for whole images; large ones are run in windows, and the most central window gives a pixel."""
    if task.kind == "detection" or not task_model.recipe.windows:
        return task_model(batch)
    whole: Tensor | None = None
    for window, (y, x), (into_y, into_x) in windows(batch, task_model.recipe):
        part: Tensor = task_model(window)
        if whole is None:
            tall, wide = (max(side, into) for side, into in zip(batch.size, task_model.recipe.size, strict=True))
            whole = part.new_zeros(*part.shape[:2], tall, wide)
        high, broad = min(into_y.stop, whole.shape[2]), min(into_x.stop, whole.shape[3])
        rows, columns = slice(into_y.start, high), slice(into_x.start, broad)
        kept = part[:, :, y.start : y.start + high - into_y.start, x.start : x.start + broad - into_x.start]
        whole[:, :, rows, columns] = kept
    assert whole is not None
    return whole[:, :, : batch.size[0], : batch.size[1]]


def predictions(
    task_model: TaskModel, examples: Examples, task: Task, count: int, rows: Sequence[int] | None = None
) -> Iterator[tuple[Batch, Any]]:
    """Yield batches of samples with the output for whole images; regression outputs are in the target's unit.

    Args:
        task_model: put into evaluation mode meanwhile.
        examples: the samples.
        task: what is predicted.
        count: most samples per batch.
        rows: positions among the samples; all by default.
    """
    mode = task_model.training
    task_model.eval()
    # Not inference mode: networks keep tensors made in here (positions of a size), and train with them later.
    with torch.no_grad():
        places = range(len(examples)) if rows is None else rows
        for start in range(0, len(places), count):
            for batch in examples.read(places[start : start + count]):
                output = outputs(task_model, batch, task)
                if task.kind == "regression":
                    output = output.float() * task_model.spread + task_model.centre
                elif task.kind == "dense_regression":
                    output = output.float()[:, 0] * task_model.spread + task_model.centre
                yield batch, output
    task_model.train(mode)


def outcomes(task_model: TaskModel, examples: Examples, task: Task, count: int) -> dict[str, np.ndarray]:
    """Return the outcome of each sample, as `bench.metrics.score` takes them, in the order of the samples.

    Classes: ``prediction`` (n,), ``confidence`` (n,) and ``chance`` (n, K); labels: ``prediction`` (n, K)
    probabilities; values: ``prediction`` (n, q); each with its ``target``. Masks: ``confusion`` (n, K, K) and
    ``boundary`` (n, K, 4). Dense values: ``errors`` (n, 5). Boxes: ``detected`` and ``truth``, see
    `bench.metrics.boxes.matched`.

    Args:
        task_model: the model.
        examples: the samples, with their targets.
        task: what is predicted.
        count: most samples per batch.
    """
    if task.kind == "detection":
        return _box_outcomes(task_model, examples, task, count)
    by_row: dict[str, dict[int, np.ndarray]] = {}
    for batch, output in predictions(task_model, examples, task, count):
        parts = _outcome(output, batch.target, task, float(task_model.centre[0]))
        if not task.dense:
            parts["target"] = batch.target.cpu().numpy()
        for name, values in parts.items():
            by_row.setdefault(name, {}).update(zip(batch.rows, values, strict=True))
    return {name: np.stack([rows[row] for row in range(len(examples))]) for name, rows in by_row.items()}


def _outcome(output: Tensor, target: Tensor, task: Task, centre: float) -> dict[str, np.ndarray]:
    from bench.metrics.boundaries import boundary_counts
    from bench.metrics.pixel_sums import confusion_counts, error_sums

    if task.kind == "classification":
        chance = output.float().softmax(1)
        confidence, predicted = chance.max(1)
        parts = {"prediction": predicted, "confidence": confidence, "chance": chance}
    elif task.kind == "multilabel":
        parts = {"prediction": output.float().sigmoid()}
    elif task.kind == "regression":
        parts = {"prediction": output}
    elif task.kind == "dense_regression":
        parts = {"errors": error_sums(output[:, None], target, centre)[:, 0]}
    else:
        predicted, classes = output.argmax(1), len(task.classes)
        parts = {"confusion": confusion_counts(predicted[:, None], target, classes, task.ignore)[:, 0]}
        parts["boundary"] = boundary_counts(predicted, target, classes, task.ignore)
    return {name: values.cpu().numpy() for name, values in parts.items()}


def _box_outcomes(task_model: TaskModel, examples: Examples, task: Task, count: int) -> dict[str, np.ndarray]:
    from bench.metrics.boxes import matched

    predicted: dict[int, Mapping[str, np.ndarray]] = {}
    true: dict[int, Mapping[str, np.ndarray]] = {}
    for batch, output in predictions(task_model, examples, task, count):
        for row, boxes, target in zip(batch.rows, output, batch.target, strict=True):
            predicted[row] = {name: value.cpu().numpy() for name, value in boxes.items()}
            true[row] = {name: value.cpu().numpy() for name, value in target.items()}
    order = range(len(examples))
    detected, truth = matched([predicted[row] for row in order], [true[row] for row in order], len(task.classes))
    return {"detected": detected, "truth": truth}
