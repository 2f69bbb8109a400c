"""Ours beside what others published, as files: every pair with what sets the two apart, every copied number marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings.published import COPIED, MARK, RERUN, compare, read_published
from analysis.report.markdown import table_lines
from analysis.report.suite_page import rendered
from analysis.report.write import csv, put_files
from analysis.tables.build import tables
from analysis.tables.columns import as_rows, model_label
from analysis.tables.formatting import number
from analysis.tables.source import RecordSource
from bench.core import label_fraction_text
from bench.metrics import METRICS

NAME = "published_comparison"
PAIRS = ("suite", "task", "model", "metric", "ours", f"published {MARK}", "ours - published", "protocol", "labels")
ALONE = ("suite", "task", f"model {MARK}", "metric", f"published {MARK}", "protocol", "labels")
LAST = ("differences of protocol", "source")
KEY = (
    f"Numbers marked {MARK} are copied from where they were published, not run here. A difference is ours minus theirs "
    "in the metric's unit, and first a question about the protocol: what is known to differ stands beside it. Brackets "
    "hold our 95 % bootstrap interval over test blocks, and theirs, or ± their spread, where they give one; ✓ says "
    "that their number lies in our interval. Of several runs of ours those of the same protocol and at the most labels "
    "are shown; the CSV has all."
)


def write_comparison(store: RecordSource, out: Path, suites: Sequence[str]) -> list[Path]:
    """Write ours beside the numbers of ``out/published/published.csv`` as CSV, Markdown and HTML; return the paths.

    Args:
        store: where our records are.
        out: the results folder.
        suites: with records; those of other suites are listed as published alone.

    Raises:
        MissingData: there is no such file.
    """
    published = read_published(out / "published" / "published.csv")
    board = pd.concat([tables(store, suite).leaderboard for suite in suites], ignore_index=True)
    found = compare(board, published)
    pairs, alone = shown(found)
    files = {
        f"{NAME}.csv": csv(found),
        f"{NAME}.md": comparison_markdown(pairs, alone).encode(),
        f"{NAME}.html": rendered(
            "comparison.html",
            key=KEY,
            parts=[
                {"heading": "run here and published", "head": (*PAIRS, *LAST), "rows": pairs},
                {"heading": f"published, not run here {MARK}", "head": (*ALONE, *LAST), "rows": alone},
            ],
        ),
    }
    return put_files(files, out)


def shown(found: pd.DataFrame) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rows that pages show, as text: pairs with most in common, and numbers without ours.

    Args:
        found: from `analysis.findings.published.compare`. Of the pairs of a published number those at our most labels
            are shown, and those of its own protocol where there are any; the CSV has all.
    """
    ours = found[found["status"] == RERUN]
    theirs = ["suite", "task", "model", "metric", "setting", "source", "where"]
    ours = ours[ours["fraction"] == ours.groupby(theirs)["fraction"].transform("max")]
    alike = ~ours["differences"].str.contains("protocol: ours", regex=False)
    groups = [ours[name] for name in theirs]
    ours = ours[alike | ~alike.groupby(groups).transform("any")]
    pairs = [_pair(row) for row in as_rows(ours)]
    return pairs, [_alone(row) for row in as_rows(found[found["status"] == COPIED])]


def _digits(metric: str) -> int:
    return 3 if METRICS[metric].high <= 1 else 2


def _pair(row: Mapping[str, Any]) -> list[str]:
    decimals = _digits(row["metric"])
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


def _alone(row: Mapping[str, Any]) -> list[str]:
    labels = label_fraction_text(row["fraction"]) if np.isfinite(row["fraction"]) else ""
    decimals = _digits(row["metric"])
    return [
        *(row["suite"], row["task"], f"{row['model']} {MARK}", METRICS[row["metric"]].label),
        *(_published(row, decimals), row["protocol"] or "not stated", labels),
        *_last(row),
    ]


def _published(row: Mapping[str, Any], decimals: int) -> str:
    text = f"{number(row['published'], decimals)} {MARK}"
    if np.isfinite(row["published_low"]):
        bounds = [number(row[name], decimals) for name in ("published_low", "published_high")]
        return f"{text} [{', '.join(bounds)}]"
    if np.isfinite(row["published_spread"]):
        return f"{text} ± {number(row['published_spread'], decimals)}"
    return text


def _last(row: Mapping[str, Any]) -> list[str]:
    setting = f"theirs: {row['setting']}" if row["setting"] else ""
    differences = "; ".join(part for part in (row["differences"], setting) if part)
    return [differences, ", ".join(part for part in (row["source"], row["where"]) if part)]


def comparison_markdown(pairs: Sequence[Sequence[str]], alone: Sequence[Sequence[str]]) -> str:
    """Return the comparison as Markdown; see `shown`."""
    lines = ["# Ours beside published numbers", "", KEY, ""]
    if pairs:
        lines += ["## Run here and published", "", *table_lines((*PAIRS, *LAST), pairs, len(PAIRS) + len(LAST))]
    else:
        lines += ["None of the published numbers is of a suite, task and model run here.", ""]
    if alone:
        lines += [f"## Published, not run here {MARK}", "", *table_lines((*ALONE, *LAST), alone, len(ALONE) + 2)]
    return "\n".join(lines)
