"""Forked work: results of a function for many items, computed in further processes if that is safe."""

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

MOST = 8  # processes: each takes a few hundred megabytes
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


def spare_processes() -> int:
    """Return the number of further processes to use; 0 unless forking is safe (Linux, one thread, no torch).

    A forked process has one thread only and waits for ever for a lock that another thread of its parent held, such as
    one of torch or of a progress bar.
    """
    if sys.platform != "linux" or "torch" in sys.modules or threading.active_count() > 1:
        return 0
    cores = min(len(os.sched_getaffinity(0)), MOST)
    return cores if cores > 1 else 0


class ForkedWork(Generic[I, O]):
    """Results of a function for many items, being computed by forked processes.

    Args:
        work: a function without side effects, called for each item.
        items: computed at once if there are processes for them, else when the results are requested.
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
            receiver, sender = context.Pipe(duplex=False)
            with warnings.catch_warnings():
                # Python 3.12 warns of all threads, also of those of BLAS, which are safe to fork.
                warnings.simplefilter("ignore", DeprecationWarning)
                share = [items[place] for place in places]
                process = context.Process(target=_send_results, args=(sender, work, share), daemon=True)
                process.start()
            sender.close()
            self._shares.append((places, receiver, process))

    def results(self) -> list[O]:
        """Return the result of each item, in order; items whose process failed are computed here, with their error."""
        done: dict[int, O] = {}
        for places, receiver, process in self._shares:
            try:
                done |= zip(places, receiver.recv(), strict=True)
            except EOFError:
                continue
            finally:
                receiver.close()
                process.join()
        self._shares = []
        return [done[place] if place in done else self._work(item) for place, item in enumerate(self.items)]


def _send_results(sender: Connection, work: Callable[[I], O], items: Sequence[I]) -> None:
    """Send the results of some items, or nothing if one fails; run in a process of its own."""
    try:
        results = [work(item) for item in items]
    except Exception:
        sender.close()
        return
    sender.send(results)
    sender.close()
