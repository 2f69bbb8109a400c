"""What an arm does, in counts that a plan turns into seconds. Imports no torch."""

from __future__ import annotations

from bench.core import lookup
from bench.decoders.parts.contract import Decoder
from bench.features.work import Job, Work
from bench.finetuning.settings import ArmSettings

HIDDEN = 256
"""Channels of a decoder's inner layers, about."""
BACKWARD = {"frozen": 0.0, "head-then-full": 2.0, "full": 2.0, "scratch": 2.0}
"""Way of tuning -> the cost of a backward pass in forward passes: gradients of the input, and of the weights."""
PART_BACKWARD = 1.3
"""Of a way of tuning that trains few of the weights: gradients of the input, and of those."""


def training_work(job: Job, settings: ArmSettings, trainings: int | None = None) -> Work:
    """Return what an arm does: trainings with their validations, and the test splits once.

    A training that stops early does less; how often that happens shows in the seconds that such runs have taken.

    Args:
        job: the model, the task and the samples.
        settings: of one arm, or as stored with a record.
        trainings: number of trainings; one per learning rate by default.
    """
    name, tuning = (settings.decoders or ("linear",))[0], settings.tuning[0]
    decoder = lookup.noun("bench.decoders", name, Decoder)
    rates = len(settings.learning_rates) if trainings is None else trainings
    seen = rates * settings.steps * min(settings.batch, job.images["train"])
    scored = rates * min(settings.evaluations, settings.steps) * job.images["val"] + job.tested
    head = job.head(0 if name == "linear" else HIDDEN * (decoder.layers_read or job.layers))
    folded = job.recipe.fold_dates and not job.recipe.joined and settings.dates != "mean"
    stored = tuning == "frozen" and settings.augment in (("auto",), ("none",)) and not folded
    backward = BACKWARD.get(tuning, PART_BACKWARD)
    if tuning == "head-then-full":
        backward *= 1 - settings.head_share
    return Work(
        splits=tuple(job.images) if stored else (),
        grids=stored and decoder.reads_grids and not job.task.dense,
        some_layers=stored,
        forwards=0.0 if stored else seen * (1 + backward) + scored,
        steps=float(rates * settings.steps),
        head=(3 * seen + scored) * head,
        trains=True,
    )
