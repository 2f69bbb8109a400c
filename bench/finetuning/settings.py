"""Settings of fine-tuning: what is trained and how; one set of values is an arm of a comparison."""

from __future__ import annotations

from itertools import product

from pydantic import Field, field_validator

from bench.config import Settings as Root
from bench.core import Kind, Suite, Task, lookup
from bench.decoders.parts.contract import Decoder
from bench.finetuning.taps import TAPS
from bench.input.recipe import InputRecipe

USUAL: dict[Kind, str] = {"detection": "faster_rcnn"}
"""The decoder of a kind of task where none is asked for; ``linear`` for all other kinds."""
LOSSES: dict[Kind, tuple[str, ...]] = {
    "classification": ("cross_entropy", "focal"),
    "multilabel": ("cross_entropy", "focal"),
    "regression": ("squared", "huber"),
    "segmentation": ("cross_entropy", "dice", "focal"),
    "change": ("cross_entropy", "dice", "focal"),
    "dense_regression": ("squared", "huber"),
    "detection": ("detector",),
}
"""Losses of each kind of task, the default first; detectors bring their own."""


class ArmSettings(Root):
    """Settings of training.

    Attributes:
        decoders: file names in ``bench/decoders``; the default of the task's kind if not given.
        tuning: ``frozen``, ``lora``, ``full``, ``head-then-full``; ``scratch``, the same architecture from random init
            with one rate for all of it; or one type of module alone: ``norms``, ``attention``, ``mlp``, ``qkv``,
            ``proj``, ``fc1``, ``fc2`` ...
        taps: which layers a decoder reads: ``last``, the model's ``published`` ones, even ``quarters`` of its depth, or
            ``profile``, those with the best validation scores of the probe.
        dates: how the features of several dates become one: ``mean``, ``max``, ``ltae``; models that read several
            dates themselves keep their own way.
        learning_rates: of decoder and LoRA; each gets the same steps.
        backbone_rate: learning rate of a tuned backbone's last block, as a share of that.
        layer_decay: factor on the learning rate per block towards the input.
        weight_decay: of matrices.
        steps: optimiser steps of each learning rate.
        batch: samples per step.
        micro_batch: most samples per forward pass, 0 for the whole batch; gradients are accumulated.
        evaluations: how often validation is scored during training.
        patience: evaluations without a gain after which training stops, 0 for never.
        warmup: share of the steps over which the rate rises.
        head_share: share of the steps in which ``head-then-full`` trains the head alone.
        rank: of LoRA's matrices.
        loss: name of the loss; the default of the task's kind if not given.
        augment: ``none``, ``flips``, ``crop``; ``views``, one symmetry of the square per epoch, the same for all
            images; ``auto`` is none for frozen backbones, else the default of the kind.
        checkpointing: recompute the backbone's blocks in the backward pass, which saves memory.
        keep: keep the tuned weights in the cache.
        write: write predicted masks and values of the test splits as GeoTIFFs, where samples are georeferenced.
    """

    decoders: tuple[str, ...] = ()
    tuning: tuple[str, ...] = ("frozen",)
    taps: tuple[str, ...] = ("last",)
    dates: str = "mean"
    learning_rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)
    backbone_rate: float = Field(0.1, gt=0)
    layer_decay: float = Field(0.75, gt=0, le=1)
    weight_decay: float = Field(0.05, ge=0)
    steps: int = Field(400, ge=1)
    batch: int = Field(16, ge=1)
    micro_batch: int = Field(0, ge=0)
    evaluations: int = Field(10, ge=1)
    patience: int = Field(4, ge=0)
    warmup: float = Field(0.1, ge=0, le=1)
    head_share: float = Field(0.25, ge=0, le=1)
    rank: int = Field(8, ge=1)
    loss: str = ""
    augment: tuple[str, ...] = ("auto",)
    checkpointing: bool = False
    keep: bool = False
    write: bool = False

    @field_validator("decoders")
    @classmethod
    def _decoders(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(lookup.match(value, lookup.names("bench.decoders"), kind="decoder")) if value else ()

    @field_validator("taps")
    @classmethod
    def _taps(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(lookup.match(value, TAPS, kind="taps"))

    @field_validator("learning_rates")
    @classmethod
    def _rates(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(rate <= 0 for rate in value):
            raise ValueError("needs one or more positive numbers")
        return tuple(sorted(value))

    @field_validator("tuning")
    @classmethod
    def _tunings(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from bench.finetuning.tuning import check_tuning

        return tuple(check_tuning(name) for name in value)

    @field_validator("dates")
    @classmethod
    def _dates(cls, value: str) -> str:
        return lookup.match([value], ("mean", "max", "ltae"), kind="fold over dates")[0]


def arms(settings: ArmSettings, task: Task) -> list[ArmSettings]:
    """Return one set of settings per decoder, way of tuning and choice of taps; each is a run of its own.

    Decoders for other kinds of task are left out where any fits.
    """
    decoders = settings.decoders or (USUAL.get(task.kind, "linear"),)
    fitting = [name for name in decoders if task.kind in _kinds(name)] or list(decoders)
    return [
        settings.model_copy(update={"decoders": (decoder,), "tuning": (tuning,), "taps": (taps,)})
        for decoder, tuning, taps in product(fitting, settings.tuning, settings.taps)
    ]


def label(settings: ArmSettings) -> dict[str, str]:
    """Return the values that distinguish arms in tables, by column."""
    return {"decoder": settings.decoders[0], "tuning": settings.tuning[0], "taps": settings.taps[0]}


def probe_moved(suite: Suite, task: Task, recipe: InputRecipe, settings: ArmSettings) -> bool:
    """Return whether an arm's taps follow a probe that places tokens otherwise since its version 3."""
    return settings.taps == ("profile",) and task.dense and recipe.pads(suite.image_size)


def _kinds(decoder: str) -> tuple[Kind, ...]:
    return lookup.noun("bench.decoders", decoder, Decoder).kinds
