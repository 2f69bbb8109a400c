"""StudentWorkbench: another network in place of a run's model, with the same samples and the same input."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.core import Backbone, Layer, ModelEntry, Split, Tap, Task
from bench.features.forward import whole_taps
from bench.finetuning.workbench import Workbench
from bench.input.batches import Batch, ImageExamples, somewhere, stack_targets
from bench.input.recipe import InputRecipe
from bench.networks.tapped import TappedNetwork


@dataclass(kw_only=True)
class HeldFeatures:
    """Labelled features of a network's layers, in memory; see `bench.input.batches.Examples`.

    Attributes:
        ids, blocks, notes: of the samples.
        taps: one per layer read, over all samples.
        labels: targets as the suite gives them.
        task, recipe: what is predicted, and how images became input.
        size: (H, W) of the labels' pixels.
        device: where batches go.
    """

    ids: list[str]
    blocks: list[str]
    notes: tuple[str, ...]
    taps: list[Tap]
    labels: list[object]
    task: Task
    recipe: InputRecipe
    size: tuple[int, int]
    device: str

    def __len__(self) -> int:
        return len(self.ids)

    def targets(self, rows: Sequence[int]) -> list[object]:
        """Return the targets alone, as the suite gives them."""
        return [self.labels[row] for row in rows]

    def read(
        self, rows: Sequence[int], rng: np.random.Generator | None = None, epochs: Sequence[int] | None = None
    ) -> list[Batch]:
        """Return samples as one batch of features; a window of large images where `rng` is given."""
        places = list(rows)
        taps = [
            Tap(tap.grid[places], tap.vector[places], None if tap.cls is None else tap.cls[places]) for tap in self.taps
        ]
        target = stack_targets(self.task, self.targets(places), self.device)
        batch = Batch(given=None, taps=taps, target=target, size=self.size, rows=places)
        return [batch if rng is None else somewhere(batch, self.recipe, self.task, rng)]


def held_features(
    network: TappedNetwork, examples: ImageExamples, levels: Sequence[int], *, grids: bool, batch: int
) -> HeldFeatures:
    """Return the features of some layers for all samples, from one pass of a network that does not change.

    Args:
        network: in evaluation mode.
        examples: the samples as images.
        levels: indices of the layers, one per level that a decoder reads.
        grids: keep the token grids; otherwise their mean stands for a grid of one cell.
        batch: images per forward pass.
    """
    taps: dict[int, list[list[Tap]]] = {}
    labels: dict[int, object] = {}
    size = (0, 0)
    single = list(dict.fromkeys(levels))
    with torch.no_grad():
        for start in range(0, len(examples), batch):
            for part in examples.read(range(start, min(start + batch, len(examples)))):
                assert part.given is not None
                size = part.size
                for place, tap in enumerate(whole_taps(examples.recipe, network, part.given, single)):
                    grid = tap.grid if grids else tap.grid.mean((-2, -1), keepdim=True)
                    for index, row in enumerate(part.rows):
                        rows = slice(index, index + 1)
                        cls = None if tap.cls is None else tap.cls[rows]
                        taps.setdefault(row, [[] for _ in single])[place].append(
                            Tap(grid[rows].float(), tap.vector[rows].float(), cls)
                        )
                for row, target in zip(part.rows, examples.targets(part.rows), strict=True):
                    labels[row] = target
    joined = [_joined([taps[row][place][0] for row in range(len(examples))]) for place in range(len(single))]
    return HeldFeatures(
        ids=examples.ids,
        blocks=examples.blocks,
        notes=examples.notes,
        taps=[joined[single.index(level)] for level in levels],
        labels=[labels[row] for row in range(len(examples))],
        task=examples.task,
        recipe=examples.recipe,
        size=size,
        device=examples.device,
    )


def _joined(taps: Sequence[Tap]) -> Tap:
    classes: list[Tensor] = [tap.cls for tap in taps if tap.cls is not None]
    return Tap(
        torch.cat([tap.grid for tap in taps]),
        torch.cat([tap.vector for tap in taps]),
        torch.cat(classes) if len(classes) == len(taps) else None,
    )


class StudentWorkbench:
    """What a student trains with; it stands where `bench.finetuning.workbench.Workbench` is asked for.

    Args:
        inner: the workbench of the run, whose samples are used.
        network: of the student, on the CPU in evaluation mode; copied for every training.
        batch: images per forward pass of a network that does not change.
    """

    def __init__(self, inner: Workbench, network: TappedNetwork, *, batch: int) -> None:
        self._inner, self._network, self._batch = inner, network, batch
        self.entry: ModelEntry = replace(inner.entry, taps=inner.entry.taps if _same(inner, network) else ())
        self.recipe: InputRecipe = inner.recipe
        self.layers: tuple[Layer, ...] = tuple(network.layers)
        self._held: dict[tuple[str, tuple[str, ...], bool], HeldFeatures] = {}

    @property
    def dates(self) -> int:
        """Number of dates of a sample, 0 where it varies."""
        return self._inner.dates

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W) in pixels of a whole image as prepared, padded where windows are cut from it."""
        return self._inner.input_size

    def own_backbone(self, *, scratch: bool = False) -> Backbone:
        """Return a copy of the student, whatever its weights are: its init was chosen when it was made."""
        return copy.deepcopy(self._network)

    def shared_backbone(self) -> Backbone:
        """Return the student itself, for passes that do not change it."""
        return self._network

    def images(self, split: str, augmentations: tuple[str, ...] = (), most: int = 0) -> ImageExamples:
        """Return the usable samples of a split as images."""
        return self._inner.images(split, augmentations, most)

    def stored_features(self, split: str, layers: tuple[str, ...], *, grids: bool) -> HeldFeatures:
        """Return the samples of a split as features of the student, computed once and kept in memory."""
        if (split, layers, grids) not in self._held:
            names = [layer.name for layer in self.layers]
            images = self._inner.images(split)
            network = self._network.to(images.device)
            self._held[split, layers, grids] = held_features(
                network, images, [names.index(name) for name in layers], grids=grids, batch=self._batch
            )
        return self._held[split, layers, grids]

    def one_batch(self) -> Batch:
        """Return one usable training sample as a batch of images."""
        return self._inner.one_batch()

    def probe_scores(self) -> Mapping[str, float]:
        """Return the scores of the run's model where the student has the same layers; see `Workbench.probe_scores`."""
        return self._inner.probe_scores()

    def checkpoint(self, number: int) -> Path:
        """Return the file of the checkpoint of a training; numbers of the teacher's trainings come before."""
        return self._inner.checkpoint(STUDENT_TRAININGS + number)

    def keep_weights(self, state: Mapping[str, Tensor]) -> None:
        """Put tuned weights in the cache."""
        self._inner.keep_weights(state)

    def split(self, name: str) -> Split:
        """Return an opened split."""
        return self._inner.split(name)

    def write_map(self, split: str, row: int, values: np.ndarray) -> str:
        """Write the prediction of one sample; see `Workbench.write_map`."""
        return self._inner.write_map(split, row, values)

    def shared_file(self, facts: Mapping[str, object]) -> Path:
        """Return a file of the cache; see `Workbench.shared_file`."""
        return self._inner.shared_file(facts)


STUDENT_TRAININGS = 1000
"""Number of the first training of a student within its run; those of its teacher have lower ones."""


def _same(inner: Workbench, network: TappedNetwork) -> bool:
    return [layer.name for layer in inner.layers] == [layer.name for layer in network.layers]


def counted_images(workbench: Workbench) -> dict[str, Tensor]:
    """Return one prepared training sample as the network is given it: sensor -> (1, T, C, H, W), one window of it.

    Where dates are encoded one by one it holds the first date.
    """
    batch, recipe = workbench.one_batch(), workbench.recipe
    if recipe.windows:
        batch = batch.window(recipe, 0, 0)
    assert batch.given is not None
    images = {sensor: values.cpu() for sensor, values in batch.given.images.items()}
    return {sensor: values[:, :1] for sensor, values in images.items()} if recipe.fold_dates else images
