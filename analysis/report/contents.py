"""Contents of the report of one suite, and of the report over all suites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.findings.agreement import Agreements, compare_settings
from analysis.findings.overall import Overall, overall
from analysis.gallery.picture import FigureSpec
from analysis.gallery.suite_gallery import settings_pictures
from analysis.report.statistics_text import Section, statistics
from analysis.tables.breakdowns import RowDraws
from analysis.tables.build import Tables


@dataclass(frozen=True, kw_only=True)
class SuiteContents:
    """The content of a suite's report.

    Attributes:
        tables: see `analysis.tables.build.Tables`.
        sections: its statistics in words.
        pictures: its figures.
    """

    tables: Tables
    sections: Sequence[Section] = ()
    pictures: Sequence[FigureSpec] = ()

    def of(self, task: str) -> list[FigureSpec]:
        """Return the figures of a task; of the whole suite for ``""``."""
        return [picture for picture in self.pictures if picture.task == task]


@dataclass(frozen=True, kw_only=True)
class AcrossSuites:
    """Results over all suites: how far their settings agree, and models over all their tasks."""

    agreed: Agreements | None = None
    whole: Overall | None = None
    sections: Sequence[Section] = ()
    pictures: Sequence[FigureSpec] = ()


def across_suites(every: Sequence[Tables]) -> AcrossSuites:
    """Return how far settings of several suites agree on the models they share; empty for a single suite."""
    if len(every) < 2:
        return AcrossSuites()
    board = pd.concat([tables.leaderboard for tables in every], ignore_index=True)
    board["suite"] = board["suite"].astype(str)
    draws: dict[tuple[object, ...], RowDraws] = {}
    for tables in every:
        draws |= {(tables.suite, *name): value for name, value in tables.row_draws.items()}
    agreed = compare_settings(board, draws)
    if agreed is not None and len({name.split()[0] for name in agreed.settings}) < 2:
        agreed = None
    whole = overall(every)
    generated = any(tables.generated for tables in every)
    pictures = settings_pictures(agreed, "all suites", generated=generated) if agreed else ()
    return AcrossSuites(agreed=agreed, whole=whole, sections=statistics(agreed, whole=whole), pictures=pictures)
