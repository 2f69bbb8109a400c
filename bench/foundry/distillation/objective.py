"""The objective of a student: the loss of its task, and terms that compare it with its teacher, in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.core import Layer
from bench.finetuning.arm import Arm
from bench.finetuning.fit import batches_of, output_loss
from bench.finetuning.task_model import TaskModel
from bench.foundry.distillation.outputs import TeacherOutputs
from bench.foundry.distillation.settings import DistillSettings
from bench.foundry.distillation.terms import feature_term, map_term, output_term, relation_term
from bench.input.batches import Batch, ImageExamples
from bench.networks.randomness import seeded_draws

PROJECTOR_STREAM = 1 << 33
"""Added to the seed for the init of projectors, so that they draw other numbers than decoder and LoRA."""
UNLABELLED_STREAMS = (3, 4)
"""Streams of order and windows of unlabelled images, see `bench.finetuning.fit.STREAMS`."""


@dataclass(frozen=True, kw_only=True)
class Matched:
    """A layer of the student and the layer of the teacher that it is compared with."""

    student: int
    teacher: int
    channels: tuple[int, int]


def matched_layers(student: Sequence[Layer], teacher: Sequence[Layer], depths: Sequence[float]) -> list[Matched]:
    """Return the layers of two networks that are nearest to each of some relative depths, the deepest of equals."""

    def nearest(layers: Sequence[Layer], depth: float) -> int:
        return min(range(len(layers)), key=lambda index: (abs(layers[index].depth - depth), -index))

    pairs = [(nearest(student, depth), nearest(teacher, depth)) for depth in depths]
    return [
        Matched(student=own, teacher=other, channels=(student[own].channels, teacher[other].channels))
        for own, other in dict.fromkeys(pairs)
    ]


class Distillation:
    """What distillation adds to the training of a student's arm, see `bench.finetuning.fit.Addition`.

    Args:
        arm: of the student.
        settings: of the recipe.
        outputs: source of a batch -> the teacher's outputs for its samples; empty for the task loss alone.
        scale: (centre, spread) of the teacher's standardised values.
        matched: layers whose features are compared.
        unlabelled: samples that the teacher alone judges.
        head: state of the decoder to start from, if not from a draw.
    """

    def __init__(
        self,
        arm: Arm,
        settings: DistillSettings,
        outputs: Mapping[str, TeacherOutputs],
        *,
        scale: tuple[Tensor, Tensor],
        matched: Sequence[Matched] = (),
        unlabelled: ImageExamples | None = None,
        head: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.arm, self.settings, self.outputs, self.matched, self.head = arm, settings, outputs, tuple(matched), head
        self.scale = tuple(values.to(arm.device) for values in (*scale, arm.centre, arm.spread))
        self.task_loss = output_loss(arm)
        self.further = batches_of(arm, unlabelled, UNLABELLED_STREAMS) if unlabelled else None
        labelled = min(arm.settings.batch, len(arm.train))
        added = min(arm.settings.batch, len(unlabelled)) if unlabelled else 0
        # The loop takes means over all samples of a step; the task loss is a mean over the labelled ones.
        self.share = (labelled + added) / labelled
        self.last = [len(arm.workbench.layers) - 1] if settings.relations and outputs else []

    def modules(self, arm: Arm, task_model: TaskModel) -> nn.Module:
        """Return the projectors of the features, drawn from the arm's seed, and put the head to start from in place."""
        if self.head is not None:
            task_model.decoder.load_state_dict(dict(self.head))
        with seeded_draws(PROJECTOR_STREAM + arm.seed):
            return nn.ModuleList(nn.Conv2d(own, other, 1) for own, other in (pair.channels for pair in self.matched))

    def batches(self, step: int) -> list[Batch]:
        """Return the unlabelled samples of a step."""
        return self.further(step) if self.further else []

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Return the task's loss plus the terms of the teacher; for samples without labels the terms alone."""
        assert isinstance(module, TaskModel)
        if not self.outputs:
            return self.task_loss(module(batch), batch)
        count = len(module.levels)
        taps = module.taps(batch, [*(pair.student for pair in self.matched), *self.last])
        own, further = taps[:count], taps[count:]
        given = self.outputs[batch.source].read(batch)
        terms = self._features(module, [tap.grid for tap in further[: len(self.matched)]], given)
        if self.last:
            terms.append(self.settings.relations * relation_term(further[-1].vector, given["vector"]))
        strength = self.settings.strength
        output = None
        if module.boxes:
            maps = module.maps(own)
            if strength:
                reference = [given[f"map_{place}"] for place in range(len(maps))]
                terms.append(strength * map_term(list(maps.values()), reference))
            if batch.target is not None:
                output = module.decode(batch, own, maps)
        else:
            output = module.decode(batch, own)
            if strength:
                terms.append(strength * self.output_term(output, batch, given["output"]))
        value = torch.stack(terms).sum() if terms else own[0].grid.sum() * 0.0
        if batch.target is None or output is None:
            return value
        return value + self.share * self.task_loss(output, batch)

    def output_term(self, output: Tensor, batch: Batch, teacher: Tensor) -> Tensor:
        """Return the distance of outputs from the teacher's, over valid samples or pixels, in the student's units.

        Args:
            output: of the student.
            batch: its samples; a window of them for large images.
            teacher: the teacher's outputs for the whole images.
        """
        task, valid = self.arm.task, None
        centre, spread, own_centre, own_spread = self.scale
        if task.kind == "regression":
            teacher = (teacher * spread + centre - own_centre) / own_spread
        elif task.kind == "dense_regression":
            teacher = (teacher * spread[0] + centre[0] - own_centre[0]) / own_spread[0]
        if task.dense:
            top, left = batch.corner
            teacher = teacher[..., top : top + batch.size[0], left : left + batch.size[1]]
            output = output[..., : teacher.shape[-2], : teacher.shape[-1]]
            valid = self._valid(batch.target)
        return output_term(output, teacher, task.kind, temperature=self.settings.temperature, valid=valid)

    def _valid(self, target: Tensor | None) -> Tensor | None:
        """Return which pixels have a label; of samples without labels all count."""
        if target is None:
            return None
        if self.arm.task.kind == "dense_regression":
            return target.isfinite()
        return target >= 0 if self.arm.task.ignore is None else target != self.arm.task.ignore

    def _features(self, module: TaskModel, grids: Sequence[Tensor], given: Mapping[str, Tensor]) -> list[Tensor]:
        if not grids:
            return []
        projectors = module.addition
        assert isinstance(projectors, nn.ModuleList)
        weight, how = self.settings.feature_weight, self.settings.features
        return [
            weight * feature_term(project(grid.float()), given[f"feature_{place}"], how)
            for place, (project, grid) in enumerate(zip(projectors, grids, strict=True))
        ]
