"""A suite's report as one HTML page that needs no network, and the index of all suites."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from analysis.leaderboard import (
    ARROWS,
    HEADLINE,
    boards,
    count,
    digits,
    interval,
    label,
    layer_text,
    most_labels,
    number,
    origin,
)
from analysis.markdown import depth_summary
from analysis.table import Tables, as_rows
from bench.core import labels_in_words


def _page(kind: str, **context: Any) -> bytes:
    """Return the HTML of a suite's page or of the index, one template for both."""
    environment = Environment(
        loader=PackageLoader("analysis", "."), autoescape=select_autoescape(["html"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return (environment.get_template("leaderboard.html").render(kind=kind, **context).rstrip() + "\n").encode()


def suite_page(made: Tables, pictures: Mapping[str, str], files: Mapping[str, bytes]) -> bytes:
    """Return the page of a suite: every leaderboard row, sortable and filtered, and the figures, in one file.

    Args:
        made: see `Tables`.
        pictures: task -> name of its figure without suffix.
        files: the report's other files by name, the ``.png`` of each figure among them.
    """
    frame = made.leaderboard
    tasks = []
    for task in sorted(frame["task"].unique()):
        rows = frame[frame["task"] == task]
        picture = pictures.get(task, "")
        tasks.append(
            {
                "name": task,
                "metric": f"{label(rows)} {ARROWS[str(rows['direction'].iloc[0])]}",
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
    fractions = [f"{value:g}" for value in most_labels(frame)]
    context = {
        "title": made.suite,
        "tables": made,
        "tasks": tasks,
        "options": options | {"fraction": fractions},
        "words": {f"{value:g}": labels_in_words(value) for value in most_labels(frame)},
        "start": _start(options, fractions),
        "summary": depth_summary(made.layers),
        "models": [row | {"from": origin(row), "size": count(row["parameters"])} for row in as_rows(made.models)],
        "failures": [row | {"labels": labels_in_words(row["fraction"])} for row in as_rows(made.failures)],
        "downloads": [name for name in files if name.endswith((".csv", ".tex", ".pdf"))] + ["leaderboard.md"],
    }
    return _page("suite", **context)


def index_page(every: Sequence[Tables]) -> bytes:
    """Return the page that links the suites and names the best model of each task."""
    return _page("index", suites=[_summary(made) for made in every])


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
            "labels": labels_in_words(row["fraction"]),
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


def _summary(made: Tables) -> dict[str, Any]:
    """Return what the index says of a suite: its best model a task."""
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
