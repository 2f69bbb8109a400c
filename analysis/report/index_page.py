"""The index of all suites: one page with every row, every figure and every experiment card, that needs no network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.findings.final_layer import final_layer
from analysis.report.boards import boards
from analysis.report.contents import AcrossSuites, SuiteContents
from analysis.report.statistics_text import final_layer_sentence
from analysis.report.suite_page import embedded, rendered
from analysis.tables.build import Tables
from analysis.tables.columns import as_rows, label_amount
from analysis.tables.formatting import adaptation, count, digits, interval, layer_text, metric_label, number, origin
from bench.core import label_fraction_text

COLUMNS = (
    *("suite", "task", "model", "score", "interval", "metric", "way", "layer", "labels", "parameters"),
    *("origin", "standing", "subsets", "notes"),
)
"""Columns of the table of all rows; each cell is a text, or a pair of a text and what it sorts by."""


def index_page(
    every: Sequence[tuple[SuiteContents, Mapping[str, bytes]]], across: AcrossSuites, files: Mapping[str, bytes]
) -> bytes:
    """Return the page of all suites.

    Args:
        every: findings of each suite, and the files of its report.
        across: what they say together.
        files: the figures of that.
    """
    suites = []
    for found, own in every:
        made = found.tables
        suites.append(
            {
                **_summary(made),
                "summary": final_layer_sentence(final_layer(made.layers)),
                "sections": found.sections,
                "pictures": embedded(found.pictures, own, made.suite),
                "cards": made.cards,
            }
        )
    rows = [row for found, _ in every for row in _rows(found.tables)]
    pictures = [one for suite in suites for one in suite["pictures"]]
    shared = embedded(across.pictures, files, "all suites")
    return rendered(
        "index.html",
        suites=suites,
        data={"columns": COLUMNS, "rows": rows},
        options={
            "suite": list(dict.fromkeys(row[0] for row in rows)),
            "task": list(dict.fromkeys(row[1] for row in rows)),
            "way": sorted(dict.fromkeys(row[6] for row in rows)),
            "layer": sorted(dict.fromkeys(row[7][0].split(":")[0] for row in rows)),
            "labels": [text for text, _ in sorted({tuple(row[8]) for row in rows}, key=lambda pair: -pair[1])],
        },
        kinds=list(dict.fromkeys(one["kind"] for one in [*pictures, *shared])),
        shared={"sections": across.sections, "pictures": shared},
        total=len(rows),
    )


def _rows(made: Tables) -> list[list[Any]]:
    """Return the leaderboard of a suite as short rows for the page's own script; see `COLUMNS`."""
    found: list[list[Any]] = []
    for task, part in made.leaderboard.groupby("task", sort=False):
        decimals, metric = digits(part["score"]), metric_label(part)
        for row in as_rows(part):
            seen = " †" if row["trained_on_this"] == "yes" else ""
            variant = f" ({row['variant']})" if row["variant"] else ""
            mark = {"best": " ●", "tie": " ≈"}.get(row["standing"], "")
            chosen = f": {layer_text(row)}" if row["chosen_layer"] else ""
            found.append(
                [
                    *(made.suite, task, f"{row['model']}{seen}{variant}"),
                    [number(row["score"], decimals) + mark, _sortable(row["score"])],
                    [interval(row, decimals), _sortable(row["low"])],
                    *(metric, adaptation(row), [f"{row['layer']}{chosen}", row["layer"]]),
                    [label_fraction_text(row["fraction"]), label_amount(row["fraction"])],
                    [count(row["parameters"]), row["parameters"]],
                    *(origin(row), row["standing"], row["subsets"], row["notes"]),
                ]
            )
    return found


def _sortable(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.6g}")


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
