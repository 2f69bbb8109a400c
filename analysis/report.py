"""Which tables and figures a suite gets; written below the results folder from records alone, always the same bytes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from analysis.cells import RecordSource
from analysis.leaderboard import (
    ARROWS,
    HEADLINE,
    boards,
    count,
    digits,
    interval,
    latex,
    layer_text,
    number,
    origin,
    percent,
)
from analysis.markdown import depth_summary, markdown
from analysis.plots import Curve, Panel, profile_figure, saved
from analysis.table import Tables, as_rows, tables
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

    Files that hold the same bytes already are left alone.

    Args:
        store: where the records are.
        out: the results folder; files go to ``out/<suite>/``.
        suite: its name.

    Raises:
        MissingData: the suite has no records.
    """
    report = build(store, suite)
    return [_put(out / suite / name, content) for name, content in report.files.items()]


def write_reports(store: RecordSource, out: Path) -> list[Path]:
    """Write the report of every suite there are records of, and ``out/index.html`` that links them."""
    suites = sorted({record.key.suite for record in store.records()})
    if not suites:
        raise MissingData(f"no records below {out}; run geobench-run suite=demo, or set results= to where they are")
    reports = [build(store, suite) for suite in suites]
    paths = [
        _put(out / report.tables.suite / name, content) for report in reports for name, content in report.files.items()
    ]
    page = _page("index", suites=[_summary(report) for report in reports])
    return [*paths, _put(out / "index.html", page)]


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
    pictures = {}
    for task in _tasks(made.layers):
        stem = f"layer_profile_{task}"
        rows = made.layers[made.layers["task"].map(_base) == task]
        figure = profile_figure(
            panels(rows),
            title=f"{suite} · {task}",
            label=_label(rows),
            direction=str(rows["direction"].iloc[0]),
            generated=made.generated,
        )
        pictures[task] = stem
        files[f"{stem}.csv"] = csv(rows)
        files[f"{stem}.pdf"] = saved(figure, "pdf")
        files[f"{stem}.png"] = saved(figure, "png")
    files["leaderboard.md"] = markdown(made, {task: f"{stem}.png" for task, stem in pictures.items()}).encode()
    files["leaderboard.html"] = _page("suite", **_suite_page(made, pictures, files))
    return Report(tables=made, files=files)


def csv(frame: pd.DataFrame) -> bytes:
    """Return a frame as CSV with six significant digits."""
    text: str = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text.encode()


def _base(task: str) -> str:
    return task.partition("@")[0]


def _tasks(layers: pd.DataFrame) -> list[str]:
    """Return the tasks with something to draw: a model of more than one layer."""
    deep = layers[layers["final_layer_regret"].notna()]
    return sorted({_base(task) for task in deep["task"]})


def _label(rows: pd.DataFrame) -> str:
    unit = str(rows["unit"].iloc[0])
    return str(rows["metric_label"].iloc[0]) + (f" ({unit})" if unit else "")


