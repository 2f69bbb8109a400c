"""Index page of all suites, with every row, figure and experiment card; it loads nothing from the network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.findings.final_layer import final_layer
from analysis.report.boards import Board, BoardRow, Setting, boards
from analysis.report.contents import AcrossSuites, SuiteContents
from analysis.report.statistics_text import final_layer_sentence
from analysis.report.suite_page import embedded, records_of, rendered, score_order, setting_name
from analysis.tables.build import Tables
from analysis.tables.columns import SETTING, MutableRow, as_rows, first_row, label_amount, model_label
from analysis.tables.formatting import (
    adaptation,
    count,
    interval,
    layer_text,
    metric_label,
    number,
    origin,
    task_digits,
)
from bench.core import label_fraction_text
from bench.metrics import direction_sign

COLUMNS = (
    *("suite", "task", "model", "score", "interval", "metric", "protocol", "layer", "labels", "parameters"),
    *("origin", "standing", "compared_with", "subsets", "notes"),
)
"""Columns of the table of all rows; a cell is a text, or a pair of a text and the value it is sorted by.

``standing`` and ``compared_with`` are not shown: they give the marks of best and tied scores.
"""


def index_page(
    every: Sequence[tuple[SuiteContents, Mapping[str, bytes]]], across: AcrossSuites, files: Mapping[str, bytes]
) -> bytes:
    """Return the page of all suites.

    Args:
        every: contents of each suite's report, and its files.
        across: results over all suites.
        files: the figures of `across`.
    """
    suites = []
    for contents, of_suite in every:
        tables = contents.tables
        suites.append(
            {
                **_summary(tables),
                "summary": final_layer_sentence(final_layer(tables.layers)),
                "sections": contents.sections,
                "pictures": embedded(contents.pictures, of_suite, tables.suite),
                "cards": tables.cards,
            }
        )
    rows = [row for contents, _ in every for row in _rows(contents.tables)]
    pictures = [picture for suite in suites for picture in suite["pictures"]]
    shared = embedded(across.pictures, files, "all suites")
    place = {name: index for index, name in enumerate(COLUMNS)}
    return rendered(
        "index.html",
        suites=suites,
        data={"columns": COLUMNS, "rows": rows},
        options={
            "suite": list(dict.fromkeys(row[place["suite"]] for row in rows)),
            "task": list(dict.fromkeys(row[place["task"]] for row in rows)),
            "protocol": sorted({row[place["protocol"]] for row in rows}),
            "layer": sorted({row[place["layer"]][1] for row in rows}),
            "labels": [text for text, _ in sorted({tuple(row[place["labels"]]) for row in rows}, key=lambda p: -p[1])],
        },
        kinds=list(dict.fromkeys(picture["kind"] for picture in [*pictures, *shared])),
        shared={"sections": across.sections, "pictures": shared},
        total=len(rows),
    )


def _rows(tables: Tables) -> list[list[Any]]:
    """Return the leaderboard of a suite as short rows for the page's script; see `COLUMNS`."""
    rows: list[list[object]] = []
    decimals = task_digits(tables.leaderboard)
    for task, part in tables.leaderboard.groupby("task", sort=False):
        metric, digits = metric_label(first_row(part)), decimals[str(task)]
        compared = part.groupby([*SETTING, "fraction"])["score"].transform("size").to_numpy() > 1
        rivals = dict(zip(map(setting_name, as_rows(part)), compared, strict=True))
        for row in sorted(as_rows(part), key=score_order):
            seen = " †" if row["trained_on_this"] == "yes" else ""
            chosen = f": {layer_text(row)}" if row["chosen_layer"] else ""
            rows.append(
                [
                    *(tables.suite, task, model_label(row) + seen),
                    [number(row["score"], digits), _sortable(row["score"])],
                    [interval(row, digits), _sortable(row["low"])],
                    *(metric, adaptation(row), [f"{row['layer']}{chosen}", row["layer"]]),
                    [label_fraction_text(row["fraction"]), label_amount(row["fraction"])],
                    [count(row["parameters"]), row["parameters"]],
                    *(origin(row), row["standing"] if rivals[setting_name(row)] else "", setting_name(row)),
                    *(row["subsets"], row["notes"]),
                ]
            )
    return rows


def _sortable(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _summary(tables: Tables) -> MutableRow:
    """Return the facts of a suite for the index: sizes, and the best models of each task."""
    by_task: dict[str, list[Board]] = {}
    for board in boards(tables.leaderboard):
        by_task.setdefault(board.task, []).append(board)
    return {
        "name": tables.suite,
        "title": tables.title,
        "generated": tables.generated,
        "models": len(set(tables.leaderboard["model"])),
        "runs": records_of(tables),
        "failed": len(tables.failures),
        "left_out": len(tables.left_out),
        "best": [_best(of_task) for of_task in by_task.values()],
    }


def _best(of_task: Sequence[Board]) -> dict[str, object]:
    """Return the best score of a task by probes of frozen features and by trained decoders, over all their settings."""
    first = of_task[0]
    probe = _best_of(of_task, decoders=False)
    tuned = _best_of(of_task, decoders=True)
    return {"task": first.task, "metric": first.metric, "probe": probe, "tuned": tuned}


def _best_of(of_task: Sequence[Board], *, decoders: bool) -> dict[str, str] | None:
    """Return the best score at the largest label fraction that has one, None without scores."""
    for board in of_task:
        scores = [
            (direction_sign(entry["direction"]) * entry["score"], row, setting)
            for row in board.rows
            for setting, entry in row.entries.items()
            if bool(entry["decoder"]) == decoders and not math.isnan(entry["score"])
        ]
        if scores:
            _, row, setting = max(scores, key=lambda score: score[0])
            return _best_text(board, row, setting)
    return None


def _best_text(board: Board, row: BoardRow, setting: Setting) -> dict[str, str]:
    entry = row.entries[setting]
    ties = sum(other.entries.get(setting, {}).get("standing") == "tie" for other in board.rows)
    tied = f"≈ {ties} other{'s' if ties > 1 else ''}" if entry["standing"] == "best" and ties else ""
    return {
        "model": row.marked_name,
        "score": number(entry["score"], board.digits),
        "interval": interval(entry, board.digits),
        "setting": ", ".join([*setting, board.labels]),
        "ties": tied,
    }
