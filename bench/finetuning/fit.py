"""Train an arm at one learning rate: parameter groups, budget, batches and loss of the training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor, nn

from bench.finetuning.arm import Arm
from bench.finetuning.evaluation import validation_score
from bench.finetuning.loop import Budget, train
from bench.finetuning.losses import loss_of
from bench.finetuning.prefetch import Prefetch
from bench.finetuning.settings import ArmSettings
from bench.finetuning.task_model import TaskModel
from bench.finetuning.trained import Trained
from bench.finetuning.tuning import parameter_groups
from bench.input.batches import Batch, Examples

STREAMS = (1, 2)
"""Second words of the seeds of the order of an epoch and of a step's augmentations; the first is the arm's seed."""


class Fitted(NamedTuple):
    """A training that has ended.

    Attributes:
        trained: score, history and best state.
        task_model: the module, in its best state.
    """

    trained: Trained
    task_model: TaskModel


class Addition(Protocol):
    """What a recipe adds to the training of an arm: another loss, further modules, further samples."""

    def modules(self, arm: Arm, task_model: TaskModel) -> nn.Module:
        """Return modules that are trained with a new task model, whose attribute ``addition`` they become.

        What the task model is to start from may be put in place here.
        """
        ...

    def batches(self, step: int) -> list[Batch]:
        """Return the samples of a step that are read in addition to the arm's."""
        ...

    def loss(self, task_model: nn.Module, batch: Batch) -> Tensor:
        """Return the loss that stands in place of the arm's, a mean over a batch's samples."""
        ...


def fit(
    arm: Arm, number: int, rate: float, examples: Examples | None = None, addition: Addition | None = None
) -> Fitted:
    """Train an arm at one learning rate and return its best state on validation.

    Args:
        arm: what is trained.
        number: of the training within the run, which names its checkpoint.
        rate: learning rate.
        examples: samples to learn from, if not the arm's own.
        addition: changes the loss, and adds modules and samples.

    Raises:
        Diverged: the loss is not finite, or no validation score is a number.
    """
    settings, task_model = arm.settings, arm.build()
    if addition:
        task_model.addition = addition.modules(arm, task_model).to(arm.device)
    task_model.train()
    # A network that starts from random weights learns at one rate throughout.
    scratch = arm.tuning == "scratch"
    groups = parameter_groups(
        task_model.backbone,
        [task_model.decoder, task_model.folds, *([task_model.addition] if task_model.addition else [])],
        rate=rate,
        backbone_rate=1.0 if scratch else settings.backbone_rate,
        decay=1.0 if scratch else settings.layer_decay,
        weight_decay=settings.weight_decay,
    )
    head_first = arm.tuning == "head-then-full"

    def train_head_only(alone: bool) -> None:
        assert task_model.backbone is not None
        task_model.backbone.requires_grad_(not alone)
        task_model.train()

    own = batches_of(arm, examples or arm.train)
    trained = train(
        task_model,
        groups,
        budget_of(settings, head_first=head_first),
        batches=own if addition is None else lambda step: own(step) + addition.batches(step),
        loss=addition.loss if addition else loss_function(arm),
        evaluate=lambda: validation_score(arm, task_model),
        micro=arm.pass_size,
        seed=arm.seed,
        place=arm.workbench.checkpoint(number),
        head_only=train_head_only if head_first else None,
    )
    return Fitted(trained, task_model)


def budget_of(settings: ArmSettings, *, head_first: bool) -> Budget:
    """Return the training budget of an arm's settings."""
    return Budget(
        steps=settings.steps,
        evaluations=settings.evaluations,
        patience=settings.patience,
        warmup=settings.warmup,
        head_steps=round(settings.head_share * settings.steps) if head_first else 0,
    )


def batches_of(arm: Arm, examples: Examples, streams: tuple[int, int] = STREAMS) -> Callable[[int], list[Batch]]:
    """Return step -> batches of an arm, see `epoch_batches`."""
    return epoch_batches(examples, batch=arm.settings.batch, seed=arm.seed, streams=streams)


def epoch_batches(
    examples: Examples, *, batch: int, seed: int, streams: tuple[int, int] = STREAMS
) -> Callable[[int], list[Batch]]:
    """Return step -> batches, read one step ahead; each epoch has an order of its own, each step its augmentations.

    Args:
        examples: samples to read.
        batch: samples per step, at most as many as there are.
        seed: first word of the seeds.
        streams: second words of the seeds of the order and of the augmentations.
    """
    count, batch = len(examples), min(batch, len(examples))
    order_stream, augmentation_stream = streams

    def read(step: int) -> list[Batch]:
        places = range(step * batch, (step + 1) * batch)
        epochs = [place // count for place in places]
        orders = {epoch: np.random.default_rng((seed, order_stream, epoch)).permutation(count) for epoch in set(epochs)}
        rows = [int(orders[place // count][place % count]) for place in places]
        return examples.read(rows, np.random.default_rng((seed, augmentation_stream, step)), epochs)

    return Prefetch(read)


def loss_function(arm: Arm) -> Callable[[nn.Module, Batch], Tensor]:
    """Return (task model, batch) -> mean loss over the batch's samples."""
    loss = output_loss(arm)
    return lambda module, batch: loss(module(batch), batch)


def output_loss(arm: Arm) -> Callable[[Any, Batch], Tensor]:
    """Return (output of the task model, batch) -> mean loss over the batch's samples.

    For boxes the output is the detector's losses by name, as it gives them in training mode.
    """
    task = arm.task
    if task.kind == "detection":
        return lambda output, batch: sum(output.values())  # type: ignore[return-value]
    loss = loss_of(task, arm.settings.loss)
    scaled = task.kind in ("regression", "dense_regression")
    # Dense values (B, H, W) have one output; a vector (B, q) has a scale per output.
    centre, spread = (arm.centre[0], arm.spread[0]) if task.kind == "dense_regression" else (arm.centre, arm.spread)
    centre, spread = centre.to(arm.device), spread.to(arm.device)

    def mean_loss(output: Tensor, batch: Batch) -> Tensor:
        target = (batch.target - centre) / spread if scaled else batch.target
        if output.ndim > 2:  # a window may reach beyond the image
            output = output[..., : target.shape[-2], : target.shape[-1]]
        return loss(output, target)

    return mean_loss
