"""Label efficiency: the area under each model's label-efficiency curve, with its interval, from the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.statistics.aggregate import label_efficiency, label_efficiency_interval
from analysis.tables.breakdowns import RowDraws
from analysis.tables.columns import LABEL_AREAS, SETTING, MutableRow, as_rows, row_name
from bench.metrics import direction_sign


def label_areas(board: pd.DataFrame, row_draws: Mapping[tuple[object, ...], RowDraws]) -> pd.DataFrame:
    """Return the area under the label-efficiency curve, one row per task, setting and model; columns `LABEL_AREAS`.

    The area is the mean score over the logarithm of the label fraction
    (`analysis.statistics.aggregate.label_efficiency`), over the fractions (at least two) that all models of the same
    task and setting share, so that areas are comparable; few-shot subsets are excluded. The interval comes from
    resamples of the test set that all fractions share. Best first.

    Args:
        board: see `analysis.tables.build.Tables.leaderboard`.
        row_draws: bootstrap draws by row, see `analysis.tables.build.Tables`.
    """
    groups: dict[tuple[object, ...], dict[tuple[str, str], dict[float, MutableRow]]] = {}
    for row in as_rows(board[(board["fraction"] > 0) & board["score"].notna()]):
        models = groups.setdefault(tuple(row[name] for name in ("task", *SETTING)), {})
        models.setdefault((row["model"], row["variant"]), {})[row["fraction"]] = row
    rows: list[MutableRow] = []
    for name in sorted(groups):
        curves = [groups[name][model] for model in sorted(groups[name]) if len(groups[name][model]) > 1]
        shared = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
        if len(shared) < 2:
            continue
        areas = [_area([curve[fraction] for fraction in shared], row_draws) for curve in curves]
        sign = direction_sign(str(areas[0]["direction"]))
        rows += sorted(areas, key=lambda row: (-sign * row["area"], row["model"], row["variant"]))
    return pd.DataFrame(rows, columns=list(LABEL_AREAS))


def _area(rows: Sequence[Mapping[str, object]], row_draws: Mapping[tuple[object, ...], RowDraws]) -> MutableRow:
    """Return the area of one model, from its rows, one per fraction, fewest labels first."""
    fractions, scores = (np.array([row[name] for row in rows], dtype=np.float64) for name in ("fraction", "score"))
    draws = [row_draws[row_name(row)].scores for row in rows if row_name(row) in row_draws]
    low, high = np.nan, np.nan
    if len(draws) == len(rows) and len({len(each) for each in draws}) == 1:
        estimate = label_efficiency_interval(fractions, scores, np.stack(draws, axis=1).astype(np.float64))
        low, high = estimate.low, estimate.high
    return {name: rows[0][name] for name in LABEL_AREAS if name in rows[0] and name not in ("low", "high")} | {
        "fractions": " ".join(f"{fraction:g}" for fraction in fractions),
        "area": float(label_efficiency(fractions, scores)),
        "low": low,
        "high": high,
    }
