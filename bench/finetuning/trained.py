"""Trained: a training that has ended, or the part of one that has been done."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

History = list[tuple[int, float, float]]
"""(step, mean training loss since the last evaluation, validation score) of each evaluation."""


@dataclass
class Trained:
    """A training that has ended, or the part of one that has been done.

    Attributes:
        score: best validation score, higher is better.
        step: the step after which it was reached.
        history: see `History`.
        state: trained parameters and buffers at the best step, on the CPU.
        micro: samples per forward pass at the end.
        seconds: spent on steps, evaluations left out.
        notes: remarks for the reader of the record.
    """

    score: float = -math.inf
    step: int = 0
    history: History = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    micro: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
