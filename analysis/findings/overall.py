"""Models over several tasks: mean rank, and the interquartile mean of scores on frozen ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from analysis.tables.columns import OVERALL, SETTING, Row, as_rows, model_label, row_name
from bench.metrics import direction_sign

FEWEST = 2  # tasks, and models


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Names that are not in a table because not all of its tasks and models share them."""

    tasks: tuple[str, ...]
    models: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Overall:
    """Models over the tasks they share, for each setting and label fraction.

    A key is the values of `SETTING` and the label fraction.

    Attributes:
        table: one row per key and model; columns `OVERALL`. Best mean rank first within a key.
        tasks: key -> the tasks pooled.
        left_out: key -> tasks and models left out because not all share them.
    """

    table: pd.DataFrame
    tasks: Mapping[tuple[object, ...], Sequence[str]]
    left_out: Mapping[tuple[object, ...], LeftOut]


@dataclass(frozen=True)
class _Score:
    """A leaderboard row and its bootstrap draws."""

    row: Row
    draws: RowDraws | None


def overall(every: Sequence[Tables]) -> Overall | None:
    """Return mean ranks and interquartile means; None if no setting has two models on two tasks.

    Ranks are among all models of a table, controls included; out-of-region splits are not tasks of their own. The
    interquartile mean is of scores on the ranges of the normaliser that covers most of the tasks (at least two) in the
    same metric; without one there is none, because scores of different metrics have no common mean. Intervals are
    percentiles over resamples of the test sets. Generated data are never pooled with real data.

    Args:
        every: tables of one suite, or of several.
    """
    real = [tables for tables in every if not tables.generated]
    by_setting = _by_setting(real or every)
    frames, tasks_of, left_out = [], {}, {}
    for key in sorted(by_setting, key=str):
        by_task = by_setting[key]
        tasks, models = largest_table(by_task, fewest=FEWEST)
        if len(tasks) < FEWEST:
            continue
        frames.append(_table(key, tasks, models, [[by_task[task][model] for model in models] for task in tasks]))
        tasks_of[key] = tasks
        left_out[key] = LeftOut(
            tasks=tuple(task for task in by_task if task not in tasks),
            models=tuple(sorted({model for task in by_task.values() for model in task} - set(models))),
        )
    if not frames:
        return None
    return Overall(table=pd.concat(frames, ignore_index=True), tasks=tasks_of, left_out=left_out)


def _by_setting(every: Sequence[Tables]) -> dict[tuple[object, ...], dict[str, dict[str, _Score]]]:
    """Return key -> task -> model -> score; tasks of several suites carry the suite's name."""
    by_setting: dict[tuple[object, ...], dict[str, dict[str, _Score]]] = {}
    for tables in every:
        for row in as_rows(tables.leaderboard):
            if "@" in str(row["task"]) or np.isnan(row["score"]):
                continue
            task = f"{tables.suite} {row['task']}" if len(every) > 1 else str(row["task"])
            key = (*(row[name] for name in SETTING), row["fraction"])
            score = _Score(row, tables.row_draws.get(row_name(row)))
            by_setting.setdefault(key, {}).setdefault(task, {})[model_label(row)] = score
    return by_setting


def _table(
    key: tuple[object, ...], tasks: Sequence[str], models: Sequence[str], scores: Sequence[Sequence[_Score]]
) -> pd.DataFrame:
    """Return the rows of one key, from scores by task and model."""
    rows = [[score.row for score in line] for line in scores]
    tidy = pd.DataFrame(
        [
            {"task": task, "model": model, "score": row["score"], "direction": row["direction"]}
            for task, line in zip(tasks, rows, strict=True)
            for model, row in zip(models, line, strict=True)
        ]
    )
    ranked = pool(tidy, Axes(), statistic="mean_rank", direction="direction").table
    ranked = ranked.set_index("model").loc[list(models)]
    draws = _draws(scores)
    signs = np.array([direction_sign(str(line[0]["direction"])) for line in rows])[:, None]
    low = high = np.full(len(models), np.nan)
    if draws is not None:
        low, high = percentile(ranks(draws * signs).mean(1))
    ranges, known = _normaliser(rows)
    table = pd.DataFrame(
        {
            **dict(zip((*SETTING, "fraction"), key, strict=True)),
            "model": models,
            "origin": [row["origin"] for row in rows[0]],
            "mean_rank": ranked["mean_rank"].to_numpy(),
            "rank_low": low,
            "rank_high": high,
            **_interquartile(rows, draws, ranges, known),
            "tasks": len(tasks),
            "normaliser": str(ranges) if ranges else "",
        }
    )
    return table[list(OVERALL)].sort_values(["mean_rank", "model"], kind="stable")


def _draws(scores: Sequence[Sequence[_Score]]) -> np.ndarray | None:
    """Return scores in resamples of the test sets, (B, tasks, models); None if a row has none."""
    known = [[score.draws.scores for score in line if score.draws is not None] for line in scores]
    if any(len(line) < len(full) for line, full in zip(known, scores, strict=True)):
        return None
    least = min(len(values) for line in known for values in line)
    cube = np.array([[values[:least] for values in line] for line in known], dtype=np.float64).transpose(2, 0, 1)
    return cube if np.isfinite(cube).all() else None


def _normaliser(rows: Sequence[Sequence[Mapping[str, object]]]) -> tuple[Normaliser | None, dict[int, str]]:
    """Return the ranges that cover most tasks in their metric, and index of a task -> its name in them."""
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
    rows: Sequence[Sequence[Mapping[str, object]]],
    draws: np.ndarray | None,
    ranges: Normaliser | None,
    known: Mapping[int, str],
) -> dict[str, object]:
    if ranges is None:
        return {**dict.fromkeys(("iqm", "iqm_low", "iqm_high"), np.nan), "iqm_tasks": 0}
    places = list(known)
    scores = np.array([[row["score"] for row in rows[place]] for place in places])
    points = np.stack([ranges(list(known.values()), each) for each in scores.T])
    low = high = np.full(scores.shape[1], np.nan)
    if draws is not None:
        worst, best = np.array([ranges.ranges[name] for name in known.values()]).T[..., None]
        low, high = percentile(iqm((draws[:, places] - worst) / (best - worst), axis=1))
    return {"iqm": iqm(points, axis=1), "iqm_low": low, "iqm_high": high, "iqm_tasks": len(places)}
