"""Gain of decoders that read several layers over decoders that read one: paired differences on the same test set."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.statistics.intervals import percentile
from analysis.tables.breakdowns import RowDraws
from analysis.tables.columns import CONTROLS, MULTI_SCALE, MutableRow, row_name
from bench.metrics import direction_sign

SINGLE = ("attentive", "fcn", "linear")
"""Decoders that read one layer: the files of ``bench/decoders`` with ``layers_read=1``."""


def multi_scale(board: pd.DataFrame, row_draws: Mapping[tuple[object, ...], RowDraws]) -> pd.DataFrame:
    """Return the gain from several layers, one row per task, model, tuning and label fraction; columns `MULTI_SCALE`.

    On each side the arm with the best validation score is taken. ``gain`` is the difference of their mean test scores
    over seeds, positive if several layers are better; ``low`` and ``high`` are its 95 % interval from shared resamples
    of the test set, NaN without draws.

    Args:
        board: see `analysis.tables.build.Tables.leaderboard`.
        row_draws: bootstrap draws by row, see `analysis.tables.build.Tables`.
    """
    gains = []
    rows = board[(board["decoder"] != "") & ~board["origin"].isin(CONTROLS)]
    for (task, model, tuning, fraction), group in rows.groupby(["task", "model", "tuning", "fraction"], sort=True):
        sign = direction_sign(str(group["direction"].iloc[0]))
        reads_one = group["decoder"].isin(SINGLE)
        if not reads_one.any() or reads_one.all():
            continue
        single, several = (_preferred(part, sign) for part in (group[reads_one], group[~reads_one]))
        low, high = _bounds(row_draws.get(row_name(several)), row_draws.get(row_name(single)), sign)
        gains.append(
            {
                **{"task": task, "model": model, "tuning": tuning, "fraction": float(str(fraction))},
                **{"several": several["decoder"], "several_layer": several["layer"]},
                **{"single": single["decoder"], "single_layer": single["layer"]},
                **{"gain": sign * (several["score"] - single["score"]), "low": low, "high": high},
            }
        )
    return pd.DataFrame(gains, columns=list(MULTI_SCALE))


def _preferred(rows: pd.DataFrame, sign: float) -> MutableRow:
    """Return the row with the best validation score."""
    place = int(np.nanargmax(sign * rows["val"].to_numpy(float))) if rows["val"].notna().any() else 0
    return {str(name): value for name, value in rows.iloc[place].items()}


def _bounds(several: RowDraws | None, single: RowDraws | None, sign: float) -> tuple[float, float]:
    if several is None or single is None or several.scores.shape != single.scores.shape:
        return float("nan"), float("nan")
    low, high = percentile(sign * (several.scores - single.scores))
    return float(low), float(high)
