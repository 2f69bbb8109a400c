"""RunWorkbench: the model, the samples and the stored features of one run, for protocols that run the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core import Backbone, Layer, ModelEntry, canonical, lookup, sha256_of
from bench.core.errors import Incompatible, MissingData
from bench.features.labelled import LabelledFeatures
from bench.finetuning.taps import usual_layers
from bench.input.batches import Batch, ImageExamples, StoredExamples
from bench.input.fills import check_fill
from bench.input.recipe import InputRecipe
from bench.input.splits import LEARNING
from bench.input.subsets import first_by_hash
from bench.input.targets import SoundSplit, without_target
from bench.input.usable import usable, why_unusable
from bench.metrics import METRICS
from bench.protocols.contract.protocol import Protocol
from bench.runs.identity import changed_since
from bench.runs.labels import left_out, some_of, subset_of
from bench.runs.plan import Run
from bench.runs.session import Session
from bench.store import write_atomic
from bench.store.geotiff import geotiff
from bench.store.tensors import with_checksum

if TYPE_CHECKING:
    from torch import Tensor

OpenFeatures = Callable[[str, tuple[str, ...], bool], LabelledFeatures]
"""(split, layers, grids) -> features joined with labels."""


class RunWorkbench:
    """Model, samples and features of one run for its protocol; see `bench.finetuning.workbench.Workbench`.

    Args:
        run: the run.
        session: data, store, cache and network that it shares with other runs.
        features: opens stored features, and adds their cost to the run's.
    """

    def __init__(self, run: Run, session: Session, features: OpenFeatures) -> None:
        self._run, self._session, self._features = run, session, features
        self._splits = session.splits(run)
        self._statistics = session.ready(run)
        self._rows: dict[tuple[str, int], tuple[list[int], tuple[str, ...]]] = {}
        self.entry: ModelEntry = run.entry
        self.recipe: InputRecipe = run.recipe
        self.layers: tuple[Layer, ...] = tuple(self.shared_backbone().layers)

    @property
    def dates(self) -> int:
        """Number of dates of a sample, 0 where it varies."""
        return self._session.data.suite.dates

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W) in pixels of a whole image as prepared, padded where windows are cut from it."""
        recipe = self.recipe
        return recipe.extent(self._session.data.suite.image_size) if recipe.windows else recipe.size

    def own_backbone(self, *, scratch: bool = False) -> Backbone:
        """Return a copy of the network that may be changed; with `scratch`, at random init by the run's seed."""
        return self._session.own_backbone(self._run, scratch=scratch)

    def shared_backbone(self) -> Backbone:
        """Return the network that frozen passes use; it must not be changed."""
        return self._session.backbone(self._run)

    def images(self, split: str, augmentations: tuple[str, ...] = (), most: int = 0) -> ImageExamples:
        """Return the usable samples of a split as images; see `bench.finetuning.workbench.Workbench.images`."""
        if (split, most) not in self._rows:
            self._rows[split, most] = self._usable_rows(split, most)
        rows, notes = self._rows[split, most]
        return self._images(split, rows, augmentations, notes)

    def stored_features(self, split: str, layers: tuple[str, ...], *, grids: bool) -> StoredExamples:
        """Return the usable samples of a split as stored features of some layers; `grids` keeps the token grids."""
        # One pass keeps the layers that arms usually read, so that the next arm needs no pass of its own.
        usual = usual_layers(self.layers, self.entry.taps)
        kept = usual if set(layers) <= set(usual) else list(dict.fromkeys(layers))
        labelled = self._features(split, tuple(kept), grids)
        return StoredExamples(
            features=labelled.features,
            positions=labelled.rows,
            ids=labelled.ids,
            blocks=labelled.blocks,
            layers=layers,
            targets=self._targets(split, labelled),
            task=self._run.task,
            recipe=self.recipe,
            size=self._session.data.suite.image_size,
            device=self._session.device,
            notes=labelled.notes,
        )

    def one_batch(self) -> Batch:
        """Return one usable training sample as a batch of images."""
        reads = self.recipe.reads
        rows = range(len(self._splits.open("train")))
        row = next((row for row in rows if usable(self._splits.sample("train", row), reads)), 0)
        return self._images("train", [row], (), ()).read([0])[0]

    def probe_scores(self) -> Mapping[str, float]:
        """Return layer -> validation score of the stored linear probe of the same cell, higher is better.

        Raises:
            MissingData: no such probe is stored.
        """
        run, key, suite = self._run, self._run.key, self._session.data.suite
        probe = lookup.noun("bench.protocols", "probe", Protocol)
        version = probe.version_for(suite, run.task, run.recipe, probe.settings())
        names = ("suite", "split_hash", "task", "model", "weights", "fraction", "subset", "init_seed")
        wanted = {name: getattr(key, name) for name in names}
        for record in self._session.store.records(key.suite):
            other = record.key
            if record.status != "ok" or other.protocol != "probe" or other.settings:
                continue
            if other.protocol_version != version:  # earlier versions ranked the layers by other scores
                continue
            if changed_since(record, run, self._session.contents):
                continue
            same = all(getattr(other, name) == value for name, value in wanted.items())
            if same and canonical(other.recipe) == canonical(key.recipe):
                return {row["layer"]: METRICS[run.task.metric].sign * row["val"] for row in record.curves}
        raise MissingData(
            f"taps=profile: no probe of {key.model} on {key.suite} {key.task} with these labels is stored; "
            "run it first, with protocols=[probe,finetune]"
        )

    def checkpoint(self, number: int) -> Path:
        """Return the file of the checkpoint of a training, by its number within the run."""
        # A checkpoint of other data, or of another file of the user's, is not continued from.
        content = sha256_of(self._session.data_facts(self._run))[:8]
        return self._session.cache.root / "training" / f"{self._run.key.digest}_{content}_{number}.pt"

    def shared_file(self, facts: Mapping[str, object]) -> Path:
        """Return a file of the cache for what runs of one model, label set and seed share, told apart by `facts`."""
        key = replace(self._run.key, protocol="", protocol_version=0, settings=dict(facts))
        content = sha256_of(self._session.data_facts(self._run))[:8]
        return self._session.cache.root / "tuned" / f"{key.digest}_{content}.safetensors"

    def keep_weights(self, state: Mapping[str, Tensor]) -> None:
        """Put tuned weights in the cache, under the run's digest."""
        from safetensors.torch import save

        path = self._session.cache.root / "tuned" / f"{self._run.key.digest}.safetensors"
        write_atomic(path, with_checksum(save(dict(state))))

    def split(self, name: str) -> SoundSplit:
        """Return an opened split whose targets are sound."""
        return self._splits.open(name)

    def write_map(self, split: str, row: int, values: np.ndarray) -> str:
        """Write the prediction (H, W) of one sample as a GeoTIFF next to the record.

        Returns:
            The reason why nothing was written, or ``""``.
        """
        key, opened = self._run.key, self._splits.open(split)
        source = opened.source
        if source is None:
            return f"{key.suite} has no georeferenced image per sample: no map is written"
        try:
            content = geotiff(values, source(row))
        except MissingData as problem:
            return str(problem)
        file = f"predictions/{key.digest}/{split}/{opened.ids[row].replace('/', '_')}.tif"
        self._session.store.put_file(key.suite, file, content)
        return ""

    def _images(
        self, split: str, rows: list[int], augmentations: tuple[str, ...], notes: tuple[str, ...]
    ) -> ImageExamples:
        opened = self._splits.open(split)
        return ImageExamples(
            sample=lambda row: self._splits.sample(split, row),
            positions=rows,
            ids=[opened.ids[row] for row in rows],
            blocks=[opened.blocks[row] for row in rows],
            task=self._run.task,
            recipe=self.recipe,
            statistics=self._statistics,
            device=self._session.device,
            augmentations=augmentations,
            workers=self._session.config.workers,
            notes=notes,
        )

    def _usable_rows(self, name: str, most: int) -> tuple[list[int], tuple[str, ...]]:
        """Return the usable rows of a split, of a learning split those of the run's subset, and notes on the others."""
        run, opened = self._run, self._splits.open(name)
        subset = subset_of(run, self._splits, self._session.store, name)
        if most:
            subset = replace(subset, rows=first_by_hash(opened.ids, subset.rows, most))
        blank = set[int]()
        if run.protocol.reads_labels and not run.task.dense:
            blank = set(np.flatnonzero(without_target(run.task, opened.targets())).tolist())

        def reason(row: int) -> str:
            sample = self._splits.sample(name, row)
            check_fill(sample, self.recipe.reads, f"{run.key.suite} {name} {opened.ids[row]}")
            return "no target" if row in blank else why_unusable(sample, self.recipe.reads)

        with ThreadPoolExecutor(self._session.config.workers) as pool:
            reasons = list(pool.map(reason, subset.rows.tolist()))
        rows = [int(row) for row, lack in zip(subset.rows, reasons, strict=True) if not lack]
        dropped = {opened.ids[row]: lack for row, lack in zip(subset.rows, reasons, strict=True) if lack}
        notes = [f"{name}: {note}" for note in subset.notes] + left_out(name, dropped, len(subset.rows))
        if not rows:
            raise Incompatible(f"{run.key.suite} {name}: no usable sample; {'; '.join(notes)}")
        if name in LEARNING and run.task.classes:
            targets = np.asarray(opened.targets())[rows]
            of_classes = run.task.kind == "classification"
            present = {int(code) for code in targets} if of_classes else set(np.flatnonzero(targets.any(0)))
            if missing := [label for code, label in enumerate(run.task.classes) if code not in present]:
                notes.append(f"{name}: no sample of {some_of(missing)}")
        return rows, tuple(notes)

    def _targets(self, name: str, labelled: LabelledFeatures) -> Callable[[Any], list[Any]]:
        """Return positions -> targets of stored features: from labels, from stored masks, or boxes read once."""
        task = self._run.task
        if labelled.target is not None:
            known = labelled.target
            return lambda rows: [known[row] for row in rows]
        if task.kind != "detection":
            masks, places = labelled.features["mask"], labelled.rows
            kind = np.float32 if task.kind == "dense_regression" else np.int64
            return lambda rows: [np.asarray(masks[places[row]], kind) for row in rows]
        opened = self._splits.open(name)
        boxes = [opened[int(row)].target for row in labelled.rows]
        return lambda rows: [boxes[row] for row in rows]
