"""A suite's report as one HTML page that needs no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from analysis.figures.style import in_sight
from analysis.findings.final_layer import final_layer
from analysis.gallery.picture import FigureSpec
from analysis.report.contents import SuiteContents
from analysis.report.statistics_text import final_layer_sentence
from analysis.tables.columns import NOTE_BREAK, as_rows
from analysis.tables.formatting import (
    ARROWS,
    HEADLINE,
    adaptation,
    count,
    digits,
    interval,
    layer_text,
    metric_label,
    most_labels,
    number,
    origin,
)
from bench.core import label_fraction_text


def rendered(template: str, **context: Any) -> bytes:
    """Return a page made from a template of this folder."""
    environment = Environment(
        loader=PackageLoader("analysis.report", "templates"),
        autoescape=select_autoescape(["html"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return (environment.get_template(template).render(**context).strip() + "\n").encode()


def embedded(pictures: Sequence[FigureSpec], files: Mapping[str, bytes], suite: str = "") -> list[dict[str, Any]]:
    """Return what a page needs to show figures inside itself.

    Args:
        pictures: which.
        files: a report's files by name, the ``.png`` of each among them.
        suite: named on pages that show several.
    """
    found = []
    for one in pictures:
        png = files[f"{one.stem}.png"]
        facts = {name: getattr(one, name) for name in ("stem", "task", "kind", "caption")}
        # Width in pixels, from the header: figures of two columns take the whole width of a page.
        wide = int.from_bytes(png[16:20], "big") > 1000
        found.append({**facts, "suite": suite, "wide": wide, "png": base64.b64encode(png).decode()})
    return found


def suite_page(found: SuiteContents, files: Mapping[str, bytes]) -> bytes:
    """Return the page of a suite: every leaderboard row, sortable and filtered, and the figures, in one file.

    Args:
        found: see `analysis.report.contents.SuiteContents`.
        files: the report's other files by name, the ``.png`` of each figure among them.
    """
    made = found.tables
    frame = made.leaderboard
    tasks = []
    for task in sorted(frame["task"].unique()):
        rows = frame[frame["task"] == task]
        tasks.append(
            {
                "name": task,
                "metric": f"{metric_label(rows)} {ARROWS[str(rows['direction'].iloc[0])]}",
                "about": " · ".join(
                    [str(rows["kind"].iloc[0]), f"{rows['n_test'].max()} test samples in {rows['blocks'].max()} blocks"]
                ),
                "notes": (notes := _notes(rows)),
                "rows": _html_rows(rows, notes),
                "pictures": embedded(found.of(task), files),
            }
        )
    ways = dict.fromkeys(adaptation(row) for row in as_rows(frame[["protocol", "decoder", "tuning"]].drop_duplicates()))
    options = {"protocol": list(ways), "layer": list(dict.fromkeys(frame["layer"]))}
    fractions = [f"{value:g}" for value in most_labels(frame)]
    return rendered(
        "leaderboard.html",
        title=made.suite,
        tables=made,
        tasks=tasks,
        options=options | {"fraction": fractions},
        words={f"{value:g}": label_fraction_text(value) for value in most_labels(frame)},
        start=_start(options, fractions),
        summary=final_layer_sentence(final_layer(made.layers)),
        sections=found.sections,
        pictures=embedded(found.of(""), files),
        models=[row | {"from": origin(row), "size": count(row["parameters"])} for row in as_rows(made.models)],
        failures=[row | {"labels": label_fraction_text(row["fraction"])} for row in as_rows(made.failures)],
        downloads=[name for name in files if name.endswith((".csv", ".tex", ".pdf"))] + ["leaderboard.md"],
    )


def _start(options: Mapping[str, Sequence[str]], fractions: Sequence[str]) -> dict[str, str]:
    """Return what a page shows at first: the headline setting at the largest fraction."""
    wanted = dict(zip(("protocol", "layer"), HEADLINE, strict=True))
    start = {name: value if value in options[name] else "" for name, value in wanted.items()}
    return start | {"fraction": fractions[0] if fractions else ""}


def _notes(rows: pd.DataFrame) -> list[str]:
    """Return what is noted of any row, each once."""
    return list(dict.fromkeys(note for text in rows["notes"] if text for note in str(text).split(NOTE_BREAK)))


def _html_rows(rows: pd.DataFrame, notes: Sequence[str]) -> list[dict[str, Any]]:
    """Return leaderboard rows with their printed forms, and where dot and interval lie on a shared scale of 0..150."""
    decimals = digits(rows["score"])
    low, high = in_sight(*rows[["score", "low", "high"]].to_numpy(float).T)

    def place(value: float) -> float:
        return round(4 + 142 * min(1.0, max(0.0, float((value - low) / (high - low)))), 1)

    found = []
    for row in as_rows(rows):
        shown = {
            "way": adaptation(row),
            "from": origin(row),
            "size": count(row["parameters"]),
            "labels": label_fraction_text(row["fraction"]),
            "at_layer": layer_text(row),
            "share": f"{row['fraction']:g}",
            "printed": number(row["score"], decimals),
            "bounds": interval(row, decimals),
            "spread_printed": "" if np.isnan(row["spread"]) else f"± {number(row['spread'], decimals)}",
            "at": None if np.isnan(row["score"]) else place(row["score"]),
            "band": None if np.isnan(row["low"]) else (place(row["low"]), place(row["high"])),
            "records": str(row["record"]).split(),
            "noted": [notes.index(note) + 1 for note in str(row["notes"]).split(NOTE_BREAK) if note],
        }
        found.append(row | shown)
    return found
