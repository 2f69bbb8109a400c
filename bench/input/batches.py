"""Labelled samples batch by batch, for training: images as the network takes them, or features from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bench.core import Sample, Tap, Task
from bench.input.augment import VIEWS, augmented, view_of, viewed
from bench.input.prepare import Statistics
from bench.input.prepared import PreparedInput, by_length, prepare_input
from bench.input.recipe import InputRecipe
from bench.input.windows import owned, window_grid
from bench.store import Features


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples with equally many dates.

    Attributes:
        given: prepared input, or None where features stand in for it.
        taps: features of the whole images, one `Tap` per level, or None.
        target: (B,) classes, (B, K), (B, q), (B, H, W), or for detection a list of boxes and labels; None where the
            samples are read without labels.
        size: (H, W) of the labels' pixels.
        rows: positions among the samples read.
        views: of each sample, one of `bench.input.augment.VIEWS`; None where augmentations were drawn.
        corner: (top, left) in the whole image, where this is a window of it.
        source: name of the samples they were read from, ``""`` for those of the arm.
    """

    given: PreparedInput | None
    taps: list[Tap] | None
    target: Any
    size: tuple[int, int]
    rows: list[int]
    views: list[int] | None = None
    corner: tuple[int, int] = (0, 0)
    source: str = ""

    def part(self, rows: slice) -> Batch:
        """Return the batch of some of its samples."""
        given = self.given and PreparedInput(
            {sensor: values[rows] for sensor, values in self.given.images.items()},
            None if self.given.when is None else self.given.when[rows],
            None if self.given.where is None else self.given.where[rows],
        )
        taps = self.taps and [
            Tap(tap.grid[rows], tap.vector[rows], None if tap.cls is None else tap.cls[rows]) for tap in self.taps
        ]
        target = None if self.target is None else self.target[rows]
        views = self.views and self.views[rows]
        return replace(self, given=given, taps=taps, target=target, rows=self.rows[rows], views=views)

    def window(self, recipe: InputRecipe, top: int, left: int) -> Batch:
        """Return one window: `recipe.size` pixels from a corner on the grid of tokens, labels as far as they go."""
        size = recipe.size
        target = self.target
        if isinstance(target, Tensor) and target.ndim == 3:
            target = target[:, top : top + size[0], left : left + size[1]]
        given = self.given and self.given.crop(top, left, size)
        taps = None
        if self.taps:
            taps = [_cut(tap, recipe, self.size, top, left) for tap in self.taps]
        return replace(self, given=given, taps=taps, target=target, size=size, corner=(top, left))


