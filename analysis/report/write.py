"""Which tables and figures a suite gets; written below the results folder from records alone, always the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import saved, style
from analysis.findings.agreement import compare_settings
from analysis.findings.designs import designs
from analysis.findings.drift import drift_answers, drift_frame
from analysis.findings.label_efficiency import label_areas
from analysis.findings.multiscale import multi_scale
from analysis.findings.overall import overall
from analysis.gallery.picture import FigureSpec
from analysis.gallery.suite_gallery import pictures, profiles
from analysis.processes import ForkedWork, spare_processes
from analysis.report.boards import latex
from analysis.report.contents import SuiteContents, across_suites
from analysis.report.index_page import index_page
from analysis.report.markdown import markdown
from analysis.report.statistics_text import Section, statistics
from analysis.report.suite_page import suite_page
from analysis.tables.build import Tables, tables
from analysis.tables.source import RecordSource
from bench.core.errors import MissingData
from bench.store import write_atomic


@dataclass(frozen=True, kw_only=True)
class Report:
    """The files of one suite's report, in memory: name below the suite's folder -> content."""

    tables: Tables
    contents: SuiteContents
    files: Mapping[str, bytes]


def write_report(store: RecordSource, out: Path, suite: str) -> list[Path]:
    """Write a suite's leaderboard, layer table and figures, and return their paths.

    Args:
        store: where the records are.
        out: the results folder; files go to ``out/<suite>/``.
        suite: its name.

    Raises:
        MissingData: the suite has no records.
    """
    return put(begin(store, suite, processes=spare_processes()).finish(), out)


def write_reports(store: RecordSource, out: Path) -> list[Path]:
    """Write the report of every suite there are records of, and ``out/index.html`` that links them.

    Raises:
        MissingData: there are no records at all.
    """
    suites = known_suites(store, out)
    processes = spare_processes()
    begun = [begin(store, suite, processes=processes) for suite in suites]
    reports = [one.finish() for one in begun]
    paths = [path for report in reports for path in put(report, out)]
    return [*paths, *write_index(reports, out)]


def known_suites(store: RecordSource, out: Path) -> list[str]:
    """Return the suites there are records of.

    Raises:
        MissingData: there are none.
    """
    if not (suites := store.suites()):
        raise MissingData(f"no records below {out}; run geobench-run suite=demo, or set results= to where they are")
    return suites


def write_index(reports: Sequence[Report], out: Path) -> list[Path]:
    """Write what is said of all suites together: the index, and how settings of different suites agree."""
    files: dict[str, bytes] = {}
    every = across_suites([report.tables for report in reports])
    for picture in every.pictures:
        files |= picture_files(picture)
    if every.whole is not None:
        files["overall.csv"] = csv(every.whole.table)
    page = index_page([(report.contents, report.files) for report in reports], every, files)
    return put_files({**files, "index.html": page}, out)


def put(report: Report, out: Path) -> list[Path]:
    """Write a report below the results folder `out` and return its paths; files that hold its bytes are left alone."""
    return put_files(report.files, out / report.tables.suite)


def put_files(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files into a folder and return their paths; those that hold the same bytes already are left alone."""
    return [_put(folder / name, content) for name, content in files.items()]


def _put(path: Path, content: bytes) -> Path:
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path, content)
    return path


@dataclass(frozen=True, kw_only=True)
class PendingReport:
    """A suite's report whose figures are being drawn."""

    tables: Tables
    sections: Sequence[Section]
    files: Mapping[str, bytes]
    drawing: ForkedWork[FigureSpec, dict[str, bytes]]

    def finish(self) -> Report:
        """Return the whole report: the pages hold the figures."""
        files = dict(self.files)
        for drawn in self.drawing.results():
            files |= drawn
        found = SuiteContents(tables=self.tables, sections=self.sections, pictures=self.drawing.items)
        files["leaderboard.md"] = markdown(found).encode()
        files["leaderboard.html"] = suite_page(found, files)
        return Report(tables=self.tables, contents=found, files=files)


def begin(store: RecordSource, suite: str, *, processes: int = 0) -> PendingReport:
    """Return the report of a suite with all but its figures, which are under way.

    Args:
        store: where the records are.
        suite: its name.
        processes: that draw beside this one, see `analysis.processes.spare_processes`.

    Raises:
        MissingData: the suite has no records.
    """
    made = tables(store, suite, processes=processes)
    agreed = compare_settings(made.leaderboard, made.row_draws)
    taken_apart = designs(made.arms, made.arm_draws)
    drawn = pictures(made, store, agreed, taken_apart)
    if made.leaderboard.empty and made.failures.empty and not drawn:
        raise MissingData(f"no records of suite {suite}; make some with geobench-run suite={suite}, or set results=")
    drawing = ForkedWork(picture_files, drawn, processes)
    files: dict[str, bytes] = {
        "leaderboard.csv": csv(made.leaderboard),
        "leaderboard.tex": latex(made).encode(),
        "layers.csv": csv(made.layers),
    }
    areas = label_areas(made.leaderboard, made.row_draws)
    if len(areas):
        files["label_efficiency.csv"] = csv(areas)
    if (whole := overall([made])) is not None:
        files["overall.csv"] = csv(whole.table)
    drifts = drift_answers(drift_frame(store, made.records.values()))
    scales = multi_scale(made.leaderboard, made.row_draws)
    sections = statistics(agreed, taken_apart, drifts, scales, areas, whole)
    return PendingReport(tables=made, sections=sections, files=files, drawing=drawing)


def build(store: RecordSource, suite: str) -> Report:
    """Return the report of a suite.

    Raises:
        MissingData: the suite has no records.
    """
    return begin(store, suite).finish()


def figures(made: Tables) -> dict[str, Figure]:
    """Return the layer-profile figure of each task with something to draw: a model of more than one layer."""
    return {picture.task: picture.render() for picture in profiles(made)}


def picture_files(picture: FigureSpec) -> dict[str, bytes]:
    """Return a figure as vector PDF and PNG, and its numbers as CSV."""
    with style():
        figure = picture.render()
        return {
            f"{picture.stem}.csv": csv(picture.numbers),
            f"{picture.stem}.png": saved(figure, "png"),
            f"{picture.stem}.pdf": saved(figure, "pdf"),
        }


def csv(frame: pd.DataFrame) -> bytes:
    """Return a frame as CSV with six significant digits."""
    text: str = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text.encode()
