"""Independent pieces of work in parallel, one thread each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")
Result = TypeVar("Result")


def each(work: Callable[[Part], Result], parts: Iterable[Part], device: torch.device) -> list[Result]:
    """Return ``work(part)`` for every part, in order; on a CPU with as many parts at a time as torch has threads.

    The matrix products of a probe are too small to share out: threads inside them mostly wait for one another, which
    was measured to cost seven times the work itself on a machine that others use too. So each part has one thread to
    itself. Denormal numbers are flushed to zero there: probabilities near 0 are full of them, and they slow products.
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
        # A thread's setting is also what torch gives to threads yet to come.
        torch.set_num_threads(threads)


def stacked(work: Callable[[Part], Tensor], parts: Iterable[Part], device: torch.device) -> Tensor:
    """Return the results of `each`, stacked."""
    return torch.stack(each(work, parts, device))
