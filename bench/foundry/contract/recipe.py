"""Recipe: the typed noun that each file of `bench.foundry` exports as ``RECIPE``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.config import Settings


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to make entries: it trains or derives weights and writes them with a card.

    Attributes:
        version: raised when the same settings give other weights; recorded in the card.
        settings: its settings.
        run: ``(settings, data=, out=, device=, progress=) -> path`` of the weights it left; heavy imports stay inside.
    """

    version: int
    settings: type[Settings]
    run: Callable[..., Path]
