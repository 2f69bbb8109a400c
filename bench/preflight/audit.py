"""Audit of a suite's folder: every split opened, every sample read, every fault listed at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import UNITS, Band, Sample, Split, Suite, Task
from bench.core.errors import BenchError
from bench.core.soundness import open_split

Rows = list[dict[str, Any]]
WORKERS = 4
AHEAD = 64


def audit(suite: Suite, root: Path, tasks: Sequence[Task], bands: Sequence[Band]) -> Rows:
    """Return one row a fault of a suite's files below `root`, and one for each split that has none.

    What is looked for: a split that cannot be opened or is not of its official size, an id in two splits, a file that
    is absent or damaged, images of another shape or type, bands outside their unit or without one value, targets that
    are none of the task's, boxes outside the image or of no area.

    Args:
        suite: its facts.
        root: folder of its data.
        tasks: to look at.
        bands: to read.
    """
    rows: Rows = []
    for task in tasks:
        seen: dict[str, str] = {}
        for name, official in suite.splits.items():
            where = f"{task.name} {name}"
            try:
                split = open_split(suite, root, task.name, name, tuple(bands))
            except BenchError as error:
                rows.append(_row(where, "split", str(error)))
                continue
            faults = [_row(where, "split", f"{one} is in {seen[one]} too") for one in split.ids if one in seen]
            seen |= dict.fromkeys(split.ids, name)
            if len(split) != official:
                text = f"{len(split)} samples, {official} were expected"
                faults.append(_row(where, "split", text, state="warning"))
            for one, texts in _samples(split, suite, task, bands):
                faults += [_row(where, one, text) for text in texts]
            rows += faults or [_row(where, "split", f"{len(split)} samples, no fault", state="ok")]
    return rows


def _row(split: str, about: str, text: str, state: str = "error") -> dict[str, Any]:
    return {"split": split, "state": state, "about": about, "what": text}


def _samples(split: Split, suite: Suite, task: Task, bands: Sequence[Band]) -> Iterator[tuple[str, list[str]]]:
    """Yield (id, faults) of every sample, read ahead in threads, few at a time in memory."""

    def look(index: int) -> list[str]:
        try:
            return list(faults_of(split[index], suite, task, bands))
        except BenchError as error:
            return [str(error)]
        except Exception as error:  # a reader's own bug must not end the audit
            return [f"{type(error).__name__}: {error}"]

    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(split), AHEAD):
            places = range(start, min(start + AHEAD, len(split)))
            yield from zip((split.ids[i] for i in places), pool.map(look, places), strict=True)


def faults_of(sample: Sample, suite: Suite, task: Task, bands: Sequence[Band]) -> Iterator[str]:
    """Yield what is wrong with one sample."""
    place: dict[str, int] = {}
    for band in bands:
        column = place.setdefault(band.sensor, 0)
        place[band.sensor] += 1
        values = sample.images.get(band.sensor)
        if values is None:
            yield f"{band.name}: no image of {band.sensor}"
            continue
        if values.ndim != 4 or values.shape[2:] != suite.image_size or (suite.dates and len(values) != suite.dates):
            yield f"{band.sensor}: shape {values.shape}, expected ({suite.dates or 'T'}, C, *{suite.image_size})"
            continue
        finite = values[:, column][np.isfinite(values[:, column])]
        unit = UNITS[band.unit]
        if not finite.size:
            yield f"{band.name}: not one value"
        elif finite.min() < unit.low or finite.max() > unit.high:
            low, high = float(finite.min()), float(finite.max())
            yield f"{band.name}: {low:g}..{high:g} lies outside {band.unit} ({unit.low:g}..{unit.high:g})"
    yield from _target_faults(sample.target, suite, task)


def _target_faults(target: Any, suite: Suite, task: Task) -> Iterator[str]:
    count, size = len(task.classes), suite.image_size
    if task.kind == "detection":
        boxes, labels = np.asarray(target["boxes"]).reshape(-1, 4), np.asarray(target["labels"])
        if len(boxes) != len(labels):
            yield f"{len(boxes)} boxes and {len(labels)} labels"
        for left, top, right, low in boxes:
            if right <= left or low <= top:
                yield f"box {left:g} {top:g} {right:g} {low:g} has no area"
            elif left < 0 or top < 0 or right > size[1] or low > size[0]:
                yield f"box {left:g} {top:g} {right:g} {low:g} reaches outside {size[1]} x {size[0]} pixels"
        codes = set(labels.tolist())
    elif task.kind in ("regression", "dense_regression"):
        values = np.asarray(target, float)
        if task.kind == "regression" and not np.isfinite(values).all():
            yield f"target {values.tolist()} is not finite"
        if task.kind == "dense_regression" and values.shape != size:
            yield f"values of shape {values.shape}, expected {size}"
        return
    elif task.kind == "multilabel":
        flags = np.asarray(target)
        if flags.shape != (count,) or not np.isin(flags, (0, 1)).all():
            yield f"labels {flags.tolist()}: expected {count} of 0 or 1"
        return
    else:
        mask = np.asarray(target)
        if mask.ndim and mask.shape != size:
            yield f"mask of shape {mask.shape}, expected {size}"
        codes = set(np.unique(mask).tolist()) - {task.ignore}
    if strange := sorted(code for code in codes if not 0 <= code < count):
        yield f"label {strange[0]} is none of 0..{count - 1}"