def _cut(tap: Tap, recipe: InputRecipe, image: tuple[int, int], top: int, left: int) -> Tap:
    """Return a window of a whole image's grid; its vector is the mean of it."""
    stride = recipe.extent(image)[0] // tap.grid.shape[-2]
    rows = slice(top // stride, (top + recipe.size[0]) // stride)
    columns = slice(left // stride, (left + recipe.size[1]) // stride)
    grid = tap.grid[..., rows, columns]
    return Tap(grid, grid.mean((-2, -1)))


class Examples(Protocol):
    """Labelled samples that can be read by position."""

    ids: list[str]
    blocks: list[str]
    notes: tuple[str, ...]

    def __len__(self) -> int: ...

    def read(
        self, rows: Sequence[int], rng: np.random.Generator | None = None, epochs: Sequence[int] | None = None
    ) -> list[Batch]:
        """Return samples, grouped by their number of dates; augmented, and cut to a window, where `rng` is given.

        Args:
            rows: positions among the samples.
            rng: of augmentations and windows.
            epochs: of each row, which ``augment=views`` follows; all 0 if not given.
        """
        ...

    def targets(self, rows: Sequence[int]) -> list[Any]:
        """Return the targets alone, as the suite gives them."""
        ...


@dataclass(kw_only=True)
class ImageExamples:
    """Samples read from a suite, prepared for a network.

    Attributes:
        sample: position in the split -> raw sample with the bands of ``recipe.reads``.
        positions: in the split, of the samples used.
        ids, blocks: of those.
        task: what is predicted.
        recipe, statistics: how images become input.
        device: where batches go.
        augmentations: see `bench.input.augment`.
        workers: threads that read.
        notes: samples left out, by name and reason.
        labelled: whether targets are read.
        source: see `Batch`.
    """

    sample: Callable[[int], Sample]
    positions: Sequence[int]
    ids: list[str]
    blocks: list[str]
    task: Task
    recipe: InputRecipe
    statistics: Statistics
    device: str
    augmentations: tuple[str, ...] = ()
    workers: int = 2
    notes: tuple[str, ...] = ()
    labelled: bool = True
    source: str = ""

    def __len__(self) -> int:
        return len(self.positions)

    def targets(self, rows: Sequence[int]) -> list[Any]:
        """Return the targets alone, as the suite gives them."""
        return [self.sample(int(self.positions[row])).target for row in rows]

    def read(
        self, rows: Sequence[int], rng: np.random.Generator | None = None, epochs: Sequence[int] | None = None
    ) -> list[Batch]:
        """Return samples in the form of `Examples.read`."""
        with ThreadPoolExecutor(self.workers) as pool:
            samples = list(pool.map(self.sample, [int(self.positions[row]) for row in rows]))
        views = [VIEWS[0]] * len(rows)
        if rng is not None and self.augmentations == ("views",):
            views = [
                view_of(epoch, next(iter(sample.images.values())).shape[-2:])
                for sample, epoch in zip(samples, epochs or views, strict=True)
            ]
        return self.in_views(samples, rows, views, rng)

    def in_views(
        self,
        samples: Sequence[Sample],
        rows: Sequence[int],
        views: Sequence[int],
        rng: np.random.Generator | None = None,
    ) -> list[Batch]:
        """Return raw samples as batches, each sample in a view of its own.

        Args:
            samples: as the suite gives them.
            rows: their positions among the samples.
            views: of each, one of `bench.input.augment.VIEWS`.
            rng: of further augmentations and windows; neither without.
        """
        samples = [viewed(sample, self.task.kind, view) for sample, view in zip(samples, views, strict=True)]
        if rng is not None:
            samples = augmented(samples, self.task.kind, self.augmentations, rng)
        known = rng is None or self.augmentations in ((), ("views",))
        batches = []
        for group in by_length(samples):
            given = prepare_input([samples[i] for i in group], self.recipe, self.statistics, self.device)
            targets = [samples[i].target for i in group]
            batch = Batch(
                given=given,
                taps=None,
                target=stack_targets(self.task, targets, self.device) if self.labelled else None,
                size=next(iter(samples[group[0]].images.values())).shape[-2:],
                rows=[rows[i] for i in group],
                views=[views[i] for i in group] if known else None,
                source=self.source,
            )
            batches.append(batch if rng is None else somewhere(batch, self.recipe, self.task, rng))
        return batches


@dataclass(kw_only=True)
class StoredExamples:
    """Samples whose features of some layers are in the store; the network is not run again.

    Attributes:
        features: of the split, with the grids (or vectors) of the layers.
        positions: rows used.
        ids, blocks: of those.
        layers: names of the layers read, one a level.
        targets: of the rows used, as `stack_targets` takes them.
        task: what is predicted.
        recipe: how images became input.
        size: (H, W) of the labels' pixels.
        pool: view that stands for the authors' image vector, ``own``, ``cls`` or ``mean``.
        device: where batches go.
        notes: samples left out, by name and reason.
    """

    features: Features
    positions: np.ndarray
    ids: list[str]
    blocks: list[str]
    layers: tuple[str, ...]
    targets: Callable[[Sequence[int]], list[Any]]
    task: Task
    recipe: InputRecipe
    size: tuple[int, int]
    device: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.positions)

    def read(
        self, rows: Sequence[int], rng: np.random.Generator | None = None, epochs: Sequence[int] | None = None
    ) -> list[Batch]:
        """Return samples in the form of `Examples.read`; they are never augmented."""
        places = self.positions[np.asarray(rows, int)]
        order = np.argsort(places)  # a memory map is read in its order
        read: dict[str, Tap] = {}
        for name in dict.fromkeys(self.layers):
            read[name] = self._tap(name, places[order], np.argsort(order))
        target = stack_targets(self.task, self.targets(rows), self.device)
        taps = [read[name] for name in self.layers]
        batch = Batch(given=None, taps=taps, target=target, size=self.size, rows=list(rows))
        return [batch if rng is None else somewhere(batch, self.recipe, self.task, rng)]

    def _tap(self, layer: str, places: np.ndarray, back: np.ndarray) -> Tap:
        views = {}
        for name in ("grid", "mean", "own", "cls"):
            if f"{layer}.{name}" in self.features.manifest["files"]:
                values = np.asarray(self.features[f"{layer}.{name}"][places], np.float32)[back]
                views[name] = torch.from_numpy(values).to(self.device)
        # Vectors alone stand for a grid of one cell.
        mean = views["mean"] if "mean" in views else views["grid"].mean((-2, -1))
        grid = views.get("grid", mean[:, :, None, None])
        return Tap(grid, views.get("own", mean), views.get("cls"))


def somewhere(batch: Batch, recipe: InputRecipe, task: Task, rng: np.random.Generator) -> Batch:
    """Return a window of a batch of large images, anywhere on the grid of tokens; other batches as they are.

    Boxes are found in whole images, so theirs are not cut.
    """
    if not recipe.windows or task.kind == "detection":
        return batch
    places = []
    for extent, side in zip(batch.size, recipe.size, strict=True):
        room = max(0, -(-extent // recipe.patch) - side // recipe.patch)
        places.append(int(rng.integers(room + 1)) * recipe.patch)
    return batch.window(recipe, places[0], places[1])


def windows(batch: Batch, recipe: InputRecipe) -> Iterator[tuple[Batch, tuple[slice, slice], tuple[slice, slice]]]:
    """Yield windows that cover a batch of large images, each with the pixels of it that count and where they lie.

    Every pixel counts once: in the window in whose middle it lies most.
    """
    corners = window_grid(recipe, batch.size)
    rows, columns = sorted({top for top, _ in corners}), sorted({left for _, left in corners})
    tall, wide = batch.size
    for top in rows:
        for left in columns:
            y, into_y = owned(rows, top, recipe.size[0], max(tall, rows[-1] + recipe.size[0]), 1)
            x, into_x = owned(columns, left, recipe.size[1], max(wide, columns[-1] + recipe.size[1]), 1)
            yield batch.window(recipe, top, left), (y, x), (into_y, into_x)


def stack_targets(task: Task, targets: Sequence[Any], device: str) -> object:
    """Return the targets of some samples as one tensor, or of boxes as a list of tensors."""
    if task.kind == "detection":
        return [
            {
                "boxes": torch.as_tensor(np.asarray(target["boxes"], np.float32).reshape(-1, 4), device=device),
                "labels": torch.as_tensor(np.asarray(target["labels"], np.int64).reshape(-1), device=device),
            }
            for target in targets
        ]
    values = np.stack([np.asarray(target) for target in targets])
    kind = np.float32 if task.kind in ("regression", "dense_regression", "multilabel") else np.int64
    return torch.from_numpy(np.ascontiguousarray(values, dtype=kind)).to(device)
