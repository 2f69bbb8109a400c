"""Images that merged networks are measured on: those of the training split, then of validation; never of test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.core.errors import BadSetting
from bench.features.forward import taps_of
from bench.foundry.contract.workbench import RecipeWorkbench
from bench.input.batches import Batch, somewhere
from bench.input.splits import LEARNING
from bench.networks.tapped import TappedNetwork

BATCH = 64


class Images:
    """Prepared images in batches, the same ones every time they are iterated over.

    Args:
        workbench: gives the samples of the learning splits.
        most: number of images, drawn without repetition: from training first, the rest from validation.
        seed: of the draw.

    Attributes:
        count: number of images.

    Raises:
        BadSetting: there is no image.
    """

    def __init__(self, workbench: RecipeWorkbench, most: int, seed: int) -> None:
        self.workbench, self.seed = workbench, seed
        generator, self.count = np.random.default_rng(seed), 0
        self.rows: dict[str, list[int]] = {}
        for split in LEARNING:
            if self.count < most:
                chosen = generator.permutation(len(workbench.images(split)))[: most - self.count]
                self.rows[split] = [int(row) for row in chosen]
                self.count += len(chosen)
        if not self.count:
            raise BadSetting(f"suite={workbench.data.suite.name} has no usable image in training and validation")

    def __iter__(self) -> Iterator[Batch]:
        generator, workbench = np.random.default_rng(self.seed), self.workbench
        for split, rows in self.rows.items():
            examples = workbench.images(split)
            for place in range(0, len(rows), BATCH):
                for batch in examples.read(rows[place : place + BATCH]):
                    yield somewhere(batch, workbench.recipe, workbench.data.task, generator)

    def run(self, network: TappedNetwork, batch: Batch) -> None:
        """Pass a batch through a network up to its last layer."""
        assert batch.given is not None
        backbone: Any = network
        taps_of(self.workbench.recipe, backbone, batch.given, [len(network.layers) - 1])
