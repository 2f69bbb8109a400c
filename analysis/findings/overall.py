"""Models over several tasks that all share: mean rank, and the interquartile mean of scores on frozen ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings.agreement import largest_table
from analysis.statistics.aggregate import iqm
from analysis.statistics.intervals import percentile
from analysis.statistics.normalisers import Normaliser, normaliser, normalisers
from analysis.statistics.pooling import Axes, pool
from analysis.statistics.ranking import ranks
from analysis.tables.breakdowns import RowDraws
from analysis.tables.build import Tables
from analysis.tables.columns import as_rows, model_label, row_name

WAY = ("protocol", "decoder", "tuning", "layer", "fraction")
"""Columns that tell ways of reading a model apart; a number is of one way, never of several."""
OVERALL = (
    *(*WAY, "model", "origin", "mean_rank", "rank_low", "rank_high", "iqm", "iqm_low", "iqm_high", "iqm_tasks"),
    *("tasks", "normaliser"),
)
"""Columns of `Overall.table`; ``tasks`` are ranked, ``iqm_tasks`` of them pooled."""
FEWEST = 2  # tasks, and models


@dataclass(frozen=True, kw_only=True)
class Overall:
    """Models over the tasks they share, under each way of reading.

    Attributes:
        table: one row a way and model; see `OVERALL`. Best mean rank first within a way.
        tasks: way -> the tasks pooled.
        left_out: way -> tasks and models left out because not all share them, in words; empty for none.
    """

    table: pd.DataFrame
    tasks: Mapping[tuple[Any, ...], Sequence[str]]
    left_out: Mapping[tuple[Any, ...], str]


def overall(every: Sequence[Tables]) -> Overall | None:
    """Return mean ranks and interquartile means; None where no way has two models on two tasks.

    Ranks are among all models that a way's table holds, controls too; out-of-region splits are no tasks of their own.
    The interquartile mean is of scores on the ranges of the frozen normaliser that knows most of the tasks, two at
    least, in the same metric; without one there is none, for scores of different metrics have no mean. Intervals are
    percentiles over resamples of the test sets. Generated data are never pooled with real ones.

    Args:
        every: tables of one suite, or of several.
    """
    real = [made for made in every if not made.generated]
    every = real or every
    several = len(every) > 1
    ways: dict[tuple[Any, ...], dict[str, dict[str, dict[str, Any]]]] = {}
    drawn: dict[int, RowDraws] = {}
    for made in every:
        for row in as_rows(made.leaderboard):
            if "@" in str(row["task"]) or np.isnan(row["score"]):
                continue
            task = f"{made.suite} {row['task']}" if several else str(row["task"])
            ways.setdefault(tuple(row[name] for name in WAY), {}).setdefault(task, {})[model_label(row)] = row
            if (found := made.row_draws.get(row_name(row))) is not None:
                drawn[id(row)] = found
    tables, tasks, left_out = [], {}, {}
    for way in sorted(ways, key=str):
        chosen, models = largest_table(ways[way], fewest=FEWEST)
        if len(chosen) < FEWEST:
            continue
        rows = [[ways[way][task][model] for model in models] for task in chosen]
        tables.append(_table(way, chosen, models, rows, drawn))
        tasks[way] = chosen
        away = sorted({model for task in ways[way].values() for model in task} - set(models))
        left_out[way] = "; ".join(
            f"{what} not shared: {', '.join(names)}"
            for what, names in (("tasks", [task for task in ways[way] if task not in chosen]), ("models", away))
            if names
        )
    if not tables:
        return None
    return Overall(table=pd.concat(tables, ignore_index=True), tasks=tasks, left_out=left_out)


def _table(
    way: tuple[Any, ...],
    tasks: Sequence[str],
    models: Sequence[str],
    rows: Sequence[Sequence[Mapping[str, Any]]],
    drawn: Mapping[int, RowDraws],
) -> pd.DataFrame:
    """Return the rows of one way, from leaderboard rows by task and model."""
    tidy = pd.DataFrame(
        [
            {"task": task, "model": model, "score": row["score"], "way_up": row["direction"]}
            for task, line in zip(tasks, rows, strict=True)
            for model, row in zip(models, line, strict=True)
        ]
    )
    found = pool(tidy, Axes(), statistic="mean_rank", direction="way_up").table.set_index("model").loc[list(models)]
    draws = _draws(rows, drawn)
    signs = np.array([-1.0 if line[0]["direction"] == "min" else 1.0 for line in rows])[:, None]
    low = high = np.full(len(models), np.nan)
    if draws is not None:
        low, high = percentile(ranks(draws * signs).mean(1))
    ranges, known = _normaliser(rows)
    table = pd.DataFrame(
        {
            **dict(zip(WAY, way, strict=True)),
            "model": models,
            "origin": [row["origin"] for row in rows[0]],
            "mean_rank": found["mean_rank"].to_numpy(),
            "rank_low": low,
            "rank_high": high,
            **_interquartile(rows, draws, ranges, known),
            "tasks": len(tasks),
            "normaliser": str(ranges) if ranges else "",
        }
    )
    return table[list(OVERALL)].sort_values(["mean_rank", "model"], kind="stable")


def _draws(rows: Sequence[Sequence[Mapping[str, Any]]], drawn: Mapping[int, RowDraws]) -> np.ndarray | None:
    """Return scores in resamples of the test sets, (B, tasks, models); None where a row has none."""
    each = [[drawn.get(id(row)) for row in line] for line in rows]
    if any(one is None for line in each for one in line):
        return None
    least = min(len(one.scores) for line in each for one in line if one is not None)
    cube = np.array([[one.scores[:least] for one in line if one is not None] for line in each], dtype=np.float64)
    found = cube.transpose(2, 0, 1)
    return found if np.isfinite(found).all() else None


def _normaliser(rows: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[Normaliser | None, dict[int, str]]:
    """Return the frozen ranges that know most tasks in their metric, and position of a task -> its name in them."""
    best: tuple[Normaliser | None, dict[int, str]] = (None, {})
    for name in normalisers():
        ranges, known = normaliser(name), {}
        for place, line in enumerate(rows):
            task, metric = ranges.suites.get(str(line[0]["suite"]), ("", ""))
            if metric == line[0]["metric"]:
                known[place] = task
        if len(known) >= max(FEWEST, len(best[1]) + 1):
            best = (ranges, known)
    return best


def _interquartile(
    rows: Sequence[Sequence[Mapping[str, Any]]],
    draws: np.ndarray | None,
    ranges: Normaliser | None,
    known: Mapping[int, str],
) -> dict[str, Any]:
    if ranges is None:
        return {**dict.fromkeys(("iqm", "iqm_low", "iqm_high"), np.nan), "iqm_tasks": 0}
    places = list(known)
    scores = np.array([[row["score"] for row in rows[place]] for place in places])
    points = np.stack([ranges(list(known.values()), each) for each in scores.T])
    found: dict[str, Any] = {"iqm": iqm(points, axis=1), "iqm_low": np.nan, "iqm_high": np.nan}
    if draws is not None:
        worst, best = np.array([ranges.ranges[name] for name in known.values()]).T[..., None]
        found["iqm_low"], found["iqm_high"] = percentile(iqm((draws[:, places] - worst) / (best - worst), axis=1))
    return found | {"iqm_tasks": len(places)}
