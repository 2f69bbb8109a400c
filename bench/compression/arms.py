"""The arms of the compression study: which network is made, where its weights come from, what is trained. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.foundry.pruning.settings import Method

Making = Literal["teacher", "pruned", "student", "small"]
Init = Literal["tuned", "pretrained", "random", "selected"]
METHODS: tuple[Method, ...] = ("magnitude", "structured", "taylor", "dropout", "depth", "width")


@dataclass(frozen=True, kw_only=True)
class CompressionArm:
    """One row of the study's table.

    Attributes:
        name: of the arm.
        what: it in words.
        making: ``teacher``: the whole network; ``pruned``: what a pruning method leaves of the fine-tuned teacher;
            ``student``: a smaller network of the teacher's family; ``small``: another entry.
        init: weights at the start: those of the fine-tuned teacher, the pretrained ones, random ones, or evenly spaced
            elements of the pretrained ones (weight selection).
        method: of pruning, for ``pruned``.
        trained: the whole network is trained; otherwise the head alone, on features of the network as it is.
        distilled: the loss holds the divergence from the fine-tuned teacher's outputs.
    """

    name: str
    what: str
    making: Making
    init: Init
    method: Method | None = None
    trained: bool = True
    distilled: bool = False

    @property
    def budgeted(self) -> bool:
        """Whether it is made once per budget."""
        return self.making in ("pruned", "student")

    @property
    def asks_teacher(self) -> bool:
        """Whether it needs the fine-tuned teacher, to be made or to be compared with."""
        return self.making != "small"


def _pruned(method: Method) -> tuple[CompressionArm, CompressionArm]:
    text = {
        "magnitude": "single weights of least magnitude set to zero",
        "structured": "heads, hidden values and channels of least norm removed",
        "taylor": "heads, hidden values and channels of least Taylor importance removed",
        "dropout": "single weights that variational dropout finds unneeded set to zero",
        "depth": "the last blocks removed",
        "width": "every layer sliced to its first or largest channels",
    }[method]
    return (
        CompressionArm(name=method, what=f"{text}, no recovery", making="pruned", init="tuned", method=method,
                       trained=False),
        CompressionArm(name=f"{method}_recovered", what=f"{text}, with recovery", making="pruned", init="tuned",
                       method=method),
    )  # fmt: skip


ARMS: dict[str, CompressionArm] = {
    arm.name: arm
    for arm in (
        CompressionArm(name="teacher", what="the fine-tuned teacher", making="teacher", init="pretrained"),
        CompressionArm(
            name="head_only", what="the pretrained teacher, head alone trained", making="teacher", init="pretrained",
            trained=False,
        ),
        *(arm for method in METHODS for arm in _pruned(method)),
        CompressionArm(name="student", what="student, pretrained init, task loss", making="student", init="pretrained"),
        CompressionArm(
            name="student_random", what="student, random init, task loss", making="student", init="random"
        ),
        CompressionArm(
            name="student_distilled", what="student, pretrained init, distilled", making="student", init="pretrained",
            distilled=True,
        ),
        CompressionArm(
            name="student_random_distilled", what="student, random init, distilled", making="student", init="random",
            distilled=True,
        ),
        CompressionArm(name="small_scratch", what="small network from scratch", making="small", init="random"),
        CompressionArm(name="small_pretrained", what="small pretrained network", making="small", init="pretrained"),
    )
}  # fmt: skip
"""Every arm by name, in the order of the table."""


def cost_text(arms: Sequence[str], steps: int, teacher_steps: int, batch: int) -> list[str]:
    """Return the budgets of steps in words: that of every arm, and that of the teacher.

    Args:
        arms: names.
        steps: of every arm.
        teacher_steps: of the teacher.
        batch: images per step.
    """
    lines = [f"{len(arms)} arms: {', '.join(arms)}"]
    lines.append(f"every arm: {steps} optimiser steps of {batch} images per learning rate")
    if any(ARMS[name].asks_teacher for name in arms):
        lines.append(f"teacher: {teacher_steps} steps per learning rate and seed, trained once and shared by all arms")
    if extra := [name for name in arms if ARMS[name].method == "dropout"]:
        lines.append(f"{', '.join(extra)}: {teacher_steps} more steps per seed for the search for weights")
    return lines
