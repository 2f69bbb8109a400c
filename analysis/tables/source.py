"""RecordSource: what a report reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from bench.core import Record


class RecordSource(Protocol):
    """What a report reads: `bench.store.Store`, or anything else that gives records and their arrays."""

    def suites(self) -> list[str]:
        """Return the names of the suites with records, sorted."""
        ...

    def records(self, suite: str | None = None) -> Iterator[Record]:
        """Yield the records of one suite, or of all, in a fixed order."""
        ...

    def arrays(self, record: Record) -> Mapping[str, np.ndarray]:
        """Return the arrays of a record by name."""
        ...
