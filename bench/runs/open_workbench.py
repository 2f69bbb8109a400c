"""What a protocol that runs the network itself works with: samples as images or stored features, and the network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from bench.core import Backbone, Split, Suite, canonical, lookup
from bench.core.errors import Incompatible, MissingData
from bench.features.extraction import usable
from bench.features.labelled import LabelledFeatures
from bench.finetuning.taps import usual_layers
from bench.finetuning.workbench import Workbench
from bench.input.batches import ImageExamples, StoredExamples
from bench.input.prepare import Statistics
from bench.input.splits import LEARNING, Splits
from bench.metrics import METRICS
from bench.protocols.contract.protocol import Protocol
from bench.runs.labels import left_out, some_of, subset_of
from bench.runs.plan import Run
from bench.store import FeatureCache, Store, write_atomic
from bench.store.geotiff import geotiff


def open_workbench(
    run: Run,
    *,
    data: Splits,
    store: Store,
    cache: FeatureCache,
    statistics: Statistics,
    load: Callable[[bool], Backbone],
    shared: Callable[[], Backbone],
    stored: Callable[[str, tuple[str, ...], bool], LabelledFeatures],
    device: str,
    workers: int,
) -> Workbench:
    """Return what a run's protocol works with.

    Args:
        run: the cell.
        data: the suite's splits.
        store: where the probe's record of the same cell is looked for.
        cache: where checkpoints and tuned weights go.
        statistics: train statistics of the bands.
        load: (from random init?) -> a network of its own.
        shared: gives the one that frozen passes use.
        stored: (split, layers, grids) -> features joined with labels.
        device: torch device.
        workers: threads that read samples.
    """
    task, recipe, bands = run.task, run.recipe, run.recipe.reads
    opened: dict[tuple[str, int], tuple[list[int], tuple[str, ...]]] = {}

    def images(name: str, augmentations: tuple[str, ...], most: int = 0) -> ImageExamples:
        split = data.split(task, name, bands)
        if (name, most) not in opened:
            opened[name, most] = _rows(run, data, store, name, workers, most)
        rows, notes = opened[name, most]
        return ImageExamples(
            sample=lambda row: data.sample(task, name, bands, row),
            positions=rows,
            ids=[split.ids[i] for i in rows],
            blocks=[split.blocks[i] for i in rows],
            task=task,
            recipe=recipe,
            statistics=statistics,
            device=device,
            augmentations=augmentations,
            workers=workers,
            notes=notes,
        )

    def features(name: str, layers: tuple[str, ...], grids: bool) -> StoredExamples:
        # What one arm needs the next one may too: the usual layers are kept by one pass.
        usual = usual_layers(tuple(shared().layers), run.entry.taps)
        kept = usual if set(layers) <= set(usual) else list(dict.fromkeys(layers))
        labelled = stored(name, tuple(kept), grids)
        return StoredExamples(
            features=labelled.features,
            positions=labelled.rows,
            ids=labelled.ids,
            blocks=labelled.blocks,
            layers=layers,
            targets=_targets(run, data, name, labelled),
            task=task,
            recipe=recipe,
            size=data.suite.image_size,
            device=device,
            notes=labelled.notes,
        )

    def one() -> Any:
        count = len(data.split(task, "train", bands))
        place = next((i for i in range(count) if usable(data.sample(task, "train", bands, i), bands)), 0)
        alone = ImageExamples(
            sample=lambda row: data.sample(task, "train", bands, row),
            positions=[place],
            ids=[],
            blocks=[],
            task=task,
            recipe=recipe,
            statistics=statistics,
            device=device,
        )
        return alone.read([0])[0]

    def keep(state: Mapping[str, Any]) -> None:
        from safetensors.torch import save

        write_atomic(cache.root / "tuned" / f"{run.key.digest}.safetensors", save(dict(state)))

    size = recipe.size if not recipe.windows else recipe.extent(data.suite.image_size)
    return Workbench(
        entry=run.entry,
        recipe=recipe,
        layers=tuple(shared().layers),
        dates=data.suite.dates,
        input_size=size,
        load=load,
        shared=shared,
        images=images,
        features=features,
        one=one,
        profile=lambda: _profile(run, store, data.suite),
        place=lambda number: cache.root / "training" / f"{run.key.digest}_{number}.pt",
        keep=keep,
        split=lambda name: data.split(task, name, bands),
        write=lambda name, row, values: _write(run, store, name, row, values, data.split(task, name, bands)),
    )


def _write(run: Run, store: Store, name: str, row: int, values: np.ndarray, split: Split) -> str:
    """Put a prediction beside the record as a GeoTIFF; return why there is none, or nothing."""
    source = getattr(split, "source", None)
    if source is None:
        return f"{run.key.suite} gives no georeferenced image of its own to each sample: nothing is written"
    try:
        content = geotiff(values, source(row))
    except MissingData as problem:
        return str(problem)
    file = f"predictions/{run.key.digest}/{name}/{split.ids[row].replace('/', '_')}.tif"
    store.put_file(run.key.suite, file, content)
    return ""


def first_by_hash(ids: Sequence[str], rows: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many of some rows, those whose ids come first by their SHA-256, sorted: the same for all."""
    ranked = sorted(rows.tolist(), key=lambda row: hashlib.sha256(ids[row].encode()).hexdigest())
    return np.array(sorted(ranked[:most]))


