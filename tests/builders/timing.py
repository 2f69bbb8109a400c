"""Timings that are compared within one run: every side in turns, so that all meet the same load of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each run in each round, after one round that warms up and is thrown away."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                spent[name].append(time.perf_counter() - start)
    return spent
