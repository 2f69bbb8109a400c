"""One run of the compression study: make the network of an arm, train it, measure it, and score it on test."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bench.compression.arms import ARMS, CompressionArm
from bench.compression.distilled import FromTeacher
from bench.compression.measure import measured
from bench.compression.networks import Made, make
from bench.compression.settings import CompressSettings
from bench.compression.similarity import rows_by_depth
from bench.compression.teacher import Teacher, fine_tuned, training_settings
from bench.compression.workbench import StudentWorkbench, counted_images
from bench.core import Outcome, Task
from bench.features.activations import activations
from bench.features.forward import whole_taps
from bench.finetuning.arm import Arm
from bench.finetuning.evaluation import evaluate, scores
from bench.finetuning.loop import restore
from bench.finetuning.rate_search import search_rates
from bench.finetuning.task_model import TaskModel
from bench.finetuning.workbench import Workbench
from bench.foundry.pruning.carry_out import Mask
from bench.metrics import metric
from bench.networks.batch_norms import LEAST_IMAGES, average_statistics, batch_norms
from bench.networks.tapped import TappedNetwork, tapped

NOT_STORED = ("chance", "boundary")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The network of an arm after training, with its head.

    Attributes:
        arm: that trained it.
        task_model: in its best state on validation.
        backbone: the network, in evaluation mode; pruned weights are zeros.
        score: on validation, higher is better.
        rate, step: learning rate and step that validation chose.
        seconds: of the training steps at the chosen rate.
        notes: on samples and rates.
    """

    arm: Arm
    task_model: TaskModel
    backbone: TappedNetwork
    score: float
    rate: float
    step: int
    seconds: float
    notes: tuple[str, ...]


def compress(
    workbench: Workbench, settings: CompressSettings, *, task: Task, seed: int, device: str, tests: tuple[str, ...]
) -> Outcome:
    """Return the outcome of one arm at one budget; the test splits are opened once everything is chosen.

    Args:
        workbench: of the run.
        settings: one arm and at most one budget.
        task: what is predicted.
        seed: of everything random.
        device: torch device.
        tests: names of the test splits.

    Raises:
        Incompatible: the network cannot be made, or training diverges at every rate.
    """
    arm = ARMS[settings.arms[0]]
    teacher = fine_tuned(workbench, settings, task=task, seed=seed, device=device) if arm.asks_teacher else None
    started = time.perf_counter()
    if arm.name == "teacher":
        assert teacher is not None
        smaller, trained = Made(network=tapped(teacher.task_model.backbone)), _of_teacher(teacher)
    else:
        smaller = make(arm, settings, workbench, teacher, seed)
        if arm.making == "pruned" and not arm.trained:
            reestimate(smaller.network, workbench, settings, device)
        trained = _trained(arm, smaller, settings, workbench, teacher, task=task, seed=seed, device=device)
    seconds = time.perf_counter() - started
    whole = tapped(teacher.task_model.backbone) if teacher is not None else None
    costs = measured(trained.backbone, whole, counted_images(workbench), device=device)
    costs |= {
        "decoder_parameters": float(sum(value.numel() for value in trained.task_model.decoder.parameters())),
        "removed_ratio": smaller.ratio,
        "arm_steps": float(0 if arm.name == "teacher" else settings.steps),
        "making_steps": float(smaller.steps),
        "teacher_steps": float(settings.steps_of_teacher if teacher else 0),
        "teacher_seconds": teacher.seconds if teacher else 0.0,
        "arm_seconds": seconds,
        "training_seconds": trained.seconds,
    }
    rows = _likeness(trained, teacher, settings, workbench) if teacher else []
    return _outcome(trained, rows, costs, smaller.notes, tests)


def _of_teacher(teacher: Teacher) -> Trained:
    return Trained(
        arm=teacher.arm,
        task_model=teacher.task_model,
        backbone=tapped(teacher.task_model.backbone),
        score=teacher.score,
        rate=teacher.rate,
        step=teacher.step,
        seconds=teacher.seconds,
        notes=teacher.notes,
    )


