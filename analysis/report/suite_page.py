"""A suite's report as one HTML page that needs no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.figures.style import visible_range
from analysis.findings.final_layer import final_layer
from analysis.gallery.picture import FigureSpec, file_name
from analysis.report.boards import unequal_samples
from analysis.report.contents import SuiteContents
from analysis.report.statistics_text import final_layer_sentence
from analysis.tables.build import Tables
from analysis.tables.columns import (
    NOTE_BREAK,
    SETTING,
    MutableRow,
    Row,
    as_rows,
    first_row,
    label_amount,
    model_label,
)
from analysis.tables.formatting import (
    ARROWS,
    adaptation,
    count,
    interval,
    layer_text,
    metric_label,
    most_labels,
    number,
    origin,
    task_digits,
)
from bench.core import label_fraction_text
from bench.core.wording import printable
from bench.metrics import direction_sign

COLUMN = 1000  # pixels; a wider figure takes the whole width of a page


def rendered(template: str, **context: object) -> bytes:
    """Return a page made from a template of this folder; every text in it is escaped."""
    environment = Environment(
        loader=PackageLoader("analysis.report", "templates"),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(**context).strip() + "\n"
    return text.encode(errors="replace")


def embedded(pictures: Sequence[FigureSpec], files: Mapping[str, bytes], suite: str = "") -> list[MutableRow]:
    """Return the figures with their images, for a page that holds them.

    Args:
        pictures: the figures.
        files: a report's files by name, the ``.png`` of each figure among them.
        suite: named on pages that show several.
    """
    images = []
    for picture in pictures:
        png = files[f"{picture.stem}.png"]
        facts = {name: getattr(picture, name) for name in ("stem", "task", "kind", "caption", "description")}
        wide = int.from_bytes(png[16:20], "big") > COLUMN  # the width in the header of a PNG
        images.append({**facts, "suite": suite, "wide": wide, "png": base64.b64encode(png).decode()})
    return images


def setting_name(row: Row) -> str:
    """Return the name of the rows that a row is compared with: those of its task, setting and label fraction."""
    return " ".join(str(row[name]) for name in ("suite", "task", *SETTING, "fraction"))


def score_order(row: Row) -> tuple[object, ...]:
    """Return the sort key of a task's rows on a page: most labels first, then the best score first."""
    missing = bool(np.isnan(row["score"]))
    score = 0.0 if missing else direction_sign(row["direction"]) * row["score"]
    return (-label_amount(row["fraction"]), missing, -score, row["model"], row["variant"], setting_name(row))


def suite_page(contents: SuiteContents, files: Mapping[str, bytes]) -> bytes:
    """Return the page of a suite: every leaderboard row, sortable and with filters, and the figures, in one file.

    At first it shows all settings at the most labels, best score first, so that no filter hides the best model.

    Args:
        contents: of the suite's report.
        files: the report's other files by name, the ``.png`` of each figure among them.
    """
    tables = contents.tables
    frame = tables.leaderboard
    fractions = most_labels(frame)
    settings = dict.fromkeys(adaptation(row) for row in as_rows(frame[list(SETTING)].drop_duplicates()))
    return rendered(
        "leaderboard.html",
        tables=tables,
        tasks=_tasks(contents, files),
        options={
            "protocol": list(settings),
            "layer": list(dict.fromkeys(frame["layer"])),
            "fraction": [f"{value:g}" for value in fractions],
        },
        labels={f"{value:g}": label_fraction_text(value) for value in fractions},
        start=f"{fractions[0]:g}" if fractions else "",
        summary=final_layer_sentence(final_layer(tables.layers)),
        sections=contents.sections,
        pictures=embedded(contents.of(""), files),
        models=[row | {"from": origin(row), "size": count(row["parameters"])} for row in as_rows(tables.models)],
        failures=[row | {"labels": label_fraction_text(row["fraction"])} for row in as_rows(tables.failures)],
        downloads=[name for name in files if name.endswith((".csv", ".tex", ".pdf"))] + ["leaderboard.md"],
    )


def _tasks(contents: SuiteContents, files: Mapping[str, bytes]) -> list[MutableRow]:
    tables = contents.tables
    decimals = task_digits(tables.leaderboard)
    tasks = []
    for task in sorted(tables.leaderboard["task"].unique()):
        rows = tables.leaderboard[tables.leaderboard["task"] == task]
        first, notes = first_row(rows), _notes(rows)
        samples = f"{rows['n_test'].max()} test samples in {rows['blocks'].max()} blocks"
        tasks.append(
            {
                "name": task,
                "anchor": f"task-{file_name(task)}",
                "metric": f"{metric_label(first)} {ARROWS[first['direction']]}",
                "facts": " · ".join(filter(None, (first["kind"], samples, unequal_samples(rows)))),
                "notes": notes,
                "rows": _rows(rows, notes, decimals[task]),
                "pictures": embedded(contents.of(task), files),
            }
        )
    return tasks


def _notes(rows: pd.DataFrame) -> list[str]:
    """Return the distinct notes of rows."""
    return list(dict.fromkeys(note for text in rows["notes"] if text for note in str(text).split(NOTE_BREAK)))


def _rows(rows: pd.DataFrame, notes: Sequence[str], decimals: int) -> list[MutableRow]:
    """Return leaderboard rows as printed, with the places of score and interval on a shared scale of 0..150."""
    low, high = visible_range(*rows[["score", "low", "high"]].to_numpy(float).T)
    compared = rows.groupby([*SETTING, "fraction"])["score"].transform("size").to_numpy() > 1

    def place(value: float) -> float:
        return round(4 + 142 * min(1.0, max(0.0, float((value - low) / (high - low)))), 1)

    printed_rows = []
    for row, rivals in zip(as_rows(rows), compared, strict=True):
        printed = {
            "name": model_label(row | {"variant": ""}),
            "adaptation": adaptation(row),
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
            "note_numbers": [notes.index(note) + 1 for note in str(row["notes"]).split(NOTE_BREAK) if note],
            "standing": row["standing"] if rivals else "",
            "compared_with": setting_name(row),
        }
        printed_rows.append(row | printed)
    return sorted(printed_rows, key=score_order)


def records_of(tables: Tables) -> int:
    """Return the number of records that the leaderboard averages."""
    return len({name for text in tables.leaderboard["record"] for name in text.split()})
