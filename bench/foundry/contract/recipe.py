"""Recipe: the typed noun that each file of `bench.foundry` exports as ``RECIPE``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config import Settings


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to make entries: it trains or derives weights and writes them with a card.

    Attributes:
        version: raised when the same settings give other weights; recorded in the card.
        settings: its settings.
        run: ``(settings, data=, out=, device=, progress=) -> path`` of the weights it left; heavy imports stay inside.
            While it runs, the global generators of torch, NumPy and Python follow ``settings.seed`` (0 for settings
            without one), and are restored afterwards: what a recipe, or a library that it calls, draws without a
            generator depends on the settings alone.
        describe: ``(settings) -> text`` that ``--dry`` prints in place of a run; None where there is nothing to show.
    """

    version: int
    settings: type[Settings]
    run: Callable[..., Path]
    describe: Callable[..., str] | None = None

    def __post_init__(self) -> None:
        # Here, and not where recipes are called, so that neither a new recipe nor a new caller can leave it out.
        object.__setattr__(self, "run", _seeded(self.run))


def _seeded(run: Callable[..., Path]) -> Callable[..., Path]:
    """Return a recipe's function that runs with global generators seeded from its settings."""

    @functools.wraps(run)
    def seeded_run(settings: Settings, *, device: str = "cpu", **places: Any) -> Path:
        from bench.networks.randomness import seeded_draws

        with seeded_draws(getattr(settings, "seed", 0), device):
            return run(settings, device=device, **places)

    return seeded_run
