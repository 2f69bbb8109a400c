"""Fine-tuning: decoder x taps x tuning under one budget; rate and checkpoint chosen on validation, test read once.

Every arm gets the same learning rates and steps. A frozen backbone is not run again: its stored features are read,
unless images are augmented or dates are folded by the arm.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core import ModelEntry, Outcome, Suite, Task
from bench.finetuning.arm import Arm
from bench.finetuning.evaluation import evaluate, scores
from bench.finetuning.refusals import refusal
from bench.finetuning.settings import ArmSettings, arms, label, probe_moved
from bench.finetuning.work import training_work
from bench.input.recipe import InputRecipe
from bench.metrics import metric
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol

if TYPE_CHECKING:
    from bench.finetuning.rate_search import ChosenRate
    from bench.finetuning.task_model import TaskModel
    from bench.finetuning.trained import History


class Settings(ArmSettings):
    """Settings of fine-tuning; see `bench.finetuning.settings.ArmSettings`."""


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why an arm cannot be trained for this entry and task, or ``""``."""
    return refusal(entry, task, settings)


def run(context: Context) -> Outcome:
    """Return the outcome of one arm: trained at each learning rate, the best on validation scored on test.

    Arrays, with a leading axis of one layer: those of `bench.protocols.probe`; of boxes ``<split>.detected`` and
    ``<split>.truth``, see `bench.metrics.boxes.matched`; ``history`` (rates, evaluations, 3), see
    `bench.finetuning.trained.History`; ``panel.*``, see `bench.finetuning.panels`.
    """
    import torch

    from bench.finetuning.cost import cost_of
    from bench.finetuning.rate_search import search_rates

    assert context.workbench is not None
    settings: Settings = context.settings
    arm = Arm(context.task, context.workbench, settings=settings, seed=context.seed, device=context.device)
    start = time.perf_counter()  # the samples have been opened, and passes for stored features made
    chosen = search_rates(arm)
    seconds = time.perf_counter() - start
    task_model = arm.build()
    task_model.load_state_dict(chosen.trained.state, strict=False)
    if settings.keep:
        context.workbench.keep_weights({k: v for k, v in chosen.trained.state.items() if torch.is_tensor(v)})
    cost = cost_of(task_model, chosen.trained, context.workbench) | {"fit_seconds": seconds}
    return _report(context, arm, task_model, chosen, cost)


def _report(
    context: Context, arm: Arm, task_model: TaskModel, chosen: ChosenRate, cost: Mapping[str, float]
) -> Outcome:
    """Return the outcome of the chosen state: only now are the test splits opened."""
    from bench.finetuning.panels import kept_images

    settings, rule, rates = arm.settings, arm.settings.taps[0], arm.settings.learning_rates
    by_split: dict[str, dict[str, dict[str, float]]] = {}
    arrays: dict[str, np.ndarray] = {"history": _padded(chosen.histories)}
    notes = list(chosen.notes)
    for name in context.tests:
        examples = arm.samples(name)
        notes += examples.notes
        outcome = evaluate(arm, task_model, examples)
        by_split[name] = {rule: scores(context.task, outcome)}
        for what, values in outcome.items():
            if what not in ("chance", "boundary"):
                arrays[f"{name}.{what}"] = values if what in ("target", "truth") else values[None]
        arrays[f"{name}.ids"], arrays[f"{name}.blocks"] = np.array(examples.ids), np.array(examples.blocks)
        if settings.write:
            notes += _write_maps(task_model, examples, context, name)
        if name == "test":
            arrays |= kept_images(task_model, examples, outcome, context.task, arm.workbench)
    choice = {
        "index": 0,
        "layer": " ".join(dict.fromkeys(arm.workbench.layers[index].name for index in arm.levels)),
        "pool": settings.decoders[0],
        "setting": chosen.rate,
        "edge": len(rates) > 1 and chosen.rate in (rates[0], rates[-1]),
        "val": metric(context.task.metric).sign * chosen.trained.score,
        "step": chosen.trained.step,
    }
    return Outcome(
        scores=by_split,
        choices={rule: choice},
        curves=[],
        arrays=arrays,
        notes=tuple(dict.fromkeys(notes)),
        cost=dict(cost),
    )


def _write_maps(task_model: TaskModel, examples: Any, context: Context, name: str) -> list[str]:
    """Write the predictions of a split as GeoTIFFs; return the reasons why some were not written."""
    from bench.finetuning.predictions import predictions

    assert context.workbench is not None
    if context.task.kind not in ("segmentation", "change", "dense_regression"):
        return [f"write=true: {context.task.kind} has no maps to write"]
    problems = []
    for batch, output in predictions(task_model, examples, context.task, 1):
        for row, each in zip(batch.rows, output, strict=True):
            values = each.cpu().numpy() if each.ndim == 2 else each.argmax(0).cpu().numpy()
            problems.append(context.workbench.write_map(name, int(examples.positions[row]), values))
    return sorted({problem for problem in problems if problem})


def _padded(histories: Sequence[History]) -> np.ndarray:
    """Return training histories as one array (rates, evaluations, 3), NaN after an early stop."""
    array = np.full((len(histories), max(map(len, histories), default=0), 3), np.nan, np.float32)
    for row, history in zip(array, histories, strict=True):
        row[: len(history)] = np.asarray(history, np.float32).reshape(-1, 3)
    return array


def version_of(suite: Suite, task: Task, recipe: InputRecipe, settings: Settings) -> int:
    """Return the version of a run.

    Version 2 has taps that follow version 3 of the probe, which chooses other layers in some dense tasks. Version 3
    draws LoRA's matrices from the run's seed; before, they followed whatever had been drawn. No other run changed.
    """
    if settings.tuning == ("lora",):
        return 3
    return 2 if probe_moved(suite, task, recipe, settings) else 1


PROTOCOL = Protocol(
    version=3,
    version_of=version_of,
    settings=Settings,
    refuses=refuses,
    run=run,
    arms=arms,
    arm_facts=label,
    work=training_work,
    runs_network=True,
    seeds=(0, 1, 2),
)
