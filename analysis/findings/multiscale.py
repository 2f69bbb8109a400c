"""Does a decoder that reads several levels do better than one that reads a single one? Paired, on the same test set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings.agreement import CONTROLS
from analysis.statistics.intervals import percentile
from analysis.tables.breakdowns import RowDraws
from analysis.tables.columns import row_name
from bench.core import label_fraction_text

SINGLE = ("attentive", "fcn", "linear")
"""Decoders that read one layer: the files of ``bench/decoders`` with ``LEVELS = 1``."""


def multi_scale(board: pd.DataFrame, drawn: Mapping[tuple[Any, ...], RowDraws]) -> list[str]:
    """Return, for each task, model, tuning and label fraction, what several levels gain over one, in words.

    Of each side the arm that validation prefers is taken; the difference of their mean test scores over seeds has a
    95 % interval from the same resamples of the test set.

    Args:
        board: see `analysis.tables.build.Tables.leaderboard`.
        drawn: its draws by row.
    """
    found = []
    rows = board[(board["decoder"] != "") & ~board["origin"].isin(CONTROLS)]
    for (task, model, tuning, fraction), group in rows.groupby(["task", "model", "tuning", "fraction"], sort=True):
        sign = -1.0 if group["direction"].iloc[0] == "min" else 1.0
        single = group["decoder"].isin(SINGLE)
        if not single.any() or single.all():
            continue
        one, several = (_preferred(part, sign) for part in (group[single], group[~single]))
        labels = label_fraction_text(float(str(fraction)))
        gain = sign * (several["score"] - one["score"])
        bounds = _bounds(drawn.get(row_name(several)), drawn.get(row_name(one)), sign)
        verdict = (
            "" if not bounds else ", better" if bounds[0] > 0 else ", worse" if bounds[1] < 0 else ", not told apart"
        )
        span = f" [{bounds[0]:+.3f}, {bounds[1]:+.3f}]" if bounds else " (no interval)"
        found.append(
            f"{task}, {model}, {tuning}, {labels}: {several['decoder']} on {several['layer']} "
            f"less {one['decoder']} on {one['layer']}: {gain:+.3f}{span}{verdict}."
        )
    return found


def _preferred(rows: pd.DataFrame, sign: float) -> dict[str, Any]:
    """Return the row whose validation score is best."""
    place = int(np.nanargmax(sign * rows["val"].to_numpy(float))) if rows["val"].notna().any() else 0
    return {str(name): value for name, value in rows.iloc[place].items()}


def _bounds(several: RowDraws | None, one: RowDraws | None, sign: float) -> tuple[float, float] | None:
    if several is None or one is None or several.scores.shape != one.scores.shape:
        return None
    low, high = percentile(sign * (several.scores - one.scores))
    return float(low), float(high)
