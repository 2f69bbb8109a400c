"""How far labels go: the area under each model's label-efficiency curve, with its interval, from the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.statistics.aggregate import label_efficiency, label_efficiency_interval
from analysis.tables.breakdowns import RowDraws
from analysis.tables.columns import as_rows, row_name

WAY = ("protocol", "decoder", "tuning", "layer")
AREAS = (
    "task",
    *WAY,
    "model",
    "variant",
    "origin",
    "fractions",
    "area",
    "low",
    "high",
    "metric_label",
    "unit",
    "direction",
)
"""Columns of `label_areas`."""


def label_areas(board: pd.DataFrame, drawn: Mapping[tuple[Any, ...], RowDraws]) -> pd.DataFrame:
    """Return one row a (task, way of reading, model): the area under its label-efficiency curve; see `AREAS`.

    The area is the mean score over the logarithm of the label fraction
    (`analysis.statistics.aggregate.label_efficiency`), over the fractions, two at least, that all models of the same
    task and way share, so that areas compare; few-shot subsets are left out. The interval comes from resamples of the
    test set that all fractions share. Best first.

    Args:
        board: see `analysis.tables.build.Tables.leaderboard`.
        drawn: its draws by row.
    """
    groups: dict[tuple[Any, ...], dict[tuple[str, str], dict[float, dict[str, Any]]]] = {}
    for row in as_rows(board[(board["fraction"] > 0) & board["score"].notna()]):
        models = groups.setdefault(tuple(row[name] for name in ("task", *WAY)), {})
        models.setdefault((row["model"], row["variant"]), {})[row["fraction"]] = row
    found: list[dict[str, Any]] = []
    for name in sorted(groups):
        curves = [groups[name][model] for model in sorted(groups[name]) if len(groups[name][model]) > 1]
        shared = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
        if len(shared) < 2:
            continue
        areas = [_area([curve[fraction] for fraction in shared], drawn) for curve in curves]
        sign = -1.0 if areas[0]["direction"] == "min" else 1.0
        found += sorted(areas, key=lambda row: (-sign * row["area"], row["model"], row["variant"]))
    return pd.DataFrame(found, columns=list(AREAS))


def _area(rows: Sequence[Mapping[str, Any]], drawn: Mapping[tuple[Any, ...], RowDraws]) -> dict[str, Any]:
    """Return the area of one model, whose rows are at one fraction each, fewest labels first."""
    at, scores = (np.array([row[name] for row in rows], dtype=np.float64) for name in ("fraction", "score"))
    draws = [drawn[row_name(row)].scores for row in rows if row_name(row) in drawn]
    low, high = np.nan, np.nan
    if len(draws) == len(rows) and len({len(one) for one in draws}) == 1:
        estimate = label_efficiency_interval(at, scores, np.stack(draws, axis=1).astype(np.float64))
        low, high = estimate.low, estimate.high
    return {name: rows[0][name] for name in AREAS if name in rows[0] and name not in ("low", "high")} | {
        "fractions": " ".join(f"{one:g}" for one in at),
        "area": float(label_efficiency(at, scores)),
        "low": low,
        "high": high,
    }
