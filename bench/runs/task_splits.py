"""TaskSplits: the splits of one task, opened with the bands that one model reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bench.core import Band, Sample, Task
from bench.input.splits import LEARNING, Splits
from bench.input.subsets import Subset
from bench.input.targets import SoundSplit


@dataclass(frozen=True, kw_only=True)
class TaskSplits:
    """The splits of one task with one set of bands, as a run reads them.

    Attributes:
        data: the suite's splits, which opens each one once.
        task: what is predicted.
        bands: the bands read, in order.
    """

    data: Splits
    task: Task
    bands: tuple[Band, ...]

    def open(self, name: str) -> SoundSplit:
        """Return an opened split whose targets are sound.

        Raises:
            MissingData: its files are not there.
        """
        return self.data.sound(self.task, name, self.bands)

    def sample(self, name: str, row: int) -> Sample:
        """Return a sample with a sound target; those read before are kept as far as memory is set aside for them."""
        return self.data.sample(self.task, name, self.bands, row)

    def subset(self, name: str, fraction: float, number: int) -> Subset:
        """Return a label subset of a split."""
        return self.data.subset(self.task, name, self.bands, fraction, number)

    @cached_property
    def tests(self) -> tuple[str, ...]:
        """The available test splits: ``test``, and out-of-region splits whose files exist."""
        return self.data.test_names(self.task, self.bands)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits that a run reads: those it learns from, then the test splits that are there."""
        return (*LEARNING, *self.tests)
