"""Figures of similarity and drift, each with its numbers: one only where it says something."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.figures.similarity import LayerMap, dimensions_figure, drift_figure, maps_figure, models_figure
from analysis.findings.drift import PARTS, drift_frame, rewinding
from analysis.findings.shared_structure import MOST_PAIRS, StoredActivations, dimensions, embedded, model_matrix
from analysis.gallery.picture import FigureSpec, file_name
from analysis.similarity.cka_maps import cka_map
from analysis.tables.source import RecordSource
from bench.core import Record
from bench.metrics import METRICS

FEWEST = 8  # images below which nothing is compared


def similarity_pictures(suite: str, source: RecordSource, records: Collection[Record]) -> Iterator[FigureSpec]:
    """Yield the maps of layers, the matrix of models and the dimensions, from records of protocol ``embed``."""
    models = embedded(source, records)
    if not models or len(models[0].ids) < FEWEST:
        return
    generated = any(one.generated for one in models)
    count = len(models[0].ids)
    maps = [*_own_maps(models), *_cross_maps(models)]
    yield FigureSpec(
        stem="cka_layers",
        task="",
        kind="similarity of layers",
        caption=f"Debiased linear CKA of mean tokens between layers, within and between models; {count} images.",
        numbers=_flat(maps),
        render=partial(maps_figure, maps, title=f"{suite}: layers alike, {count} images", generated=generated),
    )
    yield from _part_pictures(suite, embedded(source, records, parts=True), generated)
    if len(models) > 1:
        frame = model_matrix(models)
        yield FigureSpec(
            stem="cka_models",
            task="",
            kind="similarity of models",
            caption="Debiased linear CKA of the models' last layers with half its 95 % jackknife interval; the file "
            "has the pair of layers most alike, and what shuffled rows give.",
            numbers=frame,
            render=partial(models_figure, frame, title=f"{suite}: models alike, {count} images", generated=generated),
        )
    sizes = dimensions(models)
    yield FigureSpec(
        stem="dimensions",
        task="",
        kind="dimension of layers",
        caption="How many dimensions a layer uses: RankMe, participation ratio, and TwoNN's intrinsic dimension.",
        numbers=sizes,
        render=partial(dimensions_figure, sizes, title=f"{suite}: dimensions over depth", generated=generated),
    )


def _part_pictures(suite: str, models: Sequence[StoredActivations], generated: bool) -> Iterator[FigureSpec]:
    """Yield a figure a sub-module: between its blocks within each model, and between models."""
    parts = {part for one in models for part in one.parts}
    for part in sorted(parts, key=lambda part: ([*PARTS, part].index(part), part)):
        kept = [one for one in models if part in one.parts]
        pairs = [*((one, one) for one in kept), *_pairs(kept)[:MOST_PAIRS]]
        maps = [_part_map(one, other, part) for one, other in pairs]
        count = len(kept[0].ids)
        yield FigureSpec(
            stem=f"cka_{part}",
            task="",
            kind="similarity of sub-modules",
            caption=f"Debiased linear CKA of {part} between blocks, within and between models; {count} images.",
            numbers=_flat(maps),
            render=partial(maps_figure, maps, title=f"{suite}: {part} alike, {count} images", generated=generated),
        )


def _own_maps(models: Sequence[StoredActivations]) -> list[LayerMap]:
    return [_layer_map(one, one) for one in models if len(one.layers) > 1]


def _cross_maps(models: Sequence[StoredActivations]) -> list[LayerMap]:
    pairs = _pairs([one for one in models if len(one.layers) > 1])
    return [_layer_map(one, other) for one, other in pairs[:MOST_PAIRS]]


def _pairs(models: Sequence[StoredActivations]) -> list[tuple[StoredActivations, StoredActivations]]:
    """Return all pairs but of two random twins: a model and its own first, then trained ones among themselves."""
    pairs = [pair for pair in combinations(models, 2) if not all(".random" in one.model for one in pair)]
    pairs.sort(key=lambda pair: (not pair[1].model.startswith(f"{pair[0].model}.random"), ".random" in pair[1].model))
    return pairs


def _layer_map(one: StoredActivations, other: StoredActivations) -> LayerMap:
    values = cka_map(one.stack()) if one is other else cka_map(one.stack(), other.stack())
    return LayerMap(rows=one.model, columns=other.model, rows_depth=one.depth, columns_depth=other.depth, values=values)


def _part_map(one: StoredActivations, other: StoredActivations, part: str) -> LayerMap:
    first, second = one.parts[part], other.parts[part]
    values = cka_map(one.stack(first)) if one is other else cka_map(one.stack(first), other.stack(second))
    return LayerMap(
        rows=one.model,
        columns=other.model,
        rows_depth=one.depths(first),
        columns_depth=other.depths(second),
        values=values,
    )


def _flat(maps: Sequence[LayerMap]) -> pd.DataFrame:
    rows = []
    for one in maps:
        for (y, x), value in np.ndenumerate(one.values):
            depths = {"depth": float(one.rows_depth[y]), "other_depth": float(one.columns_depth[x])}
            rows.append({"model": one.rows, "other": one.columns, **depths, "cka": float(value)})
    return pd.DataFrame(rows)


def drift_pictures(suite: str, source: RecordSource, records: Collection[Record]) -> Iterator[FigureSpec]:
    """Yield a figure a task and model of what tuning changed, from records of protocol ``drift``."""
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
            caption=f"What tuning {model} changes: drift of each part fed its pretrained input, beside a random step "
            "of equal relative size in every part; total drift beside other seeds and shuffled labels; what the score "
            "loses where one type of part is put back. Bands and dots are seeds.",
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
