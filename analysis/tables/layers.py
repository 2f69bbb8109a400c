"""Rows of the layer table: one per layer, with the peak depth and the final-layer regret of its profile."""

from __future__ import annotations

from collections import Counter

import numpy as np

from analysis.statistics.depth_profiles import Regret, final_layer_regret
from analysis.tables.bootstrap import GroupDraws
from analysis.tables.breakdowns import shared_columns
from analysis.tables.columns import CHOSEN, LAST
from analysis.tables.leaderboard import distinct_values, subset_spread
from analysis.tables.run_groups import RunGroup, position


def layer_rows(group: RunGroup, draws: GroupDraws) -> list[dict[str, object]]:
    """Return the profile of one run group, one row per layer in depth order."""
    chosen = Counter(position(record, CHOSEN) for record in group.records if CHOSEN in record.choices)
    most_chosen = min(chosen, key=lambda place: (-chosen[place], place)) if chosen else -1
    first = group.records[0]
    last = position(first, LAST) if LAST in first.choices else len(first.curves) - 1
    regret = _regret(group, draws)
    shared = shared_columns(group, draws)
    rows = []
    for place, layer in enumerate(first.curves):
        each = [record.curves[place] for record in group.records]
        test = [float(row[group.split]) for row in each]
        rows.append(
            shared
            | {
                "layer": layer["layer"],
                "depth": layer["depth"],
                "pool": distinct_values(row["pool"] for row in each),
                "setting": distinct_values(row["setting"] for row in each),
                "val": float(np.mean([row["val"] for row in each])),
                "test": float(np.mean(test)),
                "low": np.nan if draws.low is None else draws.low[place],
                "high": np.nan if draws.high is None else draws.high[place],
                "spread": subset_spread(test),
                "chosen": place == most_chosen,
                "chosen_share": chosen[place] / len(group.records),
                "last": place == last,
                "final_layer_regret": regret.value,
                "regret_low": regret.low,
                "regret_high": regret.high,
                "regret_p": regret.p,
                **_peak(draws, place),
            }
        )
    return rows


def _regret(group: RunGroup, draws: GroupDraws) -> Regret:
    """Return the regret of a run group; NaN for a model of one layer, or without both rules."""
    if len(group.records[0].curves) < 2 or not {CHOSEN, LAST} <= set(group.rules):
        return Regret(value=np.nan, low=np.nan, high=np.nan, p=np.nan)
    both = (draws.rules[CHOSEN], draws.rules[LAST]) if draws.rules else None
    chosen, last = (float(np.mean(group.values(rule))) for rule in (CHOSEN, LAST))
    return final_layer_regret(chosen, last, both, direction=group.facts["direction"])


def _peak(draws: GroupDraws, place: int) -> dict[str, float]:
    peak = draws.peak
    if peak is None:
        return {}
    bounds = {"peak_depth": peak.depth, "peak_low": peak.low, "peak_high": peak.high}
    return bounds | {"peak_chance": float(peak.chance[place])}