def panels(rows: pd.DataFrame) -> list[Panel]:
    """Return the panels of one task's figure: splits x protocols x label fractions, the most labels first.

    Of more than `MOST_FRACTIONS` fractions the largest, the smallest and the one between are drawn; the CSV has all.
    """
    fractions = sorted(rows["fraction"].unique(), reverse=True)
    if len(fractions) > MOST_FRACTIONS:
        fractions = [fractions[0], fractions[len(fractions) // 2], fractions[-1]]
    found = []
    for task in sorted(rows["task"].unique()):
        for protocol in sorted(rows["protocol"].unique(), key=lambda name: (name != HEADLINE[0], name)):
            for fraction in fractions:
                chosen = (rows["task"] == task) & (rows["protocol"] == protocol) & (rows["fraction"] == fraction)
                if chosen.any():
                    split = task.partition("@")[2]
                    labels = "all labels" if fraction == 1 else f"{percent(fraction)} of labels"
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


def _page(kind: str, **context: Any) -> bytes:
    """Return the HTML of a suite's page or of the index, one template for both."""
    environment = Environment(
        loader=PackageLoader("analysis", "."), autoescape=select_autoescape(["html"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return (environment.get_template("leaderboard.html").render(kind=kind, **context).rstrip() + "\n").encode()


def _suite_page(made: Tables, pictures: Mapping[str, str], files: Mapping[str, bytes]) -> dict[str, Any]:
    frame = made.leaderboard
    tasks = []
    for task in sorted(frame["task"].unique()):
        rows = frame[frame["task"] == task]
        picture = pictures.get(task, "")
        tasks.append(
            {
                "name": task,
                "metric": f"{_label(rows)} {ARROWS[str(rows['direction'].iloc[0])]}",
                "about": " · ".join(
                    [str(rows["kind"].iloc[0]), f"{rows['n_test'].max()} test samples in {rows['blocks'].max()} blocks"]
                ),
                "noted": bool((rows["notes"] != "").any()),
                "rows": _html_rows(rows),
                "picture": picture,
                "png": base64.b64encode(files[f"{picture}.png"]).decode() if picture else "",
            }
        )
    options = {name: list(dict.fromkeys(frame[name])) for name in ("protocol", "layer")}
    fractions = [f"{value:g}" for value in sorted(frame["fraction"].unique(), reverse=True)]
    return {
        "title": made.suite,
        "tables": made,
        "tasks": tasks,
        "options": options | {"fraction": fractions},
        "start": _start(options, fractions),
        "summary": depth_summary(made.layers),
        "models": [row | {"from": origin(row), "size": count(row["parameters"])} for row in as_rows(made.models)],
        "failures": [row | {"labels": percent(row["fraction"])} for row in as_rows(made.failures)],
        "downloads": [name for name in files if name.endswith((".csv", ".tex", ".pdf"))] + ["leaderboard.md"],
    }


def _start(options: Mapping[str, Sequence[str]], fractions: Sequence[str]) -> dict[str, str]:
    """Return what a page shows at first: the headline setting at the largest fraction."""
    wanted = dict(zip(("protocol", "layer"), HEADLINE, strict=True))
    start = {name: value if value in options[name] else "" for name, value in wanted.items()}
    return start | {"fraction": fractions[0] if fractions else ""}


def _html_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return leaderboard rows with their printed forms, and where dot and interval lie on a shared scale of 0..150."""
    decimals = digits(rows["score"])
    ends = rows[["score", "low", "high"]].to_numpy(float)
    low, high = (np.nanmin(ends), np.nanmax(ends)) if np.isfinite(ends).any() else (0.0, 1.0)

    def place(value: float) -> float:
        return round(4 + 142 * float((value - low) / (high - low)), 1) if high > low else 75.0

    found = []
    for row in as_rows(rows):
        shown = {
            "from": origin(row),
            "size": count(row["parameters"]),
            "labels": percent(row["fraction"]),
            "at_layer": layer_text(row),
            "share": f"{row['fraction']:g}",
            "printed": number(row["score"], decimals),
            "bounds": interval(row, decimals),
            "spread_printed": "" if np.isnan(row["spread"]) else f"± {number(row['spread'], decimals)}",
            "at": None if np.isnan(row["score"]) else place(row["score"]),
            "band": None if np.isnan(row["low"]) else (place(row["low"]), place(row["high"])),
            "records": str(row["record"]).split(),
        }
        found.append(row | shown)
    return found


def _summary(report: Report) -> dict[str, Any]:
    """Return what the index says of a suite: its best model a task."""
    made = report.tables
    best: list[dict[str, str]] = []
    for board in boards(made.leaderboard):
        top = board.lines[0].entries.get(board.settings[0])
        if top and board.task not in [row["task"] for row in best]:
            score = f"{number(top['score'], board.digits)} {interval(top, board.digits)}"
            setting = ", ".join([*board.settings[0], board.labels])
            best.append({"task": board.task, "metric": board.metric, "model": top["model"]})
            ties = sum(line.entries.get(board.settings[0], {}).get("standing") == "tie" for line in board.lines)
            best[-1] |= {"score": score, "at": setting, "ties": f"≈ {ties} more" if ties else ""}
    return {
        "name": made.suite,
        "title": made.title,
        "generated": made.generated,
        "models": _count(made.leaderboard["model"]),
        "runs": _count(name for text in made.leaderboard["record"] for name in text.split()),
        "failed": len(made.failures),
        "best": best,
    }


def _count(values: Iterable[str]) -> int:
    return len(set(values))
