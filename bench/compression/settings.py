"""Settings of the compression study; one arm at one budget is a run. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from bench.compression.arms import ARMS
from bench.core import Task, lookup
from bench.finetuning.settings import ArmSettings
from bench.finetuning.settings import arms as training_arms


class CompressSettings(ArmSettings):
    """What is made of a teacher and how it is trained; training is set as in `bench.finetuning.settings.ArmSettings`.

    Attributes:
        arms: names or globs of `bench.compression.arms.ARMS`.
        budgets: shares kept: of the teacher's multiply-adds, or of its weights where single weights are set to zero.
        small: entries that the arms ``small_*`` train.
        student: how a student is cut from the teacher's network: to its first blocks (``depth``) or to fewer channels
            (``width``); ``auto`` takes depth where blocks can be removed.
        teacher_steps: optimiser steps of the teacher; those of an arm where 0.
        images: of the training split, for batch-norm statistics of networks that are not trained (at least 200, if
            there are so many); of the validation split, for the similarity of layers.
        distillation: weight of the divergence from the teacher in the loss of the arms ``*_distilled``.
        temperature: T of that divergence.
        batches: of training images that Taylor importance is summed over.
    """

    arms: tuple[str, ...] = ("*",)
    budgets: tuple[float, ...] = (0.5, 0.25)
    small: tuple[str, ...] = ()
    student: Literal["auto", "depth", "width"] = "auto"
    teacher_steps: int = Field(0, ge=0)
    images: int = Field(256, ge=8)
    batches: int = Field(8, ge=1)
    distillation: float = Field(1.0, gt=0)
    temperature: float = Field(1.0, gt=0)
    tuning: tuple[str, ...] = ("full",)
    learning_rates: tuple[float, ...] = (1e-3,)
    steps: int = Field(200, ge=1)
    evaluations: int = Field(4, ge=1)
    patience: int = Field(0, ge=0)

    @field_validator("arms")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(lookup.match(value, list(ARMS), kind="arm"))

    @field_validator("budgets")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for share in value:
            if not 0 < share < 1:
                raise ValueError(f"a budget is the share that is kept, between 0 and 1; half is .5, not {share:g}")
        return tuple(sorted(set(value), reverse=True))

    @field_validator("tuning")
    @classmethod
    def _whole(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(name not in ("full", "head-then-full") for name in value):
            raise ValueError("arms train the whole network or the head alone by themselves; use full or head-then-full")
        return value

    @property
    def steps_of_teacher(self) -> int:
        """Optimiser steps of the teacher."""
        return self.teacher_steps or self.steps


def arms(settings: CompressSettings, task: Task) -> list[CompressSettings]:
    """Return the settings of every run: one per arm, and per budget where the arm has one."""
    runs = []
    for training in training_arms(settings, task):
        for name in ARMS:
            if name in settings.arms:
                budgets: tuple[float, ...] = settings.budgets if ARMS[name].budgeted else ()
                runs += [
                    training.model_copy(update={"arms": (name,), "budgets": kept, "small": ()})
                    for kept in ([(budget,) for budget in budgets] if ARMS[name].budgeted else [()])
                ]
    return [run for run in runs if isinstance(run, CompressSettings)]


def facts(settings: CompressSettings) -> dict[str, str]:
    """Return what tells one run from another, by the columns of tables."""
    (name,) = settings.arms
    return {
        "decoder": settings.decoders[0],
        "tuning": settings.tuning[0],
        "taps": settings.taps[0],
        "compression": name,
        "budget": f"{settings.budgets[0]:g}" if settings.budgets else "",
        "what": ARMS[name].what,
    }
