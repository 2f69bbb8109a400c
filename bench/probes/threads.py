"""Parallel execution of independent parts, one thread per part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")
Result = TypeVar("Result")


def each(work: Callable[[Part], Result], parts: Iterable[Part], device: torch.device) -> list[Result]:
    """Return ``work(part)`` for every part, in order; a CPU computes as many parts at a time as torch has threads.

    The matrix products of a probe are too small for several threads, which mostly wait for one another: on a shared
    machine that was measured to take seven times as long. Each part therefore runs in a single thread. Denormal numbers
    are flushed to zero in it: probabilities near 0 often are denormal, and they slow matrix products down.
    """
    if device.type != "cpu":
        return [work(part) for part in parts]

    def alone(part: Part) -> Result:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        return work(part)

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(alone, parts))
    finally:
        # torch gives the last setting of any thread to all threads that start later.
        torch.set_num_threads(threads)


def stacked(work: Callable[[Part], Tensor], parts: Iterable[Part], device: torch.device) -> Tensor:
    """Return the results of `each`, stacked."""
    return torch.stack(each(work, parts, device))
