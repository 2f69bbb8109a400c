"""Features joined with labels: the rows that a run learns from and is scored on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.core import Task, sha256_of
from bench.core.errors import Incompatible
from bench.features.extraction import health
from bench.features.labelled import LabelledFeatures, usable_rows
from bench.input.splits import LEARNING
from bench.input.subsets import Subset
from bench.input.targets import without_target
from bench.input.usable import NO_PIXEL, why_unusable
from bench.preflight.targets import USELESS
from bench.runs.plan import Run
from bench.runs.task_splits import TaskSplits
from bench.store import Features, Store


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
        MissingData: a target is not sound.
    """
    split = splits.open(name)
    if list(split.ids) != features.ids:
        raise Incompatible(f"{run.key.suite} {name}: the features' rows are not the split's samples")
    subset = subset_of(run, splits, store, name)
    usable = usable_rows(features)
    reasons = _reasons(splits, name, [int(i) for i in subset.rows if not usable[i]])
    target = None if run.task.dense else split.targets()
    if target is not None:
        blank = without_target(run.task, target)
        reasons |= {split.ids[i]: "no target" for i in subset.rows[blank[subset.rows]]}
        usable &= ~blank
    rows = subset.rows[usable[subset.rows]]
    notes = [f"{name}: {note}" for note in subset.notes] + left_out(name, reasons, len(subset.rows))
    if name == "train":
        notes += [f"unhealthy features: {fault}" for fault in health(features)]
    unlabelled_ids = [split.ids[i] for i in rows if not _labelled(run.task, features, int(i))]
    if unlabelled_ids:
        lack = "no value" if run.task.kind == "dense_regression" else "every label ignored"
        notes.append(f"{name}: {len(unlabelled_ids)} of {len(rows)} have {lack}: {some_of(unlabelled_ids)}")
    if len(rows) == len(unlabelled_ids):
        raise Incompatible(
            f"{run.key.suite} {name}: {USELESS.get(name, 'no sample can be scored')}: {'; '.join(notes)}"
        )
    return LabelledFeatures(
        features=features,
        rows=rows,
        ids=[split.ids[i] for i in rows],
        blocks=[split.blocks[i] for i in rows],
        target=None if target is None else target[rows],
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
    notes = left_out(name, _reasons(splits, name, np.flatnonzero(~usable).tolist()), len(usable))
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


def _labelled(task: Task, features: Features, row: int) -> bool:
    """Return whether one pixel of a stored mask counts; True for all other kinds of target."""
    if "mask" not in features.names:
        return True
    mask = features["mask"][row]
    return bool((np.isfinite(mask) if task.kind == "dense_regression" else mask != task.ignore).any())


def _reasons(splits: TaskSplits, name: str, rows: Sequence[int]) -> dict[str, str]:
    """Return sample id -> why it has no features."""
    ids = splits.open(name).ids
    return {ids[row]: why_unusable(splits.sample(name, row), splits.bands) for row in rows}


def left_out(name: str, reasons: Mapping[str, str], count: int) -> list[str]:
    """Return one note per reason for which samples of a split are not used, none where all are.

    Args:
        name: of the split.
        reasons: sample id -> why it is not used.
        count: number of samples asked for.

    >>> left_out("train", {"a": "no date", "b": "no valid pixel of s1.vv", "c": "no date"}, 9)
    ['train: left out 2 of 9, no date: a, c', 'train: left out 1 of 9, no valid pixel of s1.vv: b']
    """
    grouped: dict[str, list[str]] = {}
    for sample, reason in reasons.items():
        grouped.setdefault(reason, []).append(sample)
    notes = [f"{name}: left out {len(ids)} of {count}, {reason}: {some_of(ids)}" for reason, ids in grouped.items()]
    if name not in LEARNING and any(reason.startswith(NO_PIXEL) for reason in grouped):
        notes.append(f"{name}: models that read other bands may be scored on samples that are left out here")
    return notes


def some_of(names: Sequence[str]) -> str:
    """Return the first five names in one line, and the number of further ones."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _save_subset(run: Run, store: Store, name: str, ids: list[str]) -> None:
    """Store the ids of a label subset next to the records, with their hash, so that others can use the same subset."""
    if run.key.fraction == 1:
        return
    labels = f"{run.key.fraction:g}" if run.key.fraction > 0 else f"{-run.key.fraction:g}shot"
    stem = f"{run.task.name}_{name}_{labels}_{run.key.subset}.txt"
    text = f"# sha256 {sha256_of(ids)}\n" + "\n".join(ids) + "\n"
    store.put_file(run.key.suite, f"subsets/{stem}", text.encode())
