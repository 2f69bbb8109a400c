"""A figure with its numbers, and the rows that figures are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from analysis.tables.columns import CHOSEN


@dataclass(frozen=True, kw_only=True)
class FigureSpec:
    """A figure with its numbers.

    Attributes:
        stem: file name without suffix.
        task: it is of, ``""`` for a whole suite.
        kind: what it shows, in a word or two, for filters.
        caption: what is to be seen.
        numbers: what is drawn.
        render: makes the figure.
    """

    stem: str
    task: str
    kind: str
    caption: str
    numbers: pd.DataFrame
    render: Callable[[], Figure]


def file_name(task: str) -> str:
    """Return a task's name as part of a file name."""
    return task.replace("@", "_")


def base(task: str) -> str:
    """Return a task's name without its split."""
    return task.partition("@")[0]


def headline_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one layer rule a protocol: the layer chosen on validation, or for arms each of their taps."""
    chosen = set(frame.loc[frame["layer"] == CHOSEN, "protocol"])
    return frame[(frame["layer"] == CHOSEN) | ~frame["protocol"].isin(chosen)]
