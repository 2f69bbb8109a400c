"""FigureSpec: a figure with its numbers and texts; file names from names in records."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.figure import Figure

from analysis.tables.columns import CHOSEN

LONGEST = 80  # characters of a name in a file name


@dataclass(frozen=True, kw_only=True)
class FigureSpec:
    """A figure to be drawn, with its numbers.

    Attributes:
        stem: file name without suffix, see `file_name`.
        task: the task that it shows; ``""`` for a whole suite.
        kind: type of figure in one or two words, for filters.
        caption: explanation of axes, marks and colours.
        numbers: the data drawn.
        render: function that draws the figure.
        alt: axes, models and main values in words, for readers who cannot see the figure.
    """

    stem: str
    task: str
    kind: str
    caption: str
    numbers: pd.DataFrame
    render: Callable[[], Figure]
    alt: str = ""

    @property
    def description(self) -> str:
        """Alternative text of the image: its kind and task, then `alt`, or the caption where `alt` is empty."""
        name = f"{self.kind} of {self.task}" if self.task else self.kind
        return f"{name[:1].upper()}{name[1:]}. {self.alt or self.caption}"


def file_name(name: str) -> str:
    """Return a name of a record as part of a file name; names with unsafe characters get a hash to keep them distinct.

    >>> file_name("water@bolivia")
    'water_bolivia'
    >>> file_name("../etc/passwd")
    'etc_passwd-7fef78f5'
    """
    plain = name.replace("@", "_")
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-")[:LONGEST]
    if safe == plain:
        return safe
    return f"{safe or 'name'}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def with_distinct_stems(pictures: Iterable[FigureSpec]) -> list[FigureSpec]:
    """Return the figures with safe and distinct stems: a repeated stem gets a number."""
    used: set[str] = set()
    distinct = []
    for picture in pictures:
        stem = file_name(picture.stem)
        number = 2
        while stem in used:
            stem, number = f"{file_name(picture.stem)}_{number}", number + 1
        used.add(stem)
        distinct.append(picture if stem == picture.stem else replace(picture, stem=stem))
    return distinct


def base(task: str) -> str:
    """Return a task's name without its split."""
    return task.partition("@")[0]


def headline_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one layer rule per protocol: the layer chosen on validation, or, for arms, their taps."""
    chosen = set(frame.loc[frame["layer"] == CHOSEN, "protocol"])
    return frame[(frame["layer"] == CHOSEN) | ~frame["protocol"].isin(chosen)]
