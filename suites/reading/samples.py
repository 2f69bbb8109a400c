"""An opened split made of two functions, and the checks that every suite makes when it opens one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Sample, Suite, Task
from bench.core.errors import Incompatible, MissingData, UnknownName

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Samples:
    """An opened split: ids, blocks, and the two functions that read one sample and all targets.

    Attributes:
        ids: one per sample, unique.
        blocks: the resampling unit of each sample.
        read: index -> `bench.core.Sample`.
        read_targets: () -> array, see `bench.core.Split.targets`.
        source: index -> the georeferenced raster that the sample covers completely, for suites that have one;
            predictions are written with its reference system.

    Raises:
        MissingData: if the numbers of ids and blocks differ, or an id occurs twice.
    """

    ids: Sequence[str]
    blocks: Sequence[str]
    read: Callable[[int], Sample]
    read_targets: Callable[[], np.ndarray]
    source: Callable[[int], Path] | None = None

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.blocks):
            raise MissingData(
                f"a split has {len(self.ids)} ids and {len(self.blocks)} blocks, expected one block per id; correct "
                "the suite's file"
            )
        if len(set(self.ids)) != len(self.ids):
            seen: set[str] = set()
            twice = next(name for name in self.ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise MissingData(f"a split lists {twice} twice; ids must be unique: correct the suite's file or its list")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            IndexError: if there is no sample of that index.
            MissingData: if a file of the sample cannot be read.
            Incompatible: if an image lacks its time axis.
        """
        sample = self.read(range(len(self.ids))[index])
        for sensor, values in sample.images.items():
            if values.ndim != 4:
                remedy = "; add a time axis of length 1: image[None]" if values.ndim == 3 else ""
                raise Incompatible(
                    f"sample {self.ids[index]}: the image of {sensor} has shape {values.shape}, expected (T, C, H, W)"
                    f"{remedy}"
                )
        return sample

    def targets(self) -> np.ndarray:
        """Return what stratification needs; decodes no image."""
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
    """Return the task that is asked for, after checking that task, split and bands are the suite's.

    Raises:
        UnknownName: for the first that is not; lists those the suite has.
    """
    asked = task_of(suite, task)
    if split not in suite.splits:
        raise UnknownName(f"split of {suite.name}", split, suite.splits)
    known = [band.name for band in suite.bands]
    for band in bands:
        if band.name not in known:
            raise UnknownName(f"band of {suite.name}", band.name, known)
    return asked


def require_counts(suite: Suite, counts: Mapping[str, int]) -> None:
    """Check the sizes of splits against those that the suite declares in `Suite.splits`.

    For suites whose files are always complete, such as a suite made from a user's labels. Suites of publishers do not
    call it, so that a part of a large dataset can be read too; ``geobench-doctor --audit`` names their differences.

    Args:
        suite: facts of the suite; a declared size of 0 stands for unknown.
        counts: split -> number of samples found.

    Raises:
        MissingData: with both numbers of every split that differs.
    """
    different = [
        f"{name} has {count} samples and SUITE.splits declares {suite.splits[name]}"
        for name, count in counts.items()
        if suite.splits.get(name) and suite.splits[name] != count
    ]
    if different:
        raise MissingData(f"{suite.name}: {'; '.join(different)}; complete the files, or correct SUITE.splits")


def by_sensor(bands: Sequence[Band], order: Sequence[str]) -> dict[str, list[int]]:
    """Return the position in `order` of each wanted band, by sensor and in the wanted order.

    Args:
        bands: the bands wanted.
        order: names of the bands as stored.

    Returns:
        Sensor -> positions in `order`.
    """
    picked: dict[str, list[int]] = {}
    for band in bands:
        picked.setdefault(band.sensor, []).append(order.index(band.name))
    return picked


def columns_of(bands: Sequence[Band], stored: Mapping[str, Sequence[Band]]) -> dict[str, list[int]]:
    """Return the position of each wanted band among the stored bands of its sensor.

    Args:
        bands: the bands wanted.
        stored: sensor -> its bands in the order of the files.

    Returns:
        Sensor -> positions, for the sensors of `bands` in the order in which they occur.
    """
    picked: dict[str, list[int]] = {}
    for band in bands:
        names = [candidate.name for candidate in stored[band.sensor]]
        picked.setdefault(band.sensor, []).append(names.index(band.name))
    return picked


def share_of(text: str) -> float:
    """Return a number in 0..1 that depends on the text alone (its SHA-256), for splits that anyone can repeat.

    Example:
        >>> round(share_of("tile_17"), 2)
        0.81
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
