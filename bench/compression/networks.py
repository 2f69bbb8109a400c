"""The network of each arm of the compression study, before it is trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from bench.compression.arms import CompressionArm
from bench.compression.settings import CompressSettings
from bench.compression.teacher import Teacher
from bench.compression.workbench import StudentWorkbench, counted_images
from bench.core.errors import Incompatible
from bench.finetuning.arm import Arm
from bench.finetuning.fit import batches_of, loss_function
from bench.finetuning.workbench import Workbench
from bench.foundry.pruning import structured
from bench.foundry.pruning.budgets import Budget, ratio_for
from bench.foundry.pruning.removal import Removed, remove
from bench.foundry.pruning.settings import Method
from bench.networks.reshaped import ShortenedBackbone, initialise, reshape, structure_of
from bench.networks.tapped import TappedNetwork, tapped


@dataclass(frozen=True, kw_only=True)
class Made:
    """A network and how it was made.

    Attributes:
        network: on the CPU, in evaluation mode, frozen.
        masks: parameter name -> where a weight stays, for networks whose other weights are held at zero.
        ratio: share that the method was asked to remove.
        steps: optimiser steps spent on making it.
        notes: on what could not be done.
    """

    network: TappedNetwork
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    ratio: float = 0.0
    steps: int = 0
    notes: tuple[str, ...] = ()


def make(
    arm: CompressionArm, settings: CompressSettings, workbench: Workbench, teacher: Teacher | None, seed: int
) -> Made:
    """Return the network of an arm at the budget of its settings.

    Args:
        arm: what is made.
        settings: of the run.
        workbench: of the run.
        teacher: fine-tuned; needed by arms that prune it.
        seed: of random inits.

    Raises:
        Incompatible: the network cannot be made this way, or the budget cannot be met.
    """
    if not arm.budgeted:
        return Made(network=tapped(workbench.own_backbone(scratch=arm.init == "random")))
    budget = Budget(quantity="flops", limit=settings.budgets[0], relative=True)
    images = counted_images(workbench)
    if arm.making == "pruned":
        assert teacher is not None and arm.method is not None
        return _pruned(arm.method, settings, budget, images, teacher)
    whole = tapped(workbench.own_backbone())
    small, ratio = _within(whole, _cut(settings, whole), budget, images)
    if arm.init == "random":
        return Made(network=_random(small.network, workbench, seed), ratio=ratio)
    return Made(network=small.network, ratio=ratio, notes=tuple(small.notes))


def _within(
    whole: TappedNetwork,
    method: Method,
    budget: Budget,
    images: Mapping[str, Tensor],
    values: Mapping[str, Tensor] | None = None,
) -> tuple[Removed, float]:
    """Return what a structured method leaves of a copy of a network within a budget, and the share it removed."""

    def removed(ratio: float) -> Removed:
        return remove(copy.deepcopy(whole), method, ratio, images, values=values)

    ratio = ratio_for(budget, lambda share: removed(share).network, whole, images)
    return removed(ratio), ratio


def _pruned(
    method: Method, settings: CompressSettings, budget: Budget, images: Mapping[str, Tensor], teacher: Teacher
) -> Made:
    """Return what a method leaves of the fine-tuned teacher."""
    whole = copy.deepcopy(tapped(teacher.task_model.backbone)).cpu().eval().requires_grad_(False)
    if method in ("magnitude", "dropout"):
        values, steps = None, 0
        if method == "dropout":
            from bench.foundry.pruning.variational import learned_importance

            own = StudentWorkbench(teacher.arm.workbench, whole, batch=settings.batch)
            start = Arm(
                teacher.arm.task,
                own,
                settings=teacher.arm.settings,
                seed=teacher.arm.seed,
                device=teacher.arm.device.type,
            )
            values, steps = learned_importance(start, whole), settings.steps_of_teacher
        ratio = 1 - budget.limit
        left = remove(whole, method, ratio, images, scope="global", values=values)
        return Made(network=left.network, masks=left.masks, ratio=ratio, steps=steps)
    values = _importance(settings, teacher) if method == "taylor" else None
    small, ratio = _within(whole, method, budget, images, values)
    return Made(network=small.network, ratio=ratio, notes=tuple(small.notes))


def _importance(settings: CompressSettings, teacher: Teacher) -> dict[str, Tensor]:
    """Return the Taylor importance of every value of the teacher's backbone, on training batches."""
    task_model = copy.deepcopy(teacher.task_model)
    task_model.tuned = True
    loss, batches = loss_function(teacher.arm), batches_of(teacher.arm, teacher.arm.train)
    losses = (loss(task_model, batch) for step in range(settings.batches) for batch in batches(step))
    values = structured.taylor_values(tapped(task_model.backbone), losses)
    return {name: value.cpu() for name, value in values.items()}


def _cut(settings: CompressSettings, whole: TappedNetwork) -> Method:
    """Return how a student is cut from a network."""
    if settings.student == "auto":
        try:
            ShortenedBackbone(copy.deepcopy(whole), (1,))
        except Incompatible:
            return "width"
        return "depth"
    return settings.student


def _random(small: TappedNetwork, workbench: Workbench, seed: int) -> TappedNetwork:
    """Return a network of the shape of a student, at random init."""
    whole = tapped(workbench.own_backbone(scratch=True))
    blocks = small.kept if isinstance(small, ShortenedBackbone) else ()
    before = ShortenedBackbone(copy.deepcopy(whole), blocks) if blocks else whole
    structure = structure_of(small, before, blocks=blocks)
    network = reshape(copy.deepcopy(whole), structure)
    initialise(network, structure, seed)
    return network
