"""How far labels go: the area under each model's label-efficiency curve, with its interval, from the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.aggregate import label_efficiency, label_efficiency_interval
from analysis.behind import Drawn, row_name
from analysis.table import as_rows

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


def label_areas(board: pd.DataFrame, drawn: Mapping[tuple[Any, ...], Drawn]) -> pd.DataFrame:
    """Return one row a (task, way of reading, model): the area under its label-efficiency curve; see `AREAS`.

    The area is the mean score over the logarithm of the label fraction (`analysis.aggregate.label_efficiency`), over
    the fractions, two at least, that all models of the same task and way share, so that areas compare; few-shot
    subsets are left out. The interval comes from resamples of the test set that all fractions share. Best first.

    Args:
        board: see `analysis.table.Tables.leaderboard`.
        drawn: its draws by row.
    """
    rows: list[dict[str, Any]] = []
    whole = board[(board["fraction"] > 0) & board["score"].notna()]
    for _, group in whole.groupby(["task", *WAY], sort=True):
        models = {name: part for name, part in group.groupby(["model", "variant"], sort=True) if len(part) > 1}
        shared = sorted(set.intersection(*(set(part["fraction"]) for part in models.values()))) if models else []
        if len(shared) < 2:
            continue
        sign = -1.0 if group["direction"].iloc[0] == "min" else 1.0
        found = [_area(part.set_index("fraction").loc[shared].reset_index(), drawn) for part in models.values()]
        rows += sorted(found, key=lambda row: (-sign * row["area"], row["model"], row["variant"]))
    return pd.DataFrame(rows, columns=list(AREAS))


def _area(rows: pd.DataFrame, drawn: Mapping[tuple[Any, ...], Drawn]) -> dict[str, Any]:
    """Return the area of one model, whose rows are at one fraction each, fewest labels first."""
    at, scores = rows["fraction"].to_numpy(float), rows["score"].to_numpy(float)
    draws = [drawn[row_name(row)].scores for row in as_rows(rows) if row_name(row) in drawn]
    low, high = np.nan, np.nan
    if len(draws) == len(rows) and len({len(one) for one in draws}) == 1:
        estimate = label_efficiency_interval(at, scores, np.stack(draws, axis=1).astype(np.float64))
        low, high = estimate.low, estimate.high
    first = as_rows(rows.iloc[:1])[0]
    return {name: first[name] for name in AREAS if name in first and name not in ("low", "high")} | {
        "fractions": " ".join(f"{one:g}" for one in at),
        "area": float(label_efficiency(at, scores)),
        "low": low,
        "high": high,
    }
