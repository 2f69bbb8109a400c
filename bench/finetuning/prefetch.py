"""Prefetch: read the next training batch in a thread while this one trains."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """A function of the step whose next value is computed in a thread while the current one is used.

    Args:
        function: step -> value, the same at every call.
    """

    def __init__(self, function: Callable[[int], T]) -> None:
        self._function = function
        self._pool = ThreadPoolExecutor(1)
        self._waiting: dict[int, Future[T]] = {}

    def __call__(self, step: int) -> T:
        """Return the value at a step."""
        future = self._waiting.pop(step, None) or self._pool.submit(self._function, step)
        self._waiting = {step + 1: self._pool.submit(self._function, step + 1)}
        return future.result()
