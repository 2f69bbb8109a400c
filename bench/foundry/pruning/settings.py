"""Settings of the pruning recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from bench.config import Settings
from bench.finetuning.settings import ArmSettings

Method = Literal["magnitude", "structured", "taylor", "dropout", "depth", "width"]
DATA_METHODS: tuple[Method, ...] = ("taylor", "dropout")
"""Methods that judge weights by a loss on images, and so need a suite."""


class RecoverySettings(ArmSettings):
    """Settings of recovery training; those of `bench.finetuning.settings.ArmSettings` with the whole network tuned."""

    tuning: tuple[str, ...] = ("full",)
    learning_rates: tuple[float, ...] = (1e-3,)


class PruneSettings(Settings):
    """Settings of pruning: structure, amount, criterion and recovery.

    Attributes:
        model: the entry that is pruned.
        name: of the new entry; ``<model>.<method>_<per cent removed>`` if not given.
        method: ``magnitude`` sets single weights to zero; ``structured`` removes heads, hidden values and channels;
            ``taylor`` does so by first-order importance on images; ``dropout`` sets weights to zero that variational
            dropout finds unneeded; ``depth`` keeps the first blocks; ``width`` slices every layer to its first channels
            without training (arXiv 2601.22841).
        ratio: share removed: of weights, of units, or of blocks.
        budget: instead of `ratio`, for structured methods: ``flops:.5``, ``params:5e6``, ``latency:20ms``.
        scope: whether all weights or units are ranked together, or those of each layer among themselves.
        rounds: number of steps of equal factor, each of pruning and recovery.
        suite, task, bands: images for importance and recovery; without a suite nothing is trained.
        labels: share of the training and validation labels used.
        batches: of training images that importance is summed over.
        recovery: training after pruning, see `bench.finetuning.settings.ArmSettings`.
        recover: whether recovery training takes place where a suite is given.
        seed: of everything random.
        weights: folder looked in first for weights.
        entries: folders with further entries.
    """

    model: str
    name: str = ""
    method: Method = "structured"
    ratio: float = Field(0.5, gt=0, lt=1)
    budget: str = ""
    scope: Literal["global", "layerwise"] = "layerwise"
    rounds: int = Field(1, ge=1, le=100)
    suite: str = ""
    task: str = ""
    bands: tuple[str, ...] = ()
    labels: float = Field(1.0, gt=0, le=1)
    batches: int = Field(16, ge=1)
    recovery: RecoverySettings = RecoverySettings.model_validate({})
    recover: bool = True
    seed: int = Field(0, ge=0)
    weights: Path | None = None
    entries: tuple[Path, ...] = ()
