"""Figures of similarity and drift with their numbers; a figure without the records it needs is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.figures.similarity import LayerMap, dimensions_figure, drift_figure, maps_figure, models_figure
from analysis.findings.drift import PARTS, drift_frame, rewinding
from analysis.findings.shared_structure import dimensions, few_blocks, layer_cka, model_matrix
from analysis.findings.stored_layers import StoredLayers, embedded, summarised
from analysis.gallery.picture import FigureSpec, file_name
from analysis.tables.source import RecordSource
from bench.core import Record
from bench.metrics import METRICS

FEWEST = 8
"""Smallest number of rows that is compared."""
MOST_PAIRS = 15
"""Largest number of maps between models that is drawn; the matrix of models has all pairs."""


def similarity_pictures(suite: str, source: RecordSource, records: Collection[Record]) -> Iterator[FigureSpec]:
    """Yield the maps of layers, the matrix of models and the dimensions of layers.

    They are drawn from the complete activations of protocol ``embed`` where these cover as many models as the summaries
    of protocol ``similarity``. Maps of sub-modules need ``embed``.
    """
    models, summaries = embedded(source, records), summarised(source, records)
    if len(summaries) > len(models):
        models = summaries
    if models and len(models[0].row_blocks()) >= FEWEST:
        yield from _layer_pictures(suite, models)
    yield from _part_pictures(suite, embedded(source, records, parts=True))


def _layer_pictures(suite: str, models: Sequence[StoredLayers]) -> Iterator[FigureSpec]:
    generated, rows, few = any(model.generated for model in models), _rows_text(models[0]), few_blocks(models[0])
    if maps := [*_own_maps(models), *_cross_maps(models)]:
        yield FigureSpec(
            stem="cka_layers",
            task="",
            kind="similarity of layers",
            caption=_sentences(
                f"Debiased linear CKA of mean tokens between layers, within and between models; {rows}.", few
            ),
            numbers=_flat(maps),
            render=partial(maps_figure, maps, title=f"{suite}: CKA of layers, {rows}", generated=generated),
        )
    frame = model_matrix(models)
    if len(frame):
        yield FigureSpec(
            stem="cka_models",
            task="",
            kind="similarity of models",
            caption=_sentences(
                "Debiased linear CKA of the models' last layers with half its 95 % jackknife interval; the file also "
                f"has the pair of layers with the highest CKA, and the CKA of shuffled rows; {rows}.",
                few,
            ),
            numbers=frame,
            render=partial(models_figure, frame, title=f"{suite}: CKA of models, {rows}", generated=generated),
        )
    sizes = dimensions(models)
    yield FigureSpec(
        stem="dimensions",
        task="",
        kind="dimension of layers",
        caption=_sentences(
            "Number of dimensions that a layer uses: RankMe, participation ratio, and TwoNN's intrinsic dimension; "
            f"{rows}.",
            few,
        ),
        numbers=sizes,
        render=partial(dimensions_figure, sizes, title=f"{suite}: dimensions over depth", generated=generated),
    )


def _rows_text(model: StoredLayers) -> str:
    """Return the rows of a comparison in words, e.g. ``640 images`` or ``252 images of 4 cells each``."""
    return f"{len(model.ids)} images" + (f" of {model.cells} cells each" if model.cells > 1 else "")


def _sentences(*texts: str) -> str:
    return " ".join(text for text in texts if text)


def _part_pictures(suite: str, models: Sequence[StoredLayers]) -> Iterator[FigureSpec]:
    """Yield one figure per sub-module: between its blocks within each model, and between models."""
    parts = {part for model in models for part in model.parts}
    for part in sorted(parts, key=lambda part: ([*PARTS, part].index(part), part)):
        kept = [model for model in models if part in model.parts]
        pairs = [*((model, None) for model in kept), *_pairs(kept)[:MOST_PAIRS]]
        maps = [_part_map(model, other, part) for model, other in pairs]
        count = len(kept[0].ids)
        yield FigureSpec(
            stem=f"cka_{part}",
            task="",
            kind="similarity of sub-modules",
            caption=_sentences(
                f"Debiased linear CKA of {part} between blocks, within and between models; {count} images.",
                few_blocks(kept[0]),
            ),
            numbers=_flat(maps),
            render=partial(
                maps_figure,
                maps,
                title=f"{suite}: CKA of {part}, {count} images",
                generated=any(model.generated for model in kept),
            ),
        )


def _own_maps(models: Sequence[StoredLayers]) -> list[LayerMap]:
    return [_layer_map(model, None) for model in models if len(model.layers) > 1]


def _cross_maps(models: Sequence[StoredLayers]) -> list[LayerMap]:
    pairs = _pairs([model for model in models if len(model.layers) > 1])
    return [_layer_map(model, other) for model, other in pairs[:MOST_PAIRS]]


def _pairs(models: Sequence[StoredLayers]) -> list[tuple[StoredLayers, StoredLayers]]:
    """Return all pairs except those of two random twins: first each model with its twin, then trained models."""
    pairs = [pair for pair in combinations(models, 2) if not all(".random" in model.model for model in pair)]
    pairs.sort(key=lambda pair: (not pair[1].model.startswith(f"{pair[0].model}.random"), ".random" in pair[1].model))
    return pairs


def _layer_map(model: StoredLayers, other: StoredLayers | None) -> LayerMap:
    second = other or model
    return LayerMap(
        rows=model.model,
        columns=second.model,
        rows_depth=model.depth,
        columns_depth=second.depth,
        values=layer_cka(model, other),
    )


def _part_map(model: StoredLayers, other: StoredLayers | None, part: str) -> LayerMap:
    second = other or model
    names = model.parts[part], second.parts[part]
    return LayerMap(
        rows=model.model,
        columns=second.model,
        rows_depth=model.depths(names[0]),
        columns_depth=second.depths(names[1]),
        values=layer_cka(model, other, names),
    )


def _flat(maps: Sequence[LayerMap]) -> pd.DataFrame:
    rows = []
    for each in maps:
        for (y, x), value in np.ndenumerate(each.values):
            depths = {"depth": float(each.rows_depth[y]), "other_depth": float(each.columns_depth[x])}
            rows.append({"model": each.rows, "other": each.columns, **depths, "cka": float(value)})
    return pd.DataFrame(rows)


def drift_pictures(suite: str, source: RecordSource, records: Collection[Record]) -> Iterator[FigureSpec]:
    """Yield one figure per task and model of the changes by tuning, from records of protocol ``drift``."""
    frame = drift_frame(source, records)
    if frame.empty:
        return
    lost = rewinding(records)
    metrics = {r.key.task: str(r.facts["metric"]) for r in records if r.key.protocol == "drift"}
    for (task, model), rows in frame.groupby(["task", "model"], sort=True):
        own = lost[(lost["task"] == task) & (lost["model"] == model)]
        yield FigureSpec(
            stem=f"drift_{file_name(str(task))}_{model}",
            task="",
            kind="drift",
            caption=f"What tuning {model} changes: drift of each part for its pretrained input, and for a random step "
            "of equal relative size in every part; total drift, with that of other seeds and shuffled labels; loss of "
            "score with one type of part set back. Bands and dots are seeds.",
            numbers=rows.drop(columns=["generated"]),
            render=partial(
                drift_figure,
                rows,
                own,
                PARTS,
                title=f"{suite} · {task}: drift of {model}",
                metric=METRICS[metrics[str(task)]].label,
                generated=bool(rows["generated"].any()),
            ),
        )
