"""Workbench: the model, the samples and the stored features of one run, for protocols that run the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bench.core import Backbone, Layer, ModelEntry, Split
from bench.input.recipe import InputRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from bench.input.batches import Batch, Examples, ImageExamples


class Workbench(Protocol):
    """Model, samples and features for a protocol that runs the network, see `bench.runs.workbench.RunWorkbench`.

    It is stated here, and implemented where the data, the store and the cache of a run are known.
    """

    @property
    def entry(self) -> ModelEntry:
        """The model."""
        ...

    @property
    def recipe(self) -> InputRecipe:
        """How images become its input."""
        ...

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers of the network."""
        ...

    @property
    def dates(self) -> int:
        """Number of dates of a sample, 0 where it varies."""
        ...

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W) in pixels of a whole image as prepared, padded where windows are cut from it."""
        ...

    def own_backbone(self, *, scratch: bool = False) -> Backbone:
        """Return a copy of the network that may be changed; with `scratch`, at random init by the run's seed."""
        ...

    def shared_backbone(self) -> Backbone:
        """Return the network that frozen passes use; it must not be changed."""
        ...

    def images(self, split: str, augmentations: tuple[str, ...] = (), most: int = 0) -> ImageExamples:
        """Return the usable samples of a split as images.

        Args:
            split: name of the split; of a learning split, the run's label subset is taken.
            augmentations: see `bench.input.augment`.
            most: largest number of samples, 0 for all; the ones taken are the same for every model.
        """
        ...

    def stored_features(self, split: str, layers: tuple[str, ...], *, grids: bool) -> Examples:
        """Return the usable samples of a split as stored features of some layers; `grids` keeps the token grids."""
        ...

    def one_batch(self) -> Batch:
        """Return one usable training sample as a batch of images."""
        ...

    def probe_scores(self) -> Mapping[str, float]:
        """Return layer -> validation score of the stored linear probe of the same cell, higher is better.

        Raises:
            MissingData: no such probe is stored.
        """
        ...

    def checkpoint(self, number: int) -> Path:
        """Return the file of the checkpoint of a training, by its number within the run."""
        ...

    def shared_file(self, facts: Mapping[str, object]) -> Path:
        """Return a file of the cache for what runs of one model, label set and seed share, told apart by `facts`."""
        ...

    def keep_weights(self, state: Mapping[str, Tensor]) -> None:
        """Put tuned weights in the cache, under the run's digest."""
        ...

    def split(self, name: str) -> Split:
        """Return an opened split."""
        ...

    def write_map(self, split: str, row: int, values: np.ndarray) -> str:
        """Write the prediction (H, W) of one sample as a GeoTIFF next to the record.

        Returns:
            The reason why nothing was written, or ``""``.
        """
        ...
