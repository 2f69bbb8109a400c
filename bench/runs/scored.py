"""Check that an outcome has the headline score of its task."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.core import Kind, Outcome, Task
from bench.core.errors import Incompatible
from bench.metrics import metric

UNDEFINED: dict[Kind, str] = {
    "classification": "no test sample of a class that is scored",
    "multilabel": "no label is present in one test sample and absent in another",
    "regression": "the test targets, or all predictions, are the same value",
    "segmentation": "no pixel of a class is scored",
    "change": "no pixel of a class is scored",
    "dense_regression": "no pixel has a value, or all have the same",
    "detection": "no test sample has a box",
}
"""Kind of task -> what leaves its scores undefined."""


def with_scores(task: Task, outcome: Outcome) -> Outcome:
    """Return an outcome whose headline score on ``test`` is a number, with a note on other splits that lack theirs.

    Args:
        task: its metric is the headline.
        outcome: of a run.

    Raises:
        Incompatible: a headline score on ``test`` is not finite; the message has the layer rule and the cause.
    """
    notes = []
    for split, rules in outcome.scores.items():
        lacking = {rule: scores.get(task.metric, math.nan) for rule, scores in rules.items()}
        lacking = {rule: value for rule, value in lacking.items() if not math.isfinite(value)}
        if not lacking:
            continue
        values = ", ".join(f"{value:g} under {rule}" for rule, value in lacking.items())
        text = f"{metric(task.metric).label} on {split} is {values}: {UNDEFINED[task.kind]}"
        if split == "test":
            raise Incompatible(text)
        notes.append(f"{split}: {text}")
    return replace(outcome, notes=(*outcome.notes, *notes)) if notes else outcome
