"""Activations of a fixed set of images, the same for all models, for what is compared afterwards (CKA and its like)."""

from __future__ import annotations

import time

import numpy as np
from pydantic import Field

from bench.config import Settings as Root
from bench.core import ModelEntry, Outcome, Suite, Task
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol


class Settings(Root):
    """Settings of embedding.

    Attributes:
        samples: most images; those whose ids come first by their hash, so that all models see the same.
        split: which split they are of.
        modules: sub-modules of every block beside the layers: ``qkv``, ``proj``, ``fc1``, ``fc2`` ...; ``*`` for all.
        batch: images a forward pass.
    """

    samples: int = Field(2048, ge=8)
    split: str = "train"
    modules: tuple[str, ...] = ()
    batch: int = Field(16, ge=1)


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why this entry is not embedded under this task, or ``""``."""
    if entry.vectors:
        return "ready-made embeddings have one layer; there is nothing to tap"
    if task.name != suite.tasks[0].name:
        return f"the images are those of {suite.tasks[0].name}: they are embedded once"
    known = ", ".join(suite.splits)
    return "" if settings.split in suite.splits else f"{suite.name} has no split {settings.split}; known: {known}"


def run(context: Context) -> Outcome:
    """Return the mean token of every layer (and sub-module) of each image.

    Arrays: ``ids`` (n,), ``blocks`` (n,), and ``layer/<name>`` (n, D) float16 (float32 where values exceed it).
    """
    from bench.features.activations import activations, half, parts_of

    assert context.network is not None
    start = time.perf_counter()
    network, settings = context.network, context.settings
    examples = network.images(settings.split, (), settings.samples)
    backbone = network.shared()
    found = activations(backbone, examples, network.recipe, parts_of(backbone, settings.modules), batch=settings.batch)
    arrays = {f"layer/{name}": half(values) for name, values in found.items()}
    arrays |= {"ids": np.array(examples.ids), "blocks": np.array(examples.blocks)}
    curves = [{"layer": layer.name, "depth": layer.depth} for layer in network.layers]
    cost = {"passes": float(len(examples)), "fit_seconds": time.perf_counter() - start}
    return Outcome(scores={}, choices={}, curves=curves, arrays=arrays, notes=examples.notes, cost=cost)


PROTOCOL = Protocol(
    version=1,
    settings=Settings,
    refuses=refuses,
    run=run,
    runs_network=True,
    reads_labels=False,
    on_board=False,
)
