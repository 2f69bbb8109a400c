"""Durations in words, and the time left estimated from the speed of the whole sweep so far."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from bench.runs.estimate import Estimate


def duration(seconds: float) -> str:
    """Return a duration in words.

    Example:
        >>> duration(40), duration(420), duration(11_500), duration(400_000)
        ('40 s', '7 min', '3.2 h', '4.6 days')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


class Pace:
    """Estimate of the time left for some runs, from the speed of all finished ones.

    Args:
        work: run name -> its cost, in any unit.
        expected: seconds per unit of work, used until a run has finished; None where unknown.
        clock: returns the current time in seconds.

    Example:
        >>> now = iter([0.0, 10.0, 10.0])
        >>> pace = Pace({"a": 1.0, "b": 3.0}, clock=lambda: next(now))
        >>> pace.done("a")
        >>> pace.left()
        30.0
    """

    def __init__(
        self, work: dict[str, float], expected: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._open, self._clock, self._expected = dict(work), clock, expected
        self._finished = 0.0
        self._start = clock()

    def done(self, name: str, cost: Mapping[str, float] | None = None) -> None:
        """Count a run as done; an unknown run, or one that was counted before, changes nothing.

        Args:
            name: of the run.
            cost: what its record states; not read here.
        """
        self._finished += self._open.pop(name, 0.0)

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return self._clock() - self._start

    def left(self) -> float | None:
        """Return the seconds left, None where they cannot be estimated."""
        remaining = math.fsum(self._open.values())
        if self._finished > 0:
            return self.seconds() * remaining / self._finished
        if self._expected is None:
            return 0.0 if not self._open else None
        return max(0.0, self._expected * remaining - self.seconds())

    def text(self) -> str:
        """Return the time left in words, ``""`` where it cannot be estimated."""
        seconds = self.left()
        return "" if seconds is None else f"about {duration(seconds)} left"


class EstimatedPace(Pace):
    """The time left of a sweep's runs, by an estimate that learns from every run that is done.

    Args:
        estimate: of the runs.
        clock: gives seconds.
    """

    def __init__(self, estimate: Estimate, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(dict.fromkeys(estimate.runs, 1.0), clock=clock)
        self._estimate, self._begun = estimate, self._start

    def done(self, name: str, cost: Mapping[str, float] | None = None) -> None:
        """Count a run as done, and learn from its cost where it was carried out now."""
        super().done(name)
        self._begun = self._clock()
        if cost is not None:
            self._estimate.learn(name, cost)

    def left(self) -> float:
        """Return the seconds left: those of the runs to come, less what the one under way has taken."""
        expected = [self._estimate.seconds(name) for name in self._open]
        spent = min(self._clock() - self._begun, expected[0]) if expected else 0.0
        return math.fsum(expected) - spent
