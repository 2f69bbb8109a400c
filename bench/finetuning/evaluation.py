"""Scores of a task model on the samples of an arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.core import Task
from bench.finetuning.arm import Arm
from bench.metrics import METRICS, auroc, boundary_f1, score

if TYPE_CHECKING:
    from bench.finetuning.task_model import TaskModel
    from bench.input.batches import Examples


def evaluate(arm: Arm, task_model: TaskModel, examples: Examples) -> dict[str, np.ndarray]:
    """Return the outcomes of samples with their targets, see `bench.finetuning.predictions.outcomes`."""
    from bench.finetuning.predictions import outcomes

    return outcomes(task_model, examples, arm.task, arm.pass_size)


def validation_score(arm: Arm, task_model: TaskModel) -> float:
    """Return the headline metric on validation, its sign turned where lower is better."""
    by_metric = scores(arm.task, evaluate(arm, task_model, arm.val))
    return METRICS[arm.task.metric].sign * by_metric[arm.task.metric]


def scores(task: Task, outcome: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return every score of per-sample outcomes: with boundary F1 and AUROC, which records cannot be rescored for."""
    by_metric = score(task, outcome)
    if "boundary" in outcome:
        by_metric["boundary_f1"] = boundary_f1(outcome["boundary"])
    if "chance" in outcome:
        by_metric["auroc"] = auroc(outcome["chance"], outcome["target"])
    return by_metric
