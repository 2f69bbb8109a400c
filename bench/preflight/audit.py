"""Audit of a suite's data: opens every split, reads every sample, and lists all faults."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bench.core import UNITS, Band, Sample, Split, Suite, Task
from bench.core.errors import BenchError, MissingData
from bench.core.soundness import open_split
from bench.input.content import DIGITS, hash_of
from bench.input.targets import sound_target

Rows = list[dict[str, str]]
WORKERS = 4
AHEAD = 64


def audit(suite: Suite, root: Path, tasks: Sequence[Task], bands: Sequence[Band]) -> Rows:
    """Return one row per fault of a suite's data, or one row for a split without faults, and one with the split's hash.

    Faults are: a split that cannot be opened or has not its official size, an id in two splits, a missing or damaged
    file, images of another shape or type, bands outside the bounds of their unit or without a finite value, and targets
    that are not sound (see `bench.input.targets`), including boxes that reach outside their image. The hash covers all
    pixels, targets, dates and places: equal hashes mean equal data on every machine that decodes files identically.

    Args:
        suite: the suite to audit.
        root: folder of its data.
        tasks: tasks to audit.
        bands: bands to read.
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
            faults = [
                _row(where, "split", f"{member} is in {seen[member]} too") for member in split.ids if member in seen
            ]
            seen |= dict.fromkeys(split.ids, name)
            if len(split) != official:
                text = f"{len(split)} samples, {official} were expected"
                faults.append(_row(where, "split", text, state="warning"))
            digest = hashlib.sha256()
            for sample, texts, content in _samples(split, suite, task, bands):
                faults += [_row(where, sample, text) for text in texts]
                digest.update(f"{sample} {content}\n".encode())
            rows += faults or [_row(where, "split", f"{len(split)} samples, no fault", state="ok")]
            rows.append(_row(where, "content", f"sha256 {digest.hexdigest()[:DIGITS]}", state="ok"))
    return rows


def _row(split: str, about: str, text: str, state: str = "error") -> dict[str, str]:
    return {"split": split, "state": state, "about": about, "what": text}


def _samples(split: Split, suite: Suite, task: Task, bands: Sequence[Band]) -> Iterator[tuple[str, list[str], str]]:
    """Yield (id, faults, hash) of every sample; threads read ahead, with few samples at a time in memory."""

    def look(index: int) -> tuple[list[str], str]:
        try:
            sample = split[index]
            parts = (sample.images, sample.target, sample.when, sample.where)
            return list(faults_of(sample, suite, task, bands)), " ".join(map(hash_of, parts))
        except BenchError as error:
            return [str(error)], "unreadable"
        except Exception as error:  # an error of a reader must not end the audit
            return [f"{type(error).__name__}: {error}"], "unreadable"

    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(split), AHEAD):
            places = range(start, min(start + AHEAD, len(split)))
            for place, (faults, content) in zip(places, pool.map(look, places), strict=True):
                yield split.ids[place], faults, content


def faults_of(sample: Sample, suite: Suite, task: Task, bands: Sequence[Band]) -> Iterator[str]:
    """Yield the faults of one sample, in words."""
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


def _target_faults(target: object, suite: Suite, task: Task) -> Iterator[str]:
    size = suite.image_size
    try:
        sound = sound_target(task, target, size, "target")
    except MissingData as error:
        yield str(error)
        return
    if task.kind == "regression" and not np.isfinite(sound).all():
        yield f"target {sound.tolist()} is not finite: the sample is left out"
    for left, top, right, low in sound["boxes"] if task.kind == "detection" else ():
        if left < 0 or top < 0 or right > size[1] or low > size[0]:
            yield f"box {left:g} {top:g} {right:g} {low:g} reaches outside {size[1]} x {size[0]} pixels"
