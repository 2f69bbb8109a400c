"""What suites share: where their files lie, how rasters and lists are read, and a split made of two functions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Sample, Suite, Task
from bench.core.errors import UnknownName

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Samples:
    """An opened split: ids, blocks, and the two functions that read a sample and all targets.

    Attributes:
        ids: one a sample.
        blocks: the resampling unit of each sample.
        read: index -> `Sample`.
        read_targets: () -> array, see `bench.core.Split.targets`.
        source: index -> the georeferenced raster that a sample is the whole of, where there is one; predictions are
            written with its CRS.
    """

    ids: Sequence[str]
    blocks: Sequence[str]
    read: Callable[[int], Sample]
    read_targets: Callable[[], np.ndarray]
    source: Callable[[int], Path] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.read(range(len(self.ids))[index])

    def targets(self) -> np.ndarray:
        """Return what stratification needs, decoding no image."""
        return self.read_targets()


def task_of(suite: Suite, name: str) -> Task:
    """Return the task of that name.

    Raises:
        UnknownName: if the suite has none; lists those it has.
    """
    for task in suite.tasks:
        if task.name == name:
            return task
    raise UnknownName(f"task of {suite.name}", name, (task.name for task in suite.tasks))


def check_request(suite: Suite, task: str, split: str, bands: Sequence[Band]) -> Task:
    """Return the task asked for, once task, split and bands are known to be the suite's.

    Raises:
        UnknownName: for the first that is not.
    """
    found = task_of(suite, task)
    if split not in suite.splits:
        raise UnknownName(f"split of {suite.name}", split, suite.splits)
    known = [band.name for band in suite.bands]
    for band in bands:
        if band.name not in known:
            raise UnknownName(f"band of {suite.name}", band.name, known)
    return found


def by_sensor(bands: Sequence[Band], order: Sequence[str]) -> dict[str, list[int]]:
    """Return sensor -> positions in `order` (band names as stored) of the wanted bands, in the wanted order."""
    picked: dict[str, list[int]] = {}
    for band in bands:
        picked.setdefault(band.sensor, []).append(order.index(band.name))
    return picked


def share_of(text: str) -> float:
    """Return a number in 0..1 that depends on the text alone, for splits that anyone can redo."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
