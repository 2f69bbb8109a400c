"""A suite's splits, opened once each; their identity, their label subsets, and features joined with their labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import Band, Sample, Split, Suite, Task, sha256_of
from bench.core.errors import MissingData
from bench.core.soundness import open_split
from bench.input.subsets import SCHEME, Subset, draw

SAMPLES = 8  # looked at before a long run
LEARNING = ("train", "val")
MEMORY = 2 << 30  # bytes of decoded samples kept


@dataclass
class Splits:
    """A suite's opened splits, each opened once for each set of bands.

    Attributes:
        suite: its facts.
        root: folder of its files.
    """

    suite: Suite
    root: Path
    _open: dict[tuple[str, str, tuple[Band, ...]], Split] = field(default_factory=dict)
    _drawn: dict[tuple[str, str, float, int], Subset] = field(default_factory=dict)
    _kept: dict[tuple[Any, int], Sample] = field(default_factory=dict)
    _bytes: int = 0

    def split(self, task: Task, name: str, bands: tuple[Band, ...]) -> Split:
        """Return an opened split.

        Raises:
            MissingData: its files are not there.
        """
        key = (task.name, name, bands)
        if key not in self._open:
            self._open[key] = open_split(self.suite, self.root, task.name, name, bands)
        return self._open[key]

    def sample(self, task: Task, name: str, bands: tuple[Band, ...], row: int) -> Sample:
        """Return a raw sample; the first `MEMORY` bytes are kept, so that later epochs and runs read nothing."""
        key = ((task.name, name, bands), row)
        if key in self._kept:
            return self._kept[key]
        found = self.split(task, name, bands)[row]
        size = sum(values.nbytes for values in found.images.values())
        if self._bytes + size <= MEMORY:
            self._kept[key] = found
            self._bytes += size
        return found

    def test_names(self, task: Task, bands: tuple[Band, ...]) -> tuple[str, ...]:
        """Return the test splits that are there: ``test``, and out-of-region ones whose files are at hand."""
        names = [name for name in self.suite.splits if name not in LEARNING]
        there = []
        for name in names:
            try:
                self.split(task, name, bands)
            except MissingData:
                if name == "test":
                    raise
                continue
            there.append(name)
        return tuple(there)

    def split_hash(self, task: Task, bands: tuple[Band, ...]) -> str:
        """Return the hash over the ids of every split, and of the subset scheme.

        Raises:
            MissingData: one id lies in two splits.
        """
        names = (*LEARNING, *self.test_names(task, bands))
        ids = {name: list(self.split(task, name, bands).ids) for name in names}
        seen: dict[str, str] = {}
        for name, members in ids.items():
            for one in members:
                if one in seen:
                    raise MissingData(
                        f"{self.suite.name}: sample {one} is in {seen[one]} and in {name}; splits must be disjoint"
                    )
                seen[one] = name
        return sha256_of({"ids": ids, "subsets": SCHEME})

    def subset(self, task: Task, name: str, bands: tuple[Band, ...], fraction: float, number: int) -> Subset:
        """Return the label subset of a split, drawn once."""
        key = (task.name, name, fraction, number)
        if key not in self._drawn:
            split = self.split(task, name, bands)
            self._drawn[key] = draw(task, list(split.ids), split.targets(), fraction, number)
        return self._drawn[key]


def some_samples(split: Split) -> list[Any]:
    """Return a few samples spread over a split."""
    places = sorted({int(i) for i in np.linspace(0, len(split) - 1, min(SAMPLES, len(split)))})
    return [split[i] for i in places]
