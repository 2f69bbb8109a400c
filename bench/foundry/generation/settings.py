"""Settings of the recipe that generates entries."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from bench.config import Settings
from bench.core import lookup
from bench.finetuning.settings import ArmSettings
from bench.foundry.generation.conditions import read_condition


class RankingSettings(ArmSettings):
    """Training that ranks candidates for tasks without a probe; see `bench.finetuning.settings.ArmSettings`."""

    tuning: tuple[str, ...] = ("full",)
    learning_rates: tuple[float, ...] = (1e-3,)
    steps: int = Field(30, ge=1)
    evaluations: int = Field(1, ge=1)
    patience: int = Field(0, ge=0)


class GenerateSettings(Settings):
    """Candidates from a generator of a lineage, ranked on validation, the best kept as entries.

    Attributes:
        zoo: folder of entries with a trunk and its members (``recipe=zoo``); ``collection=`` is the same.
        collection: see `zoo`.
        prompt: entry whose weights the generated deltas are added to; the trunk if not given.
        generator: file name in ``bench/foundry/generators``.
        condition: wanted, ``classes:0.1+blur:1``; also what images are shown under.
        n: candidates.
        keep: how many of them become entries.
        components: of the codes; all N - 1 if 0.
        suite, task, bands: images.
        labels: share of the training and validation labels that candidates are ranked with; -k for k samples per class.
        subset: number of the subset of labels.
        images: training images that batch-norm statistics are measured on; their labels are not used.
        refine: ``task`` or ``features``: change codes by the behaviour of their networks; ``none`` does not.
        refine_steps, refine_rate, refine_batch: of that.
        ranking: budget of the ranking for tasks other than classification.
        name: of the entries, followed by a number; ``<trunk>.<generator>`` if not given.
        seed: of everything random.
        weights: folder looked in first for weights.
        entries: folders with further entries.
    """

    zoo: Path | None = None
    collection: Path | None = None
    prompt: str = ""
    generator: str = "gaussian"
    condition: str = "plain"
    n: int = Field(10, ge=1, le=10_000)
    keep: int = Field(3, ge=1)
    components: int = Field(0, ge=0)
    suite: str
    task: str = ""
    bands: tuple[str, ...] = ()
    labels: float = Field(1.0, le=1)
    subset: int = Field(0, ge=0)
    images: int = Field(256, ge=200)
    refine: Literal["none", "task", "features"] = "none"
    refine_steps: int = Field(10, ge=1)
    refine_rate: float = Field(0.1, gt=0)
    refine_batch: int = Field(40, ge=2)
    ranking: RankingSettings = RankingSettings.model_validate({})
    name: str = ""
    seed: int = Field(0, ge=0)
    weights: Path | None = None
    entries: tuple[Path, ...] = ()

    @field_validator("generator")
    @classmethod
    def _generator(cls, value: str) -> str:
        return lookup.match([value], lookup.names("bench.foundry.generators"), kind="generator")[0]

    @field_validator("condition")
    @classmethod
    def _condition(cls, value: str) -> str:
        return str(read_condition(value))

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: float) -> float:
        if value == 0 or (value < 0 and value != round(value)):
            raise ValueError("a share in (0, 1], or -k for k samples per class")
        return value

    @model_validator(mode="after")
    def _folder(self) -> GenerateSettings:
        if (self.zoo is None) == (self.collection is None):
            raise ValueError("give zoo= or collection=, a folder of entries of one lineage")
        if self.keep > self.n:
            raise ValueError(f"keep={self.keep} of n={self.n} candidates")
        return self

    @property
    def folder(self) -> Path:
        """The folder of entries."""
        folder = self.zoo or self.collection
        assert folder is not None
        return folder


class JudgeSettings(Settings):
    """A zoo, a request that its members were not trained for, and the budget that every arm gets.

    Attributes:
        zoo: folder of entries with a trunk and its members (``recipe=zoo``).
        suite, task, bands: images and labels of a classification.
        request: condition of the request, ``classes:0.3+blur:2``.
        reserve: training images per class; the others join the test split, so that few classes give enough of them.
            0 keeps the splits.
        shots: labelled samples per class for training, and as many for validation; another subset for each seed.
        seeds: of subsets, candidates and batches.
        n: candidates of every arm that draws; validation chooses.
        test_images: most test images, chosen by the hash of their ids.
        images: training images that batch-norm statistics are measured on, without their labels.
        steps: of fine-tuning, from the frozen probe as head.
        batch: samples per step.
        learning_rates: of fine-tuning; validation chooses.
        refine_steps: of task vectors and of refined codes.
        refine_rate: of those.
        precision: arithmetic of the network.
        weights: folder looked in first for weights.
        entries: folders with further entries.
    """

    zoo: Path
    suite: str
    task: str = ""
    bands: tuple[str, ...] = ()
    request: str = "plain"
    reserve: int = Field(0, ge=0)
    shots: int = Field(10, ge=2)
    seeds: tuple[int, ...] = tuple(range(10))
    n: int = Field(3, ge=1)
    test_images: int = Field(1000, ge=1)
    images: int = Field(200, ge=200)
    steps: int = Field(8, ge=1)
    batch: int = Field(16, ge=1)
    learning_rates: tuple[float, ...] = (1e-4, 1e-3)
    refine_steps: int = Field(10, ge=1)
    refine_rate: float = Field(0.1, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    weights: Path | None = None
    entries: tuple[Path, ...] = ()

    @field_validator("request")
    @classmethod
    def _request(cls, value: str) -> str:
        return str(read_condition(value))

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 0 or len(set(value)) < len(value):
            raise ValueError("one or more different seeds of at least 0 are needed")
        return value
