"""The targets of every split a run will read, checked before anything is computed."""

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
"""Split -> what a lack of targets comes to. Of other test splits some may well lack them."""
VARYING = ("r2", "spearman")  # scores that a constant target leaves undefined


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What all targets of a split are, taken together.

    Attributes:
        samples: how many there are.
        labelled: how many have a target: a class or value, a pixel that is not ignored, a box.
        lowest, highest: smallest and largest class code or value; None where there is none.
        constant: a value to be predicted is the same for all samples.
        hash: of every target.
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
    """Return the hash of all targets of each split, once they are known to be sound and to say something.

    Targets of image-level tasks are listed by the suite. Those of dense tasks come with their images, so each sample is
    read once, with one band; the result is kept for as long as no file of the suite changes.

    Args:
        contents: the suite's splits, and what is known of them.
        task: what is predicted.
        names: of the splits that will be read.
        band: read along with targets that come with images; any that is at hand.
        started: told the split and its number of samples where samples are read.
        workers: threads that read.

    Raises:
        MissingData: a split is empty or has no target at all, a target is not sound (by its sample's id), or no score
            could be had: constant values in training, or in a test whose metric compares with their mean.
    """
    surveys = {name: survey(contents, task, name, band, started=started, workers=workers) for name in names}
    for name, counted in surveys.items():
        _check_worth(contents.data, task, name, counted)
    return {name: counted.hash for name, counted in surveys.items()}


def survey(
    contents: Contents, task: Task, name: str, band: Band, *, started: Callable[[str, int], None], workers: int
) -> Survey:
    """Return the survey of one split, made now or kept from before.

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
    """Check that a split can be learnt from, or scored on.

    Raises:
        MissingData: it cannot.
    """
    if name in USELESS and (fault := _fault(task, name, counted)):
        raise MissingData(f"{data.suite.name} {task.name} {name}: {USELESS[name]}: {fault}")


def _fault(task: Task, name: str, counted: Survey) -> str:
    """Return what makes a split useless, or ``""``."""
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
