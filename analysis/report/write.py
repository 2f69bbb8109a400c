"""Writing of reports: a suite's files from its records only, and the index of all suites.

The same records give the same bytes on one machine: bootstrap seeds come from the records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from analysis.figures.style import saved, style
from analysis.findings.agreement import compare_settings
from analysis.findings.compression import compression_studies
from analysis.findings.designs import designs
from analysis.findings.drift import drift_answers, drift_frame
from analysis.findings.label_efficiency import label_areas
from analysis.findings.multiscale import multi_scale
from analysis.findings.overall import overall
from analysis.gallery.picture import FigureSpec
from analysis.gallery.suite_gallery import pictures, profiles
from analysis.processes import ForkedWork, spare_processes
from analysis.report.boards import latex
from analysis.report.compression_text import compression_sections
from analysis.report.contents import SuiteContents, across_suites
from analysis.report.escaping import csv
from analysis.report.index_page import index_page
from analysis.report.markdown import markdown
from analysis.report.statistics_text import Section, statistics
from analysis.report.suite_page import suite_page
from analysis.tables.build import Tables, tables
from analysis.tables.formatting import task_digits
from analysis.tables.source import RecordSource
from bench.core.errors import BadSetting, MissingData
from bench.core.file_names import file_name_fault
from bench.store import write_atomic


@dataclass(frozen=True, kw_only=True)
class Report:
    """The files of one suite's report, in memory: name below the suite's folder -> content."""

    tables: Tables
    contents: SuiteContents
    files: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class PendingReport:
    """A suite's report whose figures are being drawn."""

    tables: Tables
    sections: Sequence[Section]
    files: Mapping[str, bytes]
    drawing: ForkedWork[FigureSpec, dict[str, bytes]]

    def finish(self) -> Report:
        """Return the complete report, once its figures are drawn."""
        files = dict(self.files)
        for drawn in self.drawing.results():
            files |= drawn
        contents = SuiteContents(tables=self.tables, sections=self.sections, pictures=self.drawing.items)
        files["leaderboard.md"] = markdown(contents).encode(errors="replace")
        files["leaderboard.html"] = suite_page(contents, files)
        return Report(tables=self.tables, contents=contents, files=files)


def begin(store: RecordSource, suite: str, *, processes: int = 0) -> PendingReport:
    """Return the report of a suite without its figures, which are being drawn.

    Args:
        store: where the records are.
        suite: its name.
        processes: further processes that draw, see `analysis.processes.spare_processes`.

    Raises:
        MissingData: the suite has no records that can be read.
    """
    suite_tables = tables(store, suite, processes=processes)
    agreed = compare_settings(suite_tables.leaderboard, suite_tables.row_draws)
    fine_tuned = designs(suite_tables.arms, suite_tables.arm_draws)
    compressed = compression_studies(store, suite_tables.records)
    drawn = pictures(suite_tables, store, agreed, fine_tuned, compressed)
    if suite_tables.leaderboard.empty and suite_tables.failures.empty and not drawn:
        unreadable = f" ({len(suite_tables.left_out)} cannot be read)" if suite_tables.left_out else ""
        raise MissingData(
            f"no records of suite {suite}{unreadable}; make some with geobench-run suite={suite}, or set results="
        )
    drawing = ForkedWork(picture_files, drawn, processes)
    files = {
        "leaderboard.csv": csv(suite_tables.leaderboard),
        "leaderboard.tex": latex(suite_tables).encode(errors="replace"),
        "layers.csv": csv(suite_tables.layers),
    }
    areas = label_areas(suite_tables.leaderboard, suite_tables.row_draws)
    if len(areas):
        files["label_efficiency.csv"] = csv(areas)
    if (whole := overall([suite_tables])) is not None:
        files["overall.csv"] = csv(whole.table)
    drifts = drift_answers(drift_frame(store, suite_tables.records.values()))
    scales = multi_scale(suite_tables.leaderboard, suite_tables.row_draws)
    decimals = task_digits(suite_tables.leaderboard)
    sections = statistics(agreed, fine_tuned, drifts, scales, areas, whole, decimals=decimals)
    sections += compression_sections(compressed)
    return PendingReport(tables=suite_tables, sections=sections, files=files, drawing=drawing)


def build(store: RecordSource, suite: str) -> Report:
    """Return the report of a suite.

    Raises:
        MissingData: the suite has no records that can be read.
    """
    return begin(store, suite).finish()


def write_report(store: RecordSource, out: Path, suite: str) -> list[Path]:
    """Write a suite's leaderboard, layer table and figures, and return their paths.

    Args:
        store: where the records are.
        out: the results folder; files go to ``out/<suite>/``.
        suite: its name.

    Raises:
        MissingData: the suite has no records that can be read.
    """
    return put(begin(store, suite, processes=spare_processes()).finish(), out)


def write_reports(store: RecordSource, out: Path) -> list[Path]:
    """Write the report of every suite with records, and ``out/index.html`` that links them.

    Raises:
        MissingData: there are no records at all.
    """
    suites = known_suites(store, out)
    processes = spare_processes()
    pending = [begin(store, suite, processes=processes) for suite in suites]
    reports = [each.finish() for each in pending]
    paths = [path for report in reports for path in put(report, out)]
    return [*paths, *write_index(reports, out)]


def known_suites(store: RecordSource, out: Path) -> list[str]:
    """Return the names of the suites with records.

    Raises:
        MissingData: there are none.
    """
    if not (suites := store.suites()):
        raise MissingData(f"no records below {out}; run geobench-run suite=demo, or set results= to another folder")
    return suites


def write_index(reports: Sequence[Report], out: Path) -> list[Path]:
    """Write the files about all suites: the index, the agreement of settings across suites, models over all tasks."""
    files: dict[str, bytes] = {}
    across = across_suites([report.tables for report in reports])
    for picture in across.pictures:
        files |= picture_files(picture)
    if across.whole is not None:
        files["overall.csv"] = csv(across.whole.table)
    page = index_page([(report.contents, report.files) for report in reports], across, files)
    return put_files({**files, "index.html": page}, out)


def put(report: Report, out: Path) -> list[Path]:
    """Write a report below the results folder `out` and return its paths; unchanged files are not written again.

    Raises:
        BadSetting: the name of the suite cannot be that of a folder.
    """
    suite = report.tables.suite
    if fault := file_name_fault(suite):
        raise BadSetting(f"the report of suite {suite!r} cannot be written: its name {fault}")
    return put_files(report.files, out / suite)


def put_files(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files into a folder and return their paths; unchanged files are not written again.

    Args:
        files: name -> content; names come from `analysis.gallery.picture.file_name` or are fixed.
        folder: nothing is written outside of it.

    Raises:
        BadSetting: a name cannot be that of a file in the folder.
    """
    for name in files:
        if fault := file_name_fault(name):
            raise BadSetting(f"{name!r} cannot be written into {folder}: it {fault}")
    return [_put(folder / name, content) for name, content in files.items()]


def _put(path: Path, content: bytes) -> Path:
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path, content)
    return path


def figures(suite_tables: Tables) -> dict[str, Figure]:
    """Return the layer-profile figure of each task with a model of more than one layer."""
    return {picture.task: picture.render() for picture in profiles(suite_tables)}


def picture_files(picture: FigureSpec) -> dict[str, bytes]:
    """Return a figure as vector PDF and PNG, and its numbers as CSV."""
    with style():
        figure = picture.render()
        return {
            f"{picture.stem}.csv": csv(picture.numbers),
            f"{picture.stem}.png": saved(figure, "png"),
            f"{picture.stem}.pdf": saved(figure, "pdf"),
        }
