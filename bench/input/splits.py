"""A suite's splits, opened once each: their identity, their samples and their label subsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from bench.core import Band, Sample, Split, Suite, Task, sha256_of
from bench.core.errors import MissingData
from bench.core.soundness import count_notes, open_split
from bench.input.subsets import SCHEME, Subset, draw
from bench.input.targets import SoundSplit

SAMPLES = 8  # of a split, examined before a long run
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
    _lock: Lock = field(default_factory=Lock, repr=False)

    def split(self, task: Task, name: str, bands: tuple[Band, ...]) -> Split:
        """Return a split as the suite opens it.

        Raises:
            MissingData: its files are not there.
        """
        key = (task.name, name, bands)
        if key not in self._open:
            self._open[key] = open_split(self.suite, self.root, task.name, name, bands)
        return self._open[key]

    def sound(self, task: Task, name: str, bands: tuple[Band, ...]) -> SoundSplit:
        """Return an opened split whose targets are sound, see `bench.input.targets`."""
        return SoundSplit(self.split(task, name, bands), task, f"{self.suite.name} {task.name} {name}")

    def sample(self, task: Task, name: str, bands: tuple[Band, ...], row: int) -> Sample:
        """Return a sample with a sound target; the first `MEMORY` bytes are kept, so later epochs read nothing."""
        return self._read(((task.name, name, bands), row), lambda: self.sound(task, name, bands)[row])

    def image(self, task: Task, name: str, bands: tuple[Band, ...], row: int) -> Sample:
        """Return a sample without its target, which is not looked at; kept like those of `sample`."""
        key = ((task.name, name, bands, "image"), row)
        return self._read(key, lambda: self.split(task, name, bands)[row]._replace(target=None))

    def _read(self, key: tuple[Any, int], read: Callable[[], Sample]) -> Sample:
        if key in self._kept:
            return self._kept[key]
        sample = read()
        size = sum(values.nbytes for values in sample.images.values())
        with self._lock:  # several threads read
            if key not in self._kept and self._bytes + size <= MEMORY:
                self._kept[key] = sample
                self._bytes += size
        return sample

    def test_names(self, task: Task, bands: tuple[Band, ...]) -> tuple[str, ...]:
        """Return the available test splits: ``test``, and out-of-region splits whose files exist.

        Raises:
            MissingData: the files of ``test`` are not there.
        """
        present = []
        for name in self.suite.splits:
            if name in LEARNING:
                continue
            try:
                self.split(task, name, bands)
            except MissingData:
                if name == "test":
                    raise
                continue
            present.append(name)
        return tuple(present)

    def size_notes(self, task: Task, bands: tuple[Band, ...]) -> tuple[str, ...]:
        """Return a sentence for each available split whose size is not the one that the suite declares.

        Raises:
            MissingData: the files of train, val or test are not there.
        """
        names = (*LEARNING, *self.test_names(task, bands))
        return tuple(count_notes(self.suite, {name: len(self.split(task, name, bands)) for name in names}))

    def split_hash(self, task: Task, bands: tuple[Band, ...]) -> str:
        """Return the hash over the ids of every split, and of the subset scheme.

        Raises:
            MissingData: one id lies in two splits.
        """
        names = (*LEARNING, *self.test_names(task, bands))
        ids = {name: list(self.split(task, name, bands).ids) for name in names}
        seen: dict[str, str] = {}
        for name, members in ids.items():
            for member in members:
                if member in seen:
                    where = f"is in {seen[member]} and in {name}"
                    raise MissingData(f"{self.suite.name}: sample {member} {where}; splits must be disjoint")
                seen[member] = name
        return sha256_of({"ids": ids, "subsets": SCHEME})

    def subset(self, task: Task, name: str, bands: tuple[Band, ...], fraction: float, number: int) -> Subset:
        """Return the label subset of a split, drawn once."""
        key = (task.name, name, fraction, number)
        if key not in self._drawn:
            split = self.sound(task, name, bands)
            self._drawn[key] = draw(task, list(split.ids), split.targets(), fraction, number)
        return self._drawn[key]


def some_samples(split: Split | SoundSplit) -> Sequence[Sample]:
    """Return `SAMPLES` samples spread over a split.

    Raises:
        MissingData: the split is empty.
    """
    if not len(split):
        raise MissingData("the split holds no sample")
    places = sorted({int(i) for i in np.linspace(0, len(split) - 1, min(SAMPLES, len(split)))})
    return [split[i] for i in places]
