"""Targets of every kind, as a task needs them: repaired where that changes no meaning, else refused by sample id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import Sample, Split, Task
from bench.core.errors import MissingData


def sound_target(task: Task, target: object, size: tuple[int, int], where: str) -> Any:
    """Return one sample's target in the form that `bench.core.Sample` states for the task's kind.

    Repaired are a leading or trailing axis of one, a scalar regression target, whole numbers stored as floats, empty
    boxes of shape (0,), and infinite dense values, which are missing like NaN.

    Args:
        task: its kind, classes and ignored label decide.
        target: as the suite gives it.
        size: (H, W) of the sample's images.
        where: the sample in words, for the message.

    Raises:
        MissingData: what is wrong, and what is allowed.

    >>> task = Task(name="water", kind="segmentation", classes=("dry", "wet"), metric="miou", ignore=-1)
    >>> sound_target(task, np.array([[[0.0, 1.0, -1.0]]]), (1, 3), "chip 7").tolist()
    [[0, 1, -1]]
    >>> sound_target(task, np.array([[0, 2]]), (1, 2), "chip 8")
    Traceback (most recent call last):
    bench.core.errors.MissingData: chip 8: label 2 is none of the 2 classes of water; known are 0..1 and -1 (ignored)
    """
    if task.kind == "detection":
        return _boxes(task, target, where)
    if task.kind in ("segmentation", "change"):
        return _codes(task, _raster(target, size, where, "mask"), where)
    if task.kind == "dense_regression":
        values = _raster(target, size, where, "values").astype(np.float32, copy=False)
        return np.where(np.isfinite(values), values, np.float32(np.nan))
    values = np.asarray(target)
    if task.kind == "classification":
        if values.size != 1:
            raise MissingData(f"{where}: a class is one number, not {values.size} of shape {values.shape}")
        return int(_codes(task, values.reshape(1), where)[0])
    values = _numbers(values, where).reshape(-1)
    return _flags(task, values, where) if task.kind == "multilabel" else _finite(values, where)


def sound_targets(task: Task, targets: object, ids: Sequence[str], where: str) -> np.ndarray:
    """Return what `bench.core.Split.targets` gives of a whole split, in the form that it states.

    Of dense tasks and boxes, whose targets it only summarises, the number of rows is checked.

    Args:
        task: its kind decides.
        targets: as the suite gives them.
        ids: of the samples.
        where: the split in words, for messages.

    Raises:
        MissingData: another number of rows than samples, or a row that `sound_target` refuses, by its id.
    """
    values = np.asarray(targets)
    if len(values) != len(ids):
        raise MissingData(f"{where}: {len(values)} targets for {len(ids)} samples")
    if task.dense or not len(ids) or _plainly_sound(task, values):
        return values
    rows = [sound_target(task, row, (0, 0), f"{where} {name}") for name, row in zip(ids, values, strict=True)]
    return np.array(rows)


def _plainly_sound(task: Task, values: np.ndarray) -> bool:
    """Return whether all targets are sound as they are: the usual case, decided without reading each row."""
    if task.kind == "classification":
        return values.ndim == 1 and values.dtype.kind in "iu" and bool(_known(task, values).all())
    if task.kind == "multilabel":
        return values.ndim == 2 and values.shape[1] == len(task.classes) and bool(np.isin(values, (0, 1)).all())
    return values.ndim == 2 and values.dtype.kind == "f" and not bool(np.isinf(values).any())


def without_target(task: Task, targets: np.ndarray) -> np.ndarray:
    """Return a mask (n,) of the samples of an image-level task that have no target: an ignored class, a value of NaN.

    Args:
        task: its kind decides.
        targets: see `sound_targets`.
    """
    if task.kind == "classification" and task.ignore is not None:
        ignored: np.ndarray = targets == task.ignore
        return ignored
    if task.kind == "regression":
        missing: np.ndarray = np.isnan(targets).any(1)
        return missing
    return np.zeros(len(targets), bool)


def mask_type(task: Task) -> str:
    """Return the smallest integer type, int16 or larger, that holds every class and the ignored label of a task."""
    codes = (len(task.classes), 0 if task.ignore is None else task.ignore)
    fits = all(np.iinfo(np.int16).min <= code <= np.iinfo(np.int16).max for code in codes)
    return "int16" if fits else "int64"


class SoundSplit:
    """An opened split whose targets are sound, or refused by the id of their sample, however it is read.

    Args:
        opened: as the suite opens it.
        task: what its targets are for.
        where: the split in words, for messages.
    """

    def __init__(self, opened: Split, task: Task, where: str) -> None:
        self.opened, self.task, self.where = opened, task, where

    @property
    def ids(self) -> Sequence[str]:
        """One per sample."""
        return self.opened.ids

    @property
    def blocks(self) -> Sequence[str]:
        """The resampling unit of each sample."""
        return self.opened.blocks

    @property
    def source(self) -> Callable[[int], Path] | None:
        """Index -> the georeferenced raster that a sample is the whole of; None where there is none."""
        source: Callable[[int], Path] | None = getattr(self.opened, "source", None)
        return source

    def __len__(self) -> int:
        return len(self.opened)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            MissingData: its target is not sound, see `sound_target`.
        """
        return sound_sample(self.task, self.opened[index], f"{self.where} {self.ids[index]}")

    def targets(self) -> np.ndarray:
        """Return the values used for stratification, see `bench.core.Split.targets`.

        Raises:
            MissingData: a target is not sound, see `sound_targets`.
        """
        return sound_targets(self.task, self.opened.targets(), self.ids, self.where)


