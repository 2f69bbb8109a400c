"""Seat: the place of this process among the workers of a sweep."""

from __future__ import annotations

from dataclasses import dataclass

from bench.executors.contract.status import StatusFile


@dataclass(frozen=True, kw_only=True)
class Seat:
    """The place of this process among the workers of a sweep.

    Attributes:
        number: of the worker, from 0.
        count: how many there are.
        begun: when the sweep began, by the clock of the results folder.
        status: its status file.
    """

    number: int
    count: int
    begun: float
    status: StatusFile

    @property
    def begin(self) -> float:
        """Share of the plan, in [0, 1), after which this worker starts."""
        return self.number / max(1, self.count)