def _rows(
    run: Run, data: Splits, store: Store, name: str, workers: int, most: int
) -> tuple[list[int], tuple[str, ...]]:
    """Return the usable rows of a split, of a learning split those of the run's subset, and notes on the others.

    With `most`, at most so many of them, the same for all models.
    """
    split = data.split(run.task, name, run.recipe.reads)
    subset = subset_of(run, data, store, name)
    if most:
        subset = replace(subset, rows=first_by_hash(split.ids, subset.rows, most))
    with ThreadPoolExecutor(workers) as pool:
        bands = run.recipe.reads
        fine = list(pool.map(lambda row: usable(data.sample(run.task, name, bands, int(row)), bands), subset.rows))
    rows = [int(row) for row, good in zip(subset.rows, fine, strict=True) if good]
    dropped = [split.ids[row] for row, good in zip(subset.rows, fine, strict=True) if not good]
    notes = [f"{name}: {note}" for note in subset.notes] + left_out(name, dropped, len(subset.rows))
    if not rows:
        raise Incompatible(f"{run.key.suite} {name}: no usable sample; {'; '.join(notes)}")
    if name in LEARNING and run.task.classes:
        present = np.asarray(split.targets())[rows]
        shown = (
            {int(one) for one in present} if run.task.kind == "classification" else set(np.flatnonzero(present.any(0)))
        )
        if missing := [label for code, label in enumerate(run.task.classes) if code not in shown]:
            notes.append(f"{name}: no sample of {some_of(missing)}")
    return rows, tuple(notes)


def _targets(run: Run, data: Splits, name: str, labelled: LabelledFeatures) -> Callable[[Any], list[Any]]:
    """Return positions -> targets of stored features: from labels, from stored masks, or boxes read once."""
    if labelled.target is not None:
        known = labelled.target
        return lambda rows: [known[row] for row in rows]
    if run.task.kind != "detection":
        masks, places = labelled.features["mask"], labelled.rows
        kind = np.float32 if run.task.kind == "dense_regression" else np.int64
        return lambda rows: [np.asarray(masks[places[row]], kind) for row in rows]
    split = data.split(run.task, name, run.recipe.reads)
    boxes = [split[int(row)].target for row in labelled.rows]
    return lambda rows: [boxes[row] for row in rows]


def _profile(run: Run, store: Store, suite: Suite) -> dict[str, float]:
    """Return each layer's validation score under the probe, higher is better, from the stored record of the same cell.

    Raises:
        MissingData: there is none.
    """
    sign = METRICS[run.task.metric].sign
    wanted = {
        name: getattr(run.key, name)
        for name in ("suite", "split_hash", "task", "model", "weights", "fraction", "subset")
    }
    probe = lookup.noun("bench.protocols", "probe", Protocol)
    version = probe.version_for(suite, run.task, run.recipe, probe.settings())
    random = run.key.weights in ("random", "none")
    for record in store.records(run.key.suite):
        key = record.key
        same = all(getattr(key, name) == value for name, value in wanted.items())
        if not same or record.status != "ok" or key.protocol != "probe" or key.settings:
            continue
        if key.protocol_version != version:  # an earlier version ranked the layers by other scores
            continue
        if canonical(key.recipe) == canonical(run.key.recipe) and (not random or key.seed == run.key.seed):
            return {row["layer"]: sign * row["val"] for row in record.curves}
    raise MissingData(
        f"taps=profile: no probe of {run.key.model} on {run.key.suite} {run.key.task} with these labels is stored; "
        "say protocols=[probe,finetune]"
    )
