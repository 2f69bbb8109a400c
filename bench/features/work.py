"""Work of a run in units that no machine decides: images, forward passes, steps and multiply-adds. Imports no torch.

The plan turns it into seconds, see `bench.runs.estimate`. The counts are rough on purpose: what they get wrong by a
constant factor for a kind of run is corrected by the seconds that such runs have taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.core import ModelEntry, Suite, Task
from bench.input.recipe import InputRecipe
from bench.input.windows import window_grid

WIDTH = 256
"""Channels of a layer where an entry does not state them."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What decides the work of a run besides its protocol: the model, the task, and the samples.

    Attributes:
        entry, suite, task: the model, the data and what is predicted.
        recipe: how images become input; its channels are not read.
        channels: number of input channels.
        images: split -> number of samples, those of the label subset for the splits that are learnt from.
        tests: names of the test splits.
    """

    entry: ModelEntry
    suite: Suite
    task: Task
    recipe: InputRecipe
    channels: int
    images: Mapping[str, int]
    tests: tuple[str, ...]

    @property
    def layers(self) -> int:
        """Number of layers: the embedding, every block and the norm."""
        return self.entry.depth + 2 if self.entry.depth else 1

    @property
    def outputs(self) -> int:
        """Number of classes, 1 for values."""
        return max(1, len(self.task.classes))

    @property
    def width(self) -> int:
        """Channels of a layer."""
        return self.entry.width or WIDTH

    @property
    def pixels(self) -> int:
        """Number of pixels of an image of the suite."""
        return math.prod(self.suite.image_size)

    @property
    def tested(self) -> int:
        """Number of samples of all test splits."""
        return sum(self.images.get(name, 0) for name in self.tests)

    @cached_property
    def tokens(self) -> int:
        """Number of tokens of one image and date, all windows together."""
        own = math.prod(max(1, side // self.recipe.patch) for side in self.recipe.size)
        return own * len(window_grid(self.recipe, self.suite.image_size))

    @property
    def values(self) -> float:
        """Number of input values of a sample."""
        windows = len(window_grid(self.recipe, self.suite.image_size))
        return float(self.channels * max(1, self.suite.dates) * windows * math.prod(self.recipe.size))

    @property
    def forward(self) -> float:
        """Multiply-adds of one sample through the backbone: about one per parameter and token of each date."""
        dates = max(1, self.suite.dates) if self.recipe.fold_dates else 1
        return float(dates * self.tokens * self.entry.parameters)

    def head(self, hidden: int = 0) -> float:
        """Multiply-adds of one sample through a head of `hidden` channels per token, 0 for a linear one."""
        dense = self.task.dense
        inner = (self.tokens if dense or hidden else 1) * self.width * (hidden or self.outputs)
        return float(inner + (8 * self.pixels * self.outputs if dense else 0))


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a run does.

    Attributes:
        splits: those whose stored features are read; a pass of the frozen backbone makes them where they are missing.
        grids: token grids are kept where the task is image-level, too.
        some_layers: features of the layers that decoders usually read suffice.
        forwards: samples through the backbone in the run itself; a backward pass counts as one or two.
        steps: optimiser steps, or fits.
        head: multiply-adds of heads, probes and comparisons.
        trains: the network, or a decoder, is trained.
    """

    splits: tuple[str, ...] = ()
    grids: bool = False
    some_layers: bool = False
    forwards: float = 0.0
    steps: float = 0.0
    head: float = 0.0
    trains: bool = False
