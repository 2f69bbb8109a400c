"""Settings of the distillation recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from bench.config import Settings


class DistillSettings(Settings):
    """Who learns from whom, and how.

    Attributes:
        teacher: the entry that is learned from.
        student: ``first:N``, the first N blocks of the teacher; ``every:K``, its blocks K, 2 K, ...; or an entry. Each
            may end in ``.random``: the same network from random init.
        name: of the new entry; ``<teacher>.<student>.<method>`` if not given.
        method: ``init`` leaves the student as it starts, a control.
        seed: of everything random.
        weights: folder looked in first for weights.
        entries: folders with further entries.
    """

    teacher: str
    student: str
    name: str = ""
    method: Literal["init"] = "init"
    seed: int = Field(0, ge=0)
    weights: Path | None = None
    entries: tuple[Path, ...] = ()
