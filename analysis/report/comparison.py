"""Files that compare our scores with published numbers, with protocol differences stated and copied numbers marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.findings.published import COPIED, MARK, RERUN, compare, read_published
from analysis.report.escaping import csv, markdown_table, markdown_text
from analysis.report.suite_page import rendered
from analysis.report.write import put_files
from analysis.tables.build import tables
from analysis.tables.columns import Row, as_rows, model_label
from analysis.tables.formatting import digits, number
from analysis.tables.source import RecordSource
from bench.core import label_fraction_text
from bench.metrics import METRICS

NAME = "published_comparison"
PAIRS = ("suite", "task", "model", "metric", "ours", f"published {MARK}", "ours - published", "protocol", "labels")
ALONE = ("suite", "task", f"model {MARK}", "metric", f"published {MARK}", "protocol", "labels")
LAST = ("differences in protocol", "source")
KEY = (
    f"Numbers marked {MARK} are copied from publications, not run here. A difference is ours minus published, in the "
    "metric's unit. Consider the differences in protocol before interpreting it. Brackets: our 95 % bootstrap interval "
    "over test blocks, and the published interval or ± spread, if there is one. ✓: the published number lies in our "
    "interval. Of several runs of ours, those with the same protocol and the most labels are shown; the CSV has all."
)


def write_comparison(store: RecordSource, out: Path, suites: Sequence[str]) -> list[Path]:
    """Write our scores with the numbers of ``out/published/published.csv`` as CSV, Markdown and HTML; return the paths.

    Args:
        store: where our records are.
        out: the results folder.
        suites: suites with records; numbers for other suites are listed as published only.

    Raises:
        MissingData: the file does not exist.
    """
    published = read_published(out / "published" / "published.csv")
    board = pd.concat([tables(store, suite).leaderboard for suite in suites], ignore_index=True)
    comparison = compare(board, published)
    pairs, alone = shown(comparison)
    files = {
        f"{NAME}.csv": csv(comparison),
        f"{NAME}.md": comparison_markdown(pairs, alone).encode(errors="replace"),
        f"{NAME}.html": rendered(
            "comparison.html",
            key=KEY,
            parts=[
                {"heading": "Run here and published", "head": (*PAIRS, *LAST), "rows": pairs},
                {"heading": f"Published, not run here {MARK}", "head": (*ALONE, *LAST), "rows": alone},
            ],
        ),
    }
    return put_files(files, out)


def shown(comparison: pd.DataFrame) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rows that pages show, as text: the closest pairs, and published numbers without a run of ours.

    Args:
        comparison: from `analysis.findings.published.compare`. Of the pairs of a published number those with our most
            labels are shown, and only those of its own protocol if there are any.
    """
    ours = comparison[comparison["status"] == RERUN]
    theirs = ["suite", "task", "model", "metric", "setting", "source", "where"]
    ours = ours[ours["fraction"] == ours.groupby(theirs)["fraction"].transform("max")]
    alike = ~ours["differences"].str.contains("protocol: ours", regex=False)
    groups = [ours[name] for name in theirs]
    ours = ours[alike | ~alike.groupby(groups).transform("any")]
    pairs = [_pair(row) for row in as_rows(ours)]
    return pairs, [_alone(row) for row in as_rows(comparison[comparison["status"] == COPIED])]


def _pair(row: Row) -> list[str]:
    decimals = digits(row["metric"], [row["ours"], row["published"]])
    bounds = f" [{number(row['low'], decimals)}, {number(row['high'], decimals)}]" if np.isfinite(row["low"]) else ""
    inside = " ✓" if row["within"] is True or row["within"] == 1 else ""
    sign = "+" if row["difference"] > 0 else ""
    return [
        *(row["suite"], row["task"], model_label(row), METRICS[row["metric"]].label),
        f"{number(row['ours'], decimals)}{bounds}",
        _published(row, decimals),
        f"{sign}{number(row['difference'], decimals)}{inside}",
        *(f"{row['protocol']}, {row['layer']}", label_fraction_text(row["fraction"])),
        *_last(row),
    ]


def _alone(row: Row) -> list[str]:
    labels = label_fraction_text(row["fraction"]) if np.isfinite(row["fraction"]) else ""
    decimals = digits(row["metric"], [row["published"]])
    return [
        *(row["suite"], row["task"], f"{row['model']} {MARK}", METRICS[row["metric"]].label),
        *(_published(row, decimals), row["protocol"] or "not stated", labels),
        *_last(row),
    ]


def _published(row: Row, decimals: int) -> str:
    text = f"{number(row['published'], decimals)} {MARK}"
    if np.isfinite(row["published_low"]):
        bounds = [number(row[name], decimals) for name in ("published_low", "published_high")]
        return f"{text} [{', '.join(bounds)}]"
    if np.isfinite(row["published_spread"]):
        return f"{text} ± {number(row['published_spread'], decimals)}"
    return text


def _last(row: Row) -> list[str]:
    setting = f"published setting: {row['setting']}" if row["setting"] else ""
    differences = "; ".join(part for part in (row["differences"], setting) if part)
    return [differences, ", ".join(part for part in (row["source"], row["where"]) if part)]


def comparison_markdown(pairs: Sequence[Sequence[str]], alone: Sequence[Sequence[str]]) -> str:
    """Return the comparison as Markdown; see `shown`."""
    lines = ["# Our scores and published numbers", "", KEY, ""]
    if pairs:
        lines += ["## Run here and published", "", *_table((*PAIRS, *LAST), pairs)]
    else:
        lines += ["No published number is for a suite, task and model that was run here.", ""]
    if alone:
        lines += [f"## Published, not run here {MARK}", "", *_table((*ALONE, *LAST), alone)]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return markdown_table(head, [[markdown_text(cell) for cell in row] for row in rows], len(head))