def sound_sample(task: Task, sample: Sample, where: str) -> Sample:
    """Return a sample with a sound target, see `sound_target`."""
    size = next((values.shape[-2:] for values in sample.images.values()), (0, 0))
    return sample._replace(target=sound_target(task, sample.target, size, where))


def _numbers(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind not in "iufb":
        raise MissingData(f"{where}: a target is made of numbers, not of {values.dtype}")
    return values


def _raster(target: object, size: tuple[int, int], where: str, what: str) -> np.ndarray:
    """Return a target of one value per pixel, without a leading or trailing axis of one."""
    values = _numbers(np.asarray(target), where)
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    elif values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.shape != tuple(size):
        raise MissingData(f"{where}: {what} of shape {values.shape}, expected {tuple(size)}, the size of its images")
    return values


def _known(task: Task, codes: np.ndarray) -> np.ndarray:
    known = (codes >= 0) & (codes < len(task.classes))
    return known if task.ignore is None else known | (codes == task.ignore)


def _codes(task: Task, values: np.ndarray, where: str) -> np.ndarray:
    """Return class codes as int64, once all are known to be classes of the task."""
    values = _numbers(values, where)
    if values.dtype.kind == "f" and not (values == np.rint(values)).all():
        odd = values[values != np.rint(values)].reshape(-1)[0]
        raise MissingData(f"{where}: label {odd:g} is no class code; codes are whole numbers")
    known = _known(task, values)
    if not known.all():
        ignored = "" if task.ignore is None else f" and {task.ignore} (ignored)"
        raise MissingData(
            f"{where}: label {values[~known].reshape(-1)[0]:.12g} is none of the {len(task.classes)} classes of "
            f"{task.name}; known are 0..{len(task.classes) - 1}{ignored}"
        )
    return values.astype(np.int64, copy=False)


def _flags(task: Task, values: np.ndarray, where: str) -> np.ndarray:
    if values.shape != (len(task.classes),) or not np.isin(values, (0, 1)).all():
        raise MissingData(f"{where}: labels {values.tolist()}: expected {len(task.classes)} of 0 or 1")
    return values


def _finite(values: np.ndarray, where: str) -> np.ndarray:
    if np.isinf(values).any():
        raise MissingData(f"{where}: target {values.tolist()} is not finite; NaN marks a sample without a value")
    return values if values.dtype.kind == "f" else values.astype(np.float32)


def _boxes(task: Task, target: object, where: str) -> dict[str, Any]:
    if not isinstance(target, Mapping) or not {"boxes", "labels"} <= set(target):
        raise MissingData(f"{where}: a detection target has boxes (N, 4) and labels (N,), not {type(target).__name__}")
    boxes = _numbers(np.asarray(target["boxes"], np.float32), where)
    labels = np.asarray(target["labels"])
    labels = _codes(task, labels.reshape(-1) if labels.size else np.zeros(0, np.int64), where)
    if boxes.size == 0 or boxes.shape == (4,):
        boxes = boxes.reshape(-1, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) != len(labels):
        raise MissingData(f"{where}: boxes of shape {boxes.shape} and {len(labels)} labels; expected (N, 4) and N")
    for left, top, right, low in boxes[~(np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1))]:
        fault = "has no area" if np.isfinite([left, top, right, low]).all() else "is not finite"
        raise MissingData(f"{where}: box {left:g} {top:g} {right:g} {low:g} {fault}; boxes are x1 y1 x2 y2 in pixels")
    return {**target, "boxes": boxes, "labels": labels}
