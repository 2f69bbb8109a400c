"""Summaries of each model's layers, from which reports compute CKA between layers and models, and dimensions.

No pass is made for it and no label is read. The rows are the images of one split, the same for every model; where token
grids are stored and images are few, the cells of a coarse grid over each image. A record holds the principal
coordinates of each layer's mean tokens over these rows, so that the report can compare models that were run at
different times, and CKA between the layers of the model itself, computed from the whole features.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from pydantic import Field

from bench.config import Settings as Root
from bench.core import ModelEntry, Outcome, Suite, Task
from bench.core.errors import Incompatible
from bench.features.labelled import LabelledFeatures
from bench.features.work import Job, Work
from bench.input.subsets import first_by_hash
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol
from bench.store.companded import compand

CELLS = ((512, 1), (128, 2), (0, 4))
"""(images at least, cells along each side of an image): never more than 2,048 rows."""
FEWEST = 4
"""Images that debiased CKA needs."""
FEW_BLOCKS = 50
"""Number of independent blocks below which an estimate is rough; the record has a note then."""
READ_BYTES = 1 << 27
"""Token grids read at a time."""


class Settings(Root):
    """Settings of similarity.

    Attributes:
        samples: most images, chosen by the hash of their ids, so that every model gets the same.
        split: which split they are of.
        components: principal coordinates kept per layer, on average.
    """

    samples: int = Field(2048, ge=8, le=4096)
    split: str = "train"
    components: int = Field(17, ge=8)


def work(job: Job, settings: Settings) -> Work:
    """Return what a run does: products of the rows of every layer with one another."""
    images = min(settings.samples, job.images[settings.split])
    rows = images * (cells_per_side(images) ** 2 if job.task.dense else 1)
    return Work(splits=(settings.split,), head=float(rows**2 * job.width * job.layers + rows**2 * job.layers**2))


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why this entry cannot be compared on this suite, or ``""``."""
    known = ", ".join(suite.splits)
    return "" if settings.split in suite.splits else f"{suite.name} has no split {settings.split}; known: {known}"


def run(context: Context) -> Outcome:
    """Return the summaries of one model's layers for the report's figures of similarity.

    Arrays: ``ids`` (m,) and ``blocks`` (m,) of the images; ``cells`` (1,), rows per image; for each layer
    ``codes/<layer>`` (m cells, k) and ``peak/<layer>`` (k,), principal coordinates as `bench.store.companded.compand`
    codes them; ``self`` (L,), unbiased HSIC of each layer with itself in the units of the coordinates; ``cka`` (L, L),
    debiased CKA between the layers. Curves: one row per layer with its width, components, the share of the squared
    eigenvalues that they keep, and its dimensions.
    """
    from bench.features.representations import summarise

    settings: Settings = context.settings
    split = context.open(settings.split)
    start = time.perf_counter()
    everything = split.features.ids
    wanted = first_by_hash(everything, np.arange(len(everything)), settings.samples)
    places = np.flatnonzero(np.isin(split.rows, wanted))
    if len(places) < FEWEST:
        raise Incompatible(f"similarity needs {FEWEST} usable images; {settings.split} has {len(places)}")
    side = cells_per_side(len(wanted)) if context.task.dense else 1
    layers = _rows(context, split, split.rows[places], side)
    summaries, cka = summarise(layers, components=settings.components, device=context.device)
    ids, blocks = ([names[place] for place in places] for names in (split.ids, split.blocks))
    arrays = {"ids": np.array(ids), "blocks": np.array(blocks), "cells": np.array([side * side]), "cka": cka}
    arrays["self"] = np.array([summary.self_hsic for summary in summaries])
    curves = []
    for layer, summary in zip(context.layers, summaries, strict=True):
        arrays[f"codes/{layer.name}"], arrays[f"peak/{layer.name}"] = compand(summary.coordinates)
        curves.append(
            {
                "layer": layer.name,
                "depth": layer.depth,
                "width": layer.channels,
                "components": summary.coordinates.shape[1],
                "kept": summary.kept,
                "rankme": summary.rankme,
                "participation_ratio": summary.participation_ratio,
                "twonn": summary.twonn,
            }
        )
    notes = [*split.notes]
    if len(set(blocks)) < FEW_BLOCKS:
        notes.append(f"similarity: {len(ids)} images in {len(set(blocks))} independent blocks, a rough estimate")
    cost = {"fit_seconds": time.perf_counter() - start}
    return Outcome(scores={}, choices={}, curves=curves, arrays=arrays, notes=tuple(notes), cost=cost)


def cells_per_side(images: int) -> int:
    """Return the number of cells along each side of an image: more where images are fewer."""
    return next(side for least, side in CELLS if images >= least)


def _rows(context: Context, split: LabelledFeatures, places: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """Yield the mean tokens (rows, D) float32 of each layer: of images, or of the cells of each image in row order."""
    for layer in context.layers:
        if not context.task.dense:
            yield np.asarray(split.features[f"{layer.name}.mean"][places], np.float32)
            continue
        grids, parts = split.features[f"{layer.name}.grid"], []
        step = max(1, READ_BYTES // (4 * int(np.prod(grids.shape[1:]))))
        extent = split.extent or context.image_size
        weights = [
            cell_weights(tokens, size / reach, side)
            for tokens, size, reach in zip(grids.shape[2:], context.image_size, extent, strict=True)
        ]
        for start in range(0, len(places), step):
            tokens = np.asarray(grids[places[start : start + step]], np.float32)
            cells = np.einsum("ndhw,yh,xw->nyxd", tokens, *weights, optimize=True)
            parts.append(cells.reshape(-1, tokens.shape[1]))
        yield np.concatenate(parts)


def cell_weights(tokens: int, share: float, side: int) -> np.ndarray:
    """Return the weights (side, tokens) of the tokens along one side in the mean of each cell; each row sums to 1.

    Cells divide the image evenly, so they lie at the same place whatever the patch size; a token that lies in two cells
    counts in each by the share of it that lies there.

    Args:
        tokens: number of tokens along the side.
        share: share of the side that the image takes; the rest is padding.
        side: number of cells.
    """
    edges = np.linspace(0, share * tokens, side + 1)
    first = np.arange(tokens)
    overlap = np.minimum(edges[1:, None], first + 1) - np.maximum(edges[:-1, None], first)
    weights: np.ndarray = overlap.clip(0) / overlap.clip(0).sum(1, keepdims=True)
    return weights.astype(np.float32)


PROTOCOL = Protocol(
    version=1,
    settings=Settings,
    refuses=refuses,
    run=run,
    work=work,
    once=True,
    reads_labels=False,
    on_board=False,
)
