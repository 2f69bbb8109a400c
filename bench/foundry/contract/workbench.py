"""RecipeWorkbench: a model and the samples of a suite, for recipes that train on a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.catalogue.suites import load as load_suite
from bench.catalogue.suites import select_bands, select_tasks
from bench.core import Backbone, Band, Layer, ModelEntry, Sample, Split, Suite, Task, sha256_of
from bench.core.errors import BadSetting, Incompatible
from bench.features.statistics import statistics
from bench.input.batches import Batch, ImageExamples, StoredExamples
from bench.input.content import Contents
from bench.input.recipe import InputRecipe, match
from bench.input.splits import LEARNING, Splits
from bench.input.usable import usable
from bench.store import FeatureCache

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """One task of a suite, and the bands it is read with.

    Attributes:
        suite, task: facts.
        splits: opened once each.
        bands: those of the suite in use.
        labels: share of the training and validation labels that are used, in (0, 1]; -k for k samples per class.
        subset: number of the subset of labels.
    """

    suite: Suite
    task: Task
    splits: Splits
    bands: tuple[Band, ...]
    labels: float = 1.0
    subset: int = 0


def open_task(suite: str, task: str, bands: tuple[str, ...], data: Path, labels: float = 1.0) -> TaskData:
    """Return a task of a suite by name; the suite's only task where none is named.

    Raises:
        BadSetting: the suite has several tasks and none is named, or no suite is named.
        UnknownName: there is no such suite, task or band.
    """
    if not suite:
        raise BadSetting("this method needs images: give suite=, and task= where the suite has several tasks")
    facts = load_suite(suite)
    tasks = select_tasks(facts, (task,) if task else ())
    if len(tasks) != 1:
        raise BadSetting(
            f"suite={suite} has the tasks {', '.join(candidate.name for candidate in tasks)}; name one with task="
        )
    return TaskData(
        suite=facts,
        task=tasks[0],
        splits=Splits(suite=facts, root=data),
        bands=select_bands(facts, bands),
        labels=labels,
    )


def fed_bands(entry: ModelEntry, data: TaskData | None) -> tuple[Band, ...]:
    """Return the bands a network is fed: those of its entry that the suite offers, or all where there is no suite."""
    return entry.bands if data is None else match(entry, data.suite, data.task, data.bands).bands


def data_facts(data: TaskData | None) -> dict[str, Any]:
    """Return what a card states of the data a recipe used."""
    if data is None:
        return {}
    suite = data.suite
    return {
        "suite": suite.name,
        "version": suite.version,
        "task": data.task.name,
        "labels": data.labels,
        "generated": suite.generated,
    }


@dataclass
class RecipeWorkbench:
    """Model and samples for the training of a recipe; it implements `bench.finetuning.workbench.Workbench`.

    Attributes:
        entry: the model.
        data: the task.
        network: (at random init?) -> a copy of the network that may be changed.
        folder: where checkpoints of trainings go.
        cache: keeps statistics of the training images.
        device: torch device.
        workers: threads that read samples.
    """

    entry: ModelEntry
    data: TaskData
    network: Callable[[bool], Backbone]
    folder: Path
    cache: FeatureCache
    device: str = "cpu"
    workers: int = 2
    _rows: dict[str, tuple[list[int], tuple[str, ...]]] = field(default_factory=dict)

    @cached_property
    def recipe(self) -> InputRecipe:
        """How images become the model's input."""
        return match(self.entry, self.data.suite, self.data.task, self.data.bands)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """All layers of the network."""
        return tuple(self.network(False).layers)

    @property
    def dates(self) -> int:
        """Number of dates of a sample, 0 where it varies."""
        return self.data.suite.dates

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W) in pixels of a whole image as prepared, padded where windows are cut from it."""
        recipe = self.recipe
        return recipe.extent(self.data.suite.image_size) if recipe.windows else recipe.size

    @cached_property
    def statistics(self) -> Mapping[str, tuple[float, float]]:
        """Mean and standard deviation of each band over the training split, where the model is fed z-scores."""
        if self.recipe.normalise != "dataset":
            return {}
        data, reads = self.data, self.recipe.reads
        images = Contents(data=data.splits, cache=self.cache).images(data.task, "train", reads)
        facts = {"suite": data.suite.name, "version": data.suite.version, "split": "train", "images": images}
        return statistics(self.split("train"), reads, self.cache, facts)

    def own_backbone(self, *, scratch: bool = False) -> Backbone:
        """Return a copy of the network that may be changed; with `scratch`, at random init."""
        return self.network(scratch)

    def shared_backbone(self) -> Backbone:
        """Return a network for frozen passes."""
        return self.network(False)

    def split(self, name: str) -> Split:
        """Return an opened split."""
        return self.data.splits.split(self.data.task, name, self.recipe.reads)

    def images(self, split: str, augmentations: tuple[str, ...] = (), most: int = 0) -> ImageExamples:
        """Return the usable samples of a split as images; of a learning split, those of the label subset."""
        if split not in self._rows:
            self._rows[split] = self._usable(split)
        rows, notes = self._rows[split]
        opened = self.split(split)
        rows = rows[:most] if most else rows
        return ImageExamples(
            sample=lambda row: self._sample(split, row),
            positions=rows,
            ids=[opened.ids[row] for row in rows],
            blocks=[opened.blocks[row] for row in rows],
            task=self.data.task,
            recipe=self.recipe,
            statistics=self.statistics,
            device=self.device,
            augmentations=augmentations,
            workers=self.workers,
            notes=notes,
        )

    def _sample(self, split: str, row: int) -> Sample:
        return self.data.splits.sample(self.data.task, split, self.recipe.reads, row)

    def _usable(self, name: str) -> tuple[list[int], tuple[str, ...]]:
        split, reads = self.split(name), self.recipe.reads
        rows = np.arange(len(split))
        notes: tuple[str, ...] = ()
        if name in LEARNING and self.data.labels < 1:
            subset = self.data.splits.subset(self.data.task, name, reads, self.data.labels, self.data.subset)
            rows, notes = subset.rows, tuple(f"{name}: {note}" for note in subset.notes)
        kept = [int(row) for row in rows if usable(self._sample(name, int(row)), reads)]
        if len(kept) < len(rows):
            notes = (*notes, f"{name}: left out {len(rows) - len(kept)} of {len(rows)} without a valid pixel in a band")
        if not kept:
            raise Incompatible(f"{self.data.suite.name} {name}: no usable sample")
        return kept, notes

    def stored_features(self, split: str, layers: tuple[str, ...], *, grids: bool) -> StoredExamples:
        """Refuse: recipes run the network on images.

        Raises:
            BadSetting: always.
        """
        raise BadSetting("a recipe trains on images, never on stored features: use tuning=full or head-then-full")

    def one_batch(self) -> Batch:
        """Return one usable training sample as a batch of images."""
        return self.images("train", most=1).read([0])[0]

    def probe_scores(self) -> Mapping[str, float]:
        """Refuse: a recipe has no stored probe.

        Raises:
            BadSetting: always.
        """
        raise BadSetting(
            "taps=profile needs a stored probe, which recipes do not have; use last, quarters or published"
        )

    def checkpoint(self, number: int) -> Path:
        """Return the file of the checkpoint of a training."""
        return self.folder / f"{number}.pt"

    def shared_file(self, facts: Mapping[str, object]) -> Path:
        """Return a file for what trainings of this recipe share."""
        return self.folder / f"shared_{sha256_of(facts)[:20]}.safetensors"

    def keep_weights(self, state: Mapping[str, Tensor]) -> None:
        """Do nothing: the recipe writes its entry itself."""

    def write_map(self, split: str, row: int, values: np.ndarray) -> str:
        """Refuse: a recipe writes no maps."""
        return "a recipe writes no maps"
