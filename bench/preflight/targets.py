"""Check of the targets of every split that a run will read, before anything is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.core import Band, Task
from bench.core.errors import MissingData
from bench.input.content import DIGITS, Contents, hash_of
from bench.input.splits import Splits
from bench.input.targets import SoundSplit, without_target

AHEAD = 64  # samples read at a time
USELESS = {
    "train": "nothing can be learnt",
    "val": "no validation sample can be scored",
    "test": "no test sample can be scored",
}
"""Split -> consequence of missing targets. Further test splits may have no targets."""
VARYING = ("r2", "spearman")  # metrics that are undefined for a constant target


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Summary of all targets of a split.

    Attributes:
        samples: number of samples.
        labelled: number of samples with a target: a class or value, a pixel that is not ignored, or a box.
        lowest, highest: smallest and largest class code or value; None without targets.
        constant: whether a value to be predicted is the same for all samples.
        hash: hash of all targets.
    """

    samples: int
    labelled: int
    lowest: float | None
    highest: float | None
    constant: bool
    hash: str


def check_targets(
    contents: Contents,
    task: Task,
    names: Sequence[str],
    band: Band,
    *,
    started: Callable[[str, int], None],
    workers: int,
) -> dict[str, str]:
    """Check the targets of each split, and return split -> hash of all its targets.

    Targets of image-level tasks are listed by the suite. Targets of dense tasks are stored with their images, so each
    sample is read once, with one band; the result is stored and valid until a file of the suite changes.

    Args:
        contents: the suite's splits, and the stored results of earlier checks.
        task: the task to check.
        names: names of the splits that will be read.
        band: band to read where targets are stored with images; any available one.
        started: called with a split and its number of samples before its samples are read.
        workers: number of threads that read samples.

    Raises:
        MissingData: a split is empty or has no target, a target is not sound (the message has the id of its sample),
            or no score can be computed: values are constant in training, or in a test split whose metric compares
            with their mean.
    """
    surveys = {name: survey(contents, task, name, band, started=started, workers=workers) for name in names}
    for name, counted in surveys.items():
        _check_worth(contents.data, task, name, counted)
    return {name: counted.hash for name, counted in surveys.items()}


def survey(
    contents: Contents, task: Task, name: str, band: Band, *, started: Callable[[str, int], None], workers: int
) -> Survey:
    """Return the summary of one split's targets, stored by an earlier call or computed now.

    Raises:
        MissingData: a target is not sound, or a sample cannot be read.
    """
    kept = contents.survey(task, name)
    if isinstance(kept, Mapping) and set(kept) == set(Survey.__dataclass_fields__):
        return Survey(**kept)
    split = contents.data.sound(task, name, (band,))
    if task.dense:
        started(name, len(split))
        counted = _survey(_targets(split, workers), task)
    else:
        targets = split.targets()
        present = targets[~without_target(task, targets)] if len(targets) else targets
        counted = Survey(
            samples=len(targets),
            labelled=len(present),
            lowest=float(present.min()) if present.size else None,
            highest=float(present.max()) if present.size else None,
            constant=bool(present.size and (present.max(0) == present.min(0)).any()),
            hash=hash_of(targets),
        )
    contents.keep_survey(task, name, asdict(counted))
    return counted


def _targets(split: SoundSplit, workers: int) -> Iterator[Any]:
    """Yield every target, read ahead in threads, few at a time in memory."""
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(split), AHEAD):
            yield from pool.map(lambda row: split[row].target, range(start, min(start + AHEAD, len(split))))


def _survey(targets: Iterator[Any], task: Task) -> Survey:
    samples, labelled, lows, highs, digest = 0, 0, list[float](), list[float](), hashlib.sha256()
    for target in targets:
        samples += 1
        digest.update(hash_of(target).encode())
        values = np.asarray(target["labels"] if task.kind == "detection" else target)
        values = values[np.isfinite(values)] if values.dtype.kind == "f" else values[values != task.ignore]
        if values.size:
            labelled += 1
            lows.append(float(values.min()))
            highs.append(float(values.max()))
    return Survey(
        samples=samples,
        labelled=labelled,
        lowest=min(lows, default=None),
        highest=max(highs, default=None),
        constant=bool(lows) and min(lows) == max(highs),
        hash=digest.hexdigest()[:DIGITS],
    )


def _check_worth(data: Splits, task: Task, name: str, counted: Survey) -> None:
    """Check that a split can be used for training or scoring.

    Raises:
        MissingData: the split cannot be used.
    """
    if name in USELESS and (fault := _fault(task, name, counted)):
        raise MissingData(f"{data.suite.name} {task.name} {name}: {USELESS[name]}: {fault}")


def _fault(task: Task, name: str, counted: Survey) -> str:
    """Return why a split cannot be used, or ``""``."""
    if not counted.samples:
        return "the split holds no sample"
    if not counted.labelled:
        missing = {"detection": "box", "regression": "value", "dense_regression": "value"}.get(task.kind)
        return f"no sample has a {missing}" if missing else f"every label of every sample is ignored ({task.ignore})"
    if task.kind == "multilabel" and not counted.highest:
        return "no sample has any of the labels"
    if task.kind == "classification" and name == "train" and counted.constant:
        return f"every sample is of class {task.classes[int(counted.lowest or 0)]}"
    valued = task.kind in ("regression", "dense_regression")
    if valued and counted.constant and (name == "train" or task.metric in VARYING):
        return f"a target is the same for all samples ({counted.lowest:g}..{counted.highest:g})"
    return ""
