"""Settings of the merging recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from bench.config import Settings
from bench.finetuning.settings import ArmSettings

Method = Literal["average", "ties", "dare", "learned", "select"]
OVER_BASE: tuple[Method, ...] = ("ties", "dare", "learned")
"""Methods that work on task vectors: differences between a member and the ancestor that ``base=`` names."""
REFERENCES: dict[Method, str] = {
    "average": "Wortsman et al. 2022, Model soups, arXiv:2203.05482",
    "ties": "Yadav et al. 2023, TIES-Merging, arXiv:2306.01708",
    "dare": "Yu et al. 2024, DARE, arXiv:2311.03099",
    "learned": "Zhang et al. 2024, aTLAS, arXiv:2407.02880",
    "select": "Xu et al. 2024, Initializing models with larger ones, arXiv:2311.18823",
}


class LearningSettings(ArmSettings):
    """Training of coefficients: `ArmSettings` for decoder, samples and budget, and what follows.

    Attributes:
        objective: ``task``: the loss of the suite's task, chosen on validation; ``features``: no labels, the merged
            network's features follow those of the members on the training images, chosen on the validation images.
        grouping: what shares a coefficient per member: a ``tensor`` (as in the paper), a ``block`` of the network, or
            the whole ``member``.
        coefficient_rate: learning rate of the coefficients.
        start: coefficient of every task vector at first; 1 / number of members if not given.
    """

    tuning: tuple[str, ...] = ("full",)
    learning_rates: tuple[float, ...] = (1e-3,)
    objective: Literal["task", "features"] = "task"
    grouping: Literal["tensor", "block", "member"] = "tensor"
    coefficient_rate: float = Field(0.01, gt=0)
    start: float | None = None


class MergeSettings(Settings):
    """What to merge, and how.

    Attributes:
        models: the members: entries with networks of one shape; for ``select`` the one larger network.
        base: for ``ties``, ``dare`` and ``learned``: the entry that all members were trained from.
        student: for ``select``: the entry whose smaller network is filled.
        name: of the new entry; ``<first member>.<method>`` if not given.
        method: ``average`` of the members' weights; ``ties`` trims task vectors, elects signs and averages those that
            agree; ``dare`` drops values of task vectors at random and rescales the others; ``learned`` trains a
            coefficient per task vector and block; ``select`` fills a smaller network with evenly spaced elements.
        shares: for ``average``: weight per member, in their order; equal if not given.
        scale: for ``ties`` and ``dare``: factor on the merged task vector.
        density: for ``ties``: share of each task vector that is kept, the largest values.
        drop: for ``dare``: probability that a value of a task vector is dropped.
        learning: for ``learned``: see `LearningSettings`.
        batch_norm: ``estimate`` measures the statistics of batch norms anew on images of the suite; ``average``
            averages those of the members, a control that costs accuracy and is noted on the card.
        images: number of images of the training and validation splits that statistics are measured on.
        suite, task, bands: where images and labels come from.
        labels: share of the training and validation labels that coefficients are learned from.
        seed: of everything random.
        weights: folder looked in first for weights.
        entries: folders with further entries.
    """

    models: tuple[str, ...]
    base: str = ""
    student: str = ""
    name: str = ""
    method: Method = "average"
    shares: tuple[float, ...] = ()
    scale: float = Field(1.0, gt=0)
    density: float = Field(0.2, gt=0, le=1)
    drop: float = Field(0.5, ge=0, lt=1)
    learning: LearningSettings = LearningSettings.model_validate({})
    batch_norm: Literal["estimate", "average"] = "estimate"
    images: int = Field(256, ge=200)
    suite: str = ""
    task: str = ""
    bands: tuple[str, ...] = ()
    labels: float = Field(1.0, gt=0, le=1)
    seed: int = Field(0, ge=0)
    weights: Path | None = None
    entries: tuple[Path, ...] = ()
