"""Features joined with labels: the rows that a run learns from and is scored on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.core import Task, sha256_of
from bench.core.errors import Incompatible, MissingData
from bench.features.extraction import health
from bench.features.labelled import LabelledFeatures, usable_rows
from bench.input.splits import LEARNING
from bench.input.subsets import Subset
from bench.runs.plan import Run
from bench.runs.task_splits import TaskSplits
from bench.store import Features, Store, write_atomic


def subset_of(run: Run, splits: TaskSplits, store: Store, name: str) -> Subset:
    """Return the rows of a split that a run uses: of a learning split its label subset, whose ids are stored."""
    split = splits.open(name)
    if name not in LEARNING:
        return Subset(rows=np.arange(len(split)))
    subset = splits.subset(name, run.key.fraction, run.key.subset)
    _save_subset(run, store, name, [split.ids[i] for i in subset.rows])
    return subset


def label(run: Run, splits: TaskSplits, store: Store, features: Features, name: str) -> LabelledFeatures:
    """Return a split's features joined with its labels: the subset of a learning split, usable rows only.

    Raises:
        Incompatible: the rows of the features are not those of the split, or none is usable.
        MissingData: a label that is none of the task's classes.
    """
    split = splits.open(name)
    if list(split.ids) != features.ids:
        raise Incompatible(f"{run.key.suite} {name}: the features' rows are not the split's samples")
    subset = subset_of(run, splits, store, name)
    usable = usable_rows(features)
    rows = subset.rows[usable[subset.rows]]
    notes = [f"{name}: {note}" for note in subset.notes]
    notes += left_out(name, [split.ids[i] for i in subset.rows if not usable[i]], len(subset.rows))
    if name == "train":
        notes += [f"unhealthy features: {fault}" for fault in health(features)]
    if run.task.dense and "mask" in features.names:
        notes += _blank_masks(run.task, features["mask"], rows.tolist(), split.ids, name)
    if not len(rows):
        raise Incompatible(f"{run.key.suite} {name}: no usable sample; {'; '.join(notes)}")
    target = None if run.task.dense else np.asarray(split.targets())[rows]
    if run.task.kind == "classification" and target is not None:
        first = np.unique(target, return_index=True)[1]  # it is enough to check one sample of each label
        for place in first:
            _codes(run.task, target[place], split.ids[rows[place]])
    return LabelledFeatures(
        features=features,
        rows=rows,
        ids=[split.ids[i] for i in rows],
        blocks=[split.blocks[i] for i in rows],
        target=target,
        extent=run.recipe.extent(features["mask"].shape[1:]) if "mask" in features.names else None,
        notes=tuple(notes),
    )


def unlabelled(run: Run, splits: TaskSplits, features: Features, name: str) -> LabelledFeatures:
    """Return all usable rows of a split's features without reading a label.

    Raises:
        Incompatible: the rows of the features are not those of the split, or none is usable.
    """
    split = splits.open(name)
    if list(split.ids) != features.ids:
        raise Incompatible(f"{run.key.suite} {name}: the features' rows are not the split's samples")
    usable = usable_rows(features)
    rows = np.flatnonzero(usable)
    notes = left_out(name, [split.ids[int(i)] for i in np.flatnonzero(~usable)], len(usable))
    if not len(rows):
        raise Incompatible(f"{run.key.suite} {name}: no usable sample; {'; '.join(notes)}")
    return LabelledFeatures(
        features=features,
        rows=rows,
        ids=[split.ids[int(i)] for i in rows],
        blocks=[split.blocks[int(i)] for i in rows],
        target=None,
        extent=run.recipe.extent(splits.data.suite.image_size) if run.task.dense else None,
        notes=tuple(notes),
    )


def _blank_masks(task: Task, masks: np.ndarray, rows: Sequence[int], ids: Sequence[str], name: str) -> list[str]:
    """Return the note on samples without one labelled pixel, none where every sample has some."""
    if task.kind == "dense_regression":
        blank = [ids[i] for i in rows if not np.isfinite(masks[i]).any()]
        return [f"{name}: {len(blank)} of {len(rows)} have no value: {some_of(blank)}"] if blank else []
    blank = [ids[i] for i in rows if not _codes(task, masks[i], ids[i])]
    return [f"{name}: {len(blank)} of {len(rows)} have every label ignored: {some_of(blank)}"] if blank else []


def _codes(task: Task, label: np.ndarray, where: str) -> set[int]:
    """Return the class codes in a label, without the ignored one.

    Raises:
        MissingData: one of them is not a class of the task.
    """
    codes = {int(code) for code in np.unique(label)} - {task.ignore}
    if strange := sorted(code for code in codes if not 0 <= code < len(task.classes)):
        ignored = "" if task.ignore is None else f" and {task.ignore} (ignored)"
        raise MissingData(
            f"{where}: label {strange[0]} is none of the {len(task.classes)} classes of {task.name}; "
            f"known are 0..{len(task.classes) - 1}{ignored}"
        )
    return codes


def left_out(name: str, dropped: Sequence[str], count: int) -> list[str]:
    """Return the note on samples of a split that cannot be used, none where all can."""
    if not dropped:
        return []
    return [f"{name}: left out {len(dropped)} of {count}, a band without one valid pixel: {some_of(dropped)}"]


def some_of(names: Sequence[str]) -> str:
    """Return the first five names in one line, and the number of further ones."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _save_subset(run: Run, store: Store, name: str, ids: list[str]) -> None:
    """Store the ids of a label subset next to the records, with their hash, so that others can use the same subset."""
    if run.key.fraction == 1:
        return
    labels = f"{run.key.fraction:g}" if run.key.fraction > 0 else f"{-run.key.fraction:g}shot"
    stem = f"{run.task.name}_{name}_{labels}_{run.key.subset}.txt"
    path = store.root / run.key.suite / "subsets" / stem
    text = f"# sha256 {sha256_of(ids)}\n" + "\n".join(ids) + "\n"
    if not path.exists() or path.read_text() != text:
        write_atomic(path, text.encode())
