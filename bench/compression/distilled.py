"""Distillation from the fine-tuned teacher of the same run, which sees every batch as the student does."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.compression.teacher import Teacher
from bench.core.errors import Incompatible
from bench.finetuning.arm import Arm
from bench.finetuning.fit import output_loss
from bench.finetuning.task_model import TaskModel
from bench.foundry.distillation.terms import output_term
from bench.input.batches import Batch


class FromTeacher:
    """The task's loss plus T^2 KL(teacher || student) with a weight; see `bench.finetuning.fit.Addition`.

    Args:
        arm: of the student.
        teacher: frozen.
        weight: of the divergence.
        temperature: T.

    Raises:
        Incompatible: the task is detection.
    """

    def __init__(self, arm: Arm, teacher: Teacher, *, weight: float, temperature: float) -> None:
        if arm.task.kind == "detection":
            raise Incompatible(
                "the study distils outputs, which detectors do not share; leave *_distilled out of arms="
            )
        self.arm, self.teacher, self.weight, self.temperature = arm, teacher.task_model, weight, temperature
        self.task_loss = output_loss(arm)

    def modules(self, arm: Arm, task_model: TaskModel) -> nn.Module:
        """Return no modules."""
        return nn.ModuleList()

    def batches(self, step: int) -> list[Batch]:
        """Return no further samples."""
        return []

    def loss(self, task_model: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of a batch, over valid samples or pixels."""
        output = task_model(batch)
        with torch.no_grad():
            expected = self.teacher(batch)
        valid = None
        if self.arm.task.dense:
            target, ignore = batch.target, self.arm.task.ignore
            assert target is not None
            tall, wide = target.shape[-2:]
            output, expected = output[..., :tall, :wide], expected[..., :tall, :wide]
            codes = target.isfinite() if target.is_floating_point() else target >= 0
            valid = codes if ignore is None else codes & (target != ignore)
        term = output_term(output, expected, self.arm.task.kind, temperature=self.temperature, valid=valid)
        return self.task_loss(output, batch) + self.weight * term