def _trained(
    arm: CompressionArm,
    smaller: Made,
    settings: CompressSettings,
    workbench: Workbench,
    teacher: Teacher | None,
    *,
    task: Task,
    seed: int,
    device: str,
) -> Trained:
    """Return the network of an arm, trained on the task: whole, or its head alone."""
    network = smaller.network
    tuning = "scratch" if arm.init == "random" else settings.tuning[0]
    if arm.trained:
        hold_masks(network, smaller.masks)
    training = training_settings(settings, tuning=(tuning if arm.trained else "frozen",))
    own = StudentWorkbench(workbench, network, batch=settings.batch)
    trainer = Arm(task, own, settings=training, seed=seed, device=device)
    addition = None
    if arm.distilled:
        assert teacher is not None
        weight, temperature = settings.distillation, settings.temperature
        addition = FromTeacher(trainer, teacher, weight=weight, temperature=temperature)
    chosen = search_rates(trainer, addition)
    task_model = trainer.build()
    restore(task_model, chosen.trained.state)
    backbone = tapped(task_model.backbone) if task_model.backbone is not None else network
    release_masks(backbone, smaller.masks if arm.trained else {})
    backbone.eval().requires_grad_(False)
    return Trained(
        arm=trainer,
        task_model=task_model,
        backbone=backbone,
        score=chosen.trained.score,
        rate=chosen.rate,
        step=chosen.trained.step,
        seconds=chosen.trained.seconds,
        notes=tuple(chosen.notes),
    )


def hold_masks(network: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Hold the weights that masks remove at zero while the others are trained, in place."""
    for name, keep in masks.items():
        path, _, leaf = name.rpartition(".")
        torch.nn.utils.parametrize.register_parametrization(network.get_submodule(path), leaf, Mask(keep))


def release_masks(network: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Make masks permanent: the weights they remove are zeros, in place."""
    for name in masks:
        path, _, leaf = name.rpartition(".")
        torch.nn.utils.parametrize.remove_parametrizations(network.get_submodule(path), leaf)


def reestimate(network: TappedNetwork, workbench: Workbench, settings: CompressSettings, device: str) -> None:
    """Measure the statistics of every batch norm anew on training images, in place; nothing without batch norms."""
    if not batch_norms(network):
        return
    examples = workbench.images("train", most=max(LEAST_IMAGES, settings.images))

    def run(rows: range) -> None:
        for batch in examples.read(rows):
            assert batch.given is not None
            whole_taps(workbench.recipe, network, batch.given, [len(network.layers) - 1])

    starts = range(0, len(examples), settings.batch)
    average_statistics(
        network.to(device), [range(start, min(start + settings.batch, len(examples))) for start in starts], run
    )


def _likeness(
    trained: Trained, teacher: Teacher, settings: CompressSettings, workbench: Workbench
) -> list[dict[str, object]]:
    """Return the similarity of every layer to the teacher's, on validation images."""
    examples = workbench.images("val", most=settings.images)
    whole = copy.deepcopy(tapped(teacher.task_model.backbone))
    collected = [
        activations(network, examples, workbench.recipe, {}, batch=settings.batch)
        for network in (trained.backbone.to(trained.arm.device), whole)
    ]
    if len(examples) < 4:
        return []
    rows = rows_by_depth(collected[0], collected[1], trained.backbone.layers, whole.layers)
    return [row for row in rows if row["cka"] == row["cka"]]


def _outcome(
    trained: Trained,
    rows: list[dict[str, object]],
    costs: Mapping[str, float],
    notes: tuple[str, ...],
    tests: tuple[str, ...],
) -> Outcome:
    """Return the outcome of the chosen state: only now are the test splits opened."""
    arm = trained.arm
    rule = arm.settings.taps[0]
    by_split: dict[str, dict[str, dict[str, float]]] = {}
    arrays: dict[str, np.ndarray] = {}
    remarks = [*trained.notes, *notes]
    for name in tests:
        examples = arm.samples(name)
        remarks += examples.notes
        outcome = evaluate(arm, trained.task_model, examples)
        by_split[name] = {rule: scores(arm.task, outcome)}
        arrays |= dict(_stored(name, outcome))
        arrays[f"{name}.ids"], arrays[f"{name}.blocks"] = np.array(examples.ids), np.array(examples.blocks)
    choice = {
        "index": 0,
        "layer": " ".join(dict.fromkeys(arm.workbench.layers[index].name for index in arm.levels)),
        "pool": arm.settings.decoders[0],
        "setting": trained.rate,
        "edge": False,
        "val": metric(arm.task.metric).sign * trained.score,
        "step": trained.step,
    }
    return Outcome(
        scores=by_split,
        choices={rule: choice},
        curves=rows,
        arrays=arrays,
        notes=tuple(dict.fromkeys(remarks)),
        cost=dict(costs),
    )


def _stored(split: str, outcome: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a split as records keep them: with a leading axis of one layer, targets without."""
    for what, values in outcome.items():
        if what not in NOT_STORED:
            yield f"{split}.{what}", values if what in ("target", "truth") else values[None]
