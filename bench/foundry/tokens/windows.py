"""Windows over a sequence of tokens, with a halo on both sides, so that a pass window by window equals one over all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.errors import BadSetting


@dataclass(frozen=True, kw_only=True)
class Window:
    """A range of tokens that is read, and the range within it whose results are kept.

    Attributes:
        first, last: tokens read.
        start, end: tokens kept; ``first <= start < end <= last``.
    """

    first: int
    last: int
    start: int
    end: int


def windows(tokens: int, core: int = 512, halo: int = 64) -> Iterator[Window]:
    """Yield windows that keep every token once; at the ends of the sequence the halo is cut.

    Args:
        tokens: length of the sequence, at least 0.
        core: tokens kept per window.
        halo: tokens read on either side of them.

    Raises:
        BadSetting: `core` is below 1, or `halo` below 0.
    """
    if core < 1 or halo < 0:
        raise BadSetting(f"core={core} halo={halo}: a window keeps at least one token and its halo is not negative")
    for start in range(0, tokens, core):
        end = min(start + core, tokens)
        yield Window(first=max(0, start - halo), last=min(tokens, end + halo), start=start, end=end)


def windowed(
    function: Callable[[Tensor, Window], Tensor], tokens: Tensor, *, core: int = 512, halo: int = 64
) -> Tensor:
    """Return a function of a sequence, computed window by window.

    Equal to ``function`` on the whole sequence where a result depends on tokens at most `halo` away.

    Args:
        function: (tokens of a window (n, ...), the window) -> (n, ...).
        tokens: (tokens, ...).
        core: see `windows`.
        halo: see `windows`.
    """
    parts = []
    for window in windows(len(tokens), core, halo):
        result = function(tokens[window.first : window.last], window)
        parts.append(result[window.start - window.first : window.end - window.first])
    return torch.cat(parts) if parts else tokens
