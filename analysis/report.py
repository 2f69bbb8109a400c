"""Which tables and figures a suite gets; written below the results folder from records alone, always the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.cells import RecordSource
from analysis.leaderboard import HEADLINE, label, labels_of, latex, most_labels
from analysis.markdown import markdown
from analysis.page import index_page, suite_page
from analysis.plots import Curve, Panel, profile_figure, saved
from analysis.table import Tables, tables
from bench.errors import MissingData
from bench.store import write_atomic

MOST_FRACTIONS = 3


@dataclass(frozen=True, kw_only=True)
class Report:
    """The files of one suite's report, in memory: name below the suite's folder -> content."""

    tables: Tables
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
    return put(build(store, suite), out)


def write_reports(store: RecordSource, out: Path) -> list[Path]:
    """Write the report of every suite there are records of, and ``out/index.html`` that links them.

    Raises:
        MissingData: there are no records at all.
    """
    suites = sorted({record.key.suite for record in store.records()})
    if not suites:
        raise MissingData(f"no records below {out}; run geobench-run suite=demo, or set results= to where they are")
    reports = [build(store, suite) for suite in suites]
    paths = [path for report in reports for path in put(report, out)]
    return [*paths, _put(out / "index.html", index_page([report.tables for report in reports]))]


def put(report: Report, out: Path) -> list[Path]:
    """Write a report below the results folder `out` and return its paths; files that hold its bytes are left alone."""
    return [_put(out / report.tables.suite / name, content) for name, content in report.files.items()]


def _put(path: Path, content: bytes) -> Path:
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path, content)
    return path


def build(store: RecordSource, suite: str) -> Report:
    """Return the report of a suite.

    Raises:
        MissingData: the suite has no records.
    """
    made = tables(store, suite)
    if made.leaderboard.empty and made.failures.empty:
        raise MissingData(f"no records of suite {suite}; make some with geobench-run suite={suite}, or set results=")
    files: dict[str, bytes] = {
        "leaderboard.csv": csv(made.leaderboard),
        "leaderboard.tex": latex(made).encode(),
        "layers.csv": csv(made.layers),
    }
    stems = {}
    for task, figure in figures(made).items():
        stems[task] = f"layer_profile_{task}"
        files[f"{stems[task]}.csv"] = csv(made.layers[made.layers["task"].map(_base) == task])
        files[f"{stems[task]}.pdf"] = saved(figure, "pdf")
        files[f"{stems[task]}.png"] = saved(figure, "png")
    files["leaderboard.md"] = markdown(made, {task: f"{stem}.png" for task, stem in stems.items()}).encode()
    files["leaderboard.html"] = suite_page(made, stems, files)
    return Report(tables=made, files=files)


def figures(made: Tables) -> dict[str, Figure]:
    """Return the layer-profile figure of each task with something to draw: a model of more than one layer."""
    deep = made.layers[made.layers["final_layer_regret"].notna()]
    found = {}
    for task in sorted({_base(name) for name in deep["task"]}):
        rows = made.layers[made.layers["task"].map(_base) == task]
        found[task] = profile_figure(
            panels(rows),
            title=f"{made.suite} · {task}",
            label=label(rows),
            direction=str(rows["direction"].iloc[0]),
            generated=made.generated,
        )
    return found


def csv(frame: pd.DataFrame) -> bytes:
    """Return a frame as CSV with six significant digits."""
    text: str = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text.encode()


def _base(task: str) -> str:
    return task.partition("@")[0]


def panels(rows: pd.DataFrame) -> list[Panel]:
    """Return the panels of one task's figure: splits x protocols x label fractions, the most labels first.

    Of more than `MOST_FRACTIONS` fractions the largest, the smallest and the one between are drawn; the CSV has all.
    """
    fractions = most_labels(rows)
    if len(fractions) > MOST_FRACTIONS:
        fractions = [fractions[0], fractions[len(fractions) // 2], fractions[-1]]
    found = []
    for task in sorted(rows["task"].unique()):
        for protocol in sorted(rows["protocol"].unique(), key=lambda name: (name != HEADLINE[0], name)):
            for fraction in fractions:
                chosen = (rows["task"] == task) & (rows["protocol"] == protocol) & (rows["fraction"] == fraction)
                if rows[chosen]["final_layer_regret"].notna().any():  # a panel of baselines alone has no depth
                    split = task.partition("@")[2]
                    labels = labels_of(fraction)
                    title = ", ".join(part for part in (split, protocol, labels) if part)
                    found.append(Panel(title=title, curves=_curves(rows[chosen])))
    return found


def _curves(rows: pd.DataFrame) -> list[Curve]:
    found = []
    for (model, variant), own in rows.groupby(["model", "variant"], sort=True):
        chosen = own["chosen"].to_numpy(bool)
        found.append(
            Curve(
                model=f"{model} ({variant})" if variant else str(model),
                origin=str(own["origin"].iloc[0]),
                parent=str(own["parent"].iloc[0]),
                depth=own["depth"].to_numpy(float),
                score=own["test"].to_numpy(float),
                low=own["low"].to_numpy(float),
                high=own["high"].to_numpy(float),
                chosen=int(np.argmax(chosen)) if chosen.any() else len(own) - 1,
                last=int(np.argmax(own["last"].to_numpy(bool))),
            )
        )
    return found
