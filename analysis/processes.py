"""Work on many items by processes beside this one where that is safe; what comes of it is the same either way."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

MOST = 8  # processes: each takes some hundred megabytes
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


def spare_processes() -> int:
    """Return how many processes may work beside this one: none unless this one can be forked without harm.

    A forked process has one thread, and waits for ever on a lock that another held: of torch, of a progress bar.
    """
    if sys.platform != "linux" or "torch" in sys.modules or threading.active_count() > 1:
        return 0
    cores = min(len(os.sched_getaffinity(0)), MOST)
    return cores if cores > 1 else 0


class ForkedWork(Generic[I, O]):
    """Work under way.

    Args:
        work: done to each item, without trace elsewhere.
        items: started at once where there are processes for them, else worked on when asked for.
        processes: see `spare_processes`.
    """

    def __init__(self, work: Callable[[I], O], items: Sequence[I], processes: int) -> None:
        self.items, self._work = items, work
        self._shares: list[tuple[Sequence[int], Connection, BaseProcess]] = []
        if min(processes, len(items)) < 2:
            return
        context = get_context("fork")
        for first in range(min(processes, len(items))):
            places = range(first, len(items), processes)
            here, there = context.Pipe(duplex=False)
            with warnings.catch_warnings():
                # Python 3.12 warns of threads, BLAS's among them, which look after themselves.
                warnings.simplefilter("ignore", DeprecationWarning)
                mine = [items[place] for place in places]
                process = context.Process(target=_worked, args=(there, work, mine), daemon=True)
                process.start()
            there.close()
            self._shares.append((places, here, process))

    def results(self) -> list[O]:
        """Return what came of each item, in order. What a process failed at is done again here, and says why."""
        done: dict[int, O] = {}
        for places, source, process in self._shares:
            try:
                done |= zip(places, source.recv(), strict=True)
            except EOFError:
                continue
            finally:
                source.close()
                process.join()
        self._shares = []
        return [done[place] if place in done else self._work(item) for place, item in enumerate(self.items)]


def _worked(there: Connection, work: Callable[[I], O], items: Sequence[I]) -> None:
    """Send what comes of some items; run by a process of its own."""
    try:
        found = [work(item) for item in items]
    except Exception:
        there.close()
        return
    there.send(found)
    there.close()
