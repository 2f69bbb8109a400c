"""Settings of the distillation recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from bench.config import Settings
from bench.finetuning.settings import ArmSettings


class TeacherSettings(ArmSettings):
    """Settings of the teacher's training; those of `bench.finetuning.settings.ArmSettings` with the network tuned."""

    tuning: tuple[str, ...] = ("full",)
    learning_rates: tuple[float, ...] = (1e-3,)


class StudentSettings(ArmSettings):
    """Settings of the student's training; those of `bench.finetuning.settings.ArmSettings` over deterministic views."""

    tuning: tuple[str, ...] = ("full",)
    learning_rates: tuple[float, ...] = (1e-3,)
    augment: tuple[str, ...] = ("views",)


class DistillSettings(Settings):
    """Who learns from whom, and how.

    Attributes:
        teacher: the entry that is learned from; several for ``method=features``. For ``method=task`` it is tuned on the
            task first, or it is the record (``results/SUITE/records/DIGEST.json``) of a fine-tuned run that kept its
            weights.
        student: ``first:N``, the first N blocks of the teacher; ``every:K``, its blocks K, 2 K, ...; or an entry. Each
            may end in ``.random``: the same network from random init.
        name: of the new entry; ``<teacher>.<student>.<method>`` if not given.
        method: ``task`` learns a task from its labels and the tuned teacher; ``features`` learns the teachers' features
            and reads no labels; ``init`` leaves the student as it starts, a control.
        start: weights of a truncated student: the ``pretrained`` ones, or those of the tuned ``teacher`` with its head.
        strength: lambda, the weight of the teacher's outputs in the loss.
        temperature: T, by which logits are divided before they are compared; the term is multiplied by its square.
        features: distance of projected features: ``none``, ``mse`` or ``cosine``.
        feature_weight: its weight in the loss.
        feature_depths: relative depths at which features are compared, 1 for the last layer.
        relations: weight of the relations among the images of a batch (arXiv 1904.05068).
        suite, task, bands: images and labels; ``method=features`` reads the training images of the task.
        labels: share of the training and validation labels used.
        unlabelled: further images that the teacher alone judges: ``rest``, those of the training split that ``labels``
            leaves out, or the training split of a suite, ``SUITE`` or ``SUITE:TASK``.
        tuned: training of the teacher.
        training: training of the student.
        cache: keep the teacher's outputs on disk; false computes them at every step.
        seed: of everything random of the student.
        teacher_seed: of the teacher's training, so that students of several seeds share a teacher.
        weights: folder looked in first for weights.
        entries: folders with further entries.
    """

    teacher: tuple[str, ...] = Field(min_length=1)
    student: str
    name: str = ""
    method: Literal["task", "features", "init"] = "task"
    start: Literal["pretrained", "teacher"] = "pretrained"
    strength: float = Field(1.0, ge=0)
    temperature: float = Field(1.0, gt=0)
    features: Literal["none", "mse", "cosine"] = "none"
    feature_weight: float = Field(1.0, gt=0)
    feature_depths: tuple[float, ...] = (1.0,)
    relations: float = Field(0.0, ge=0)
    suite: str = ""
    task: str = ""
    bands: tuple[str, ...] = ()
    labels: float = Field(1.0, gt=0, le=1)
    unlabelled: str = ""
    tuned: TeacherSettings = TeacherSettings.model_validate({})
    training: StudentSettings = StudentSettings.model_validate({})
    cache: bool = True
    seed: int = Field(0, ge=0)
    teacher_seed: int = Field(0, ge=0)
    weights: Path | None = None
    entries: tuple[Path, ...] = ()
