"""Activations of a fixed set of images, the same for all models, in full: for similarity of layers and sub-modules.

``similarity`` keeps what the figures of layers need, from the features of the usual pass; this protocol
keeps whole activations, of sub-modules too, and makes a pass of its own.
"""

from __future__ import annotations

import time

import numpy as np
from pydantic import Field, field_validator

from bench.config import Settings as Root
from bench.core import ModelEntry, Outcome, Suite, Task
from bench.core.errors import UnknownName
from bench.features.work import Job, Work
from bench.networks.blocks import SUBMODULES
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol


class Settings(Root):
    """Settings of embedding.

    Attributes:
        samples: most images, chosen by the hash of their ids, so that every model gets the same.
        split: which split they are of.
        modules: sub-modules of every block to keep besides the layers: ``qkv``, ``proj``, ``fc1`` ...; ``*`` for all.
        batch: images per forward pass.
    """

    samples: int = Field(2048, ge=8)
    split: str = "train"
    modules: tuple[str, ...] = ()
    batch: int = Field(16, ge=1)

    @field_validator("modules")
    @classmethod
    def _modules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in (*SUBMODULES, "*"):
                raise UnknownName("sub-module", name, (*SUBMODULES, "*"))
        return value


def work(job: Job, settings: Settings) -> Work:
    """Return what a run does: one forward pass of each of its samples."""
    return Work(forwards=float(min(settings.samples, job.images[settings.split])))


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why this entry is not embedded under this task, or ``""``."""
    if entry.vectors:
        return "ready-made embeddings have one layer; there is nothing to tap"
    known = ", ".join(suite.splits)
    return "" if settings.split in suite.splits else f"{suite.name} has no split {settings.split}; known: {known}"


def run(context: Context) -> Outcome:
    """Return the mean token of every layer (and sub-module) of each image.

    Arrays: ``ids`` (n,), ``blocks`` (n,), and ``layer/<name>`` (n, D) float16 (float32 where values exceed it).
    """
    from bench.features.activations import activations, half, parts_of

    assert context.workbench is not None
    workbench, settings = context.workbench, context.settings
    examples = workbench.images(settings.split, most=settings.samples)
    start = time.perf_counter()
    backbone = workbench.shared_backbone()
    parts = parts_of(backbone, settings.modules)
    values = activations(backbone, examples, workbench.recipe, parts, batch=settings.batch)
    arrays = {f"layer/{name}": half(rows) for name, rows in values.items()}
    arrays |= {"ids": np.array(examples.ids), "blocks": np.array(examples.blocks)}
    curves = [{"layer": layer.name, "depth": layer.depth} for layer in workbench.layers]
    cost = {"passes": float(len(examples)), "extraction_seconds": time.perf_counter() - start}
    return Outcome(scores={}, choices={}, curves=curves, arrays=arrays, notes=examples.notes, cost=cost)


PROTOCOL = Protocol(
    version=1,
    settings=Settings,
    refuses=refuses,
    run=run,
    work=work,
    once=True,
    runs_network=True,
    reads_labels=False,
    on_board=False,
)
