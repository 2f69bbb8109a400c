"""Settings of the zoo recipe."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from bench.config import Settings
from bench.finetuning.settings import ArmSettings
from bench.foundry.generation.conditions import read_condition


class BranchSettings(ArmSettings):
    """Settings of a zoo's training: `bench.finetuning.settings.ArmSettings`, the whole network tuned at one rate."""

    tuning: tuple[str, ...] = ("full",)
    learning_rates: tuple[float, ...] = (3e-3,)
    backbone_rate: float = Field(1.0, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    steps: int = Field(200, ge=2)
    batch: int = Field(32, ge=1)
    evaluations: int = Field(1, ge=1)
    patience: int = Field(0, ge=0)


class ZooSettings(Settings):
    """A trunk trained for a part of the steps, then branches from it per condition and seed.

    Attributes:
        trunk: the entry whose weights the trunk starts from.
        name: what the entries' names begin with; ``<trunk>.zoo_<100 branch>`` if not given.
        suite, task, bands: images and labels.
        conditions: one branch each, ``classes:0.1.5-7+blur:1.5+noise:10+gain:.8+loss:focal``; if not given, `mixes`
            random ones.
        held_out: codes of classes that neither the trunk nor a random condition ever sees.
        mixes: number of random conditions.
        mix_classes: classes of a random condition.
        degradations: parts that random conditions have in turn, ``plain`` for none.
        branch: share of the steps after the branching, in (0, 1]; 0 would be copies of the trunk, 1 is unrelated heads
            and orders from the start.
        seeds: of the branches; each condition is trained once per seed.
        seed: of the trunk and of the random conditions.
        training: budget of trunk and branch together, see `BranchSettings`.
        labels: share of the training and validation labels used.
        images: training images that batch-norm statistics are measured on.
        weights: folder looked in first for weights.
        entries: folders with further entries.
    """

    trunk: str
    name: str = ""
    suite: str
    task: str = ""
    bands: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    held_out: tuple[int, ...] = ()
    mixes: int = Field(12, ge=1, le=1000)
    mix_classes: int = Field(4, ge=2)
    degradations: tuple[str, ...] = ("plain",)
    branch: float = Field(0.3, gt=0, le=1)
    seeds: tuple[int, ...] = (0,)
    seed: int = Field(0, ge=0)
    training: BranchSettings = BranchSettings.model_validate({})
    labels: float = Field(1.0, gt=0, le=1)
    images: int = Field(256, ge=200)
    weights: Path | None = None
    entries: tuple[Path, ...] = ()

    @field_validator("conditions", "degradations")
    @classmethod
    def _conditions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        read = tuple(str(read_condition(text)) for text in value)
        if len(set(read)) < len(read):
            raise ValueError("a condition is given twice")
        return read

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 0 or len(set(value)) < len(value):
            raise ValueError("one or more different seeds of at least 0 are needed")
        return value
