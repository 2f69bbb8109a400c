"""Pooling: one number per model from tidy rows, refused if the rows differ in an axis that was not declared.

A row is one score with its circumstances in named columns; every column is an axis. Averaging over an axis that nobody
considered can reverse a conclusion, so each axis is declared or constant.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis.statistics.aggregate import iqm, stratified_draws
from analysis.statistics.intervals import percentile
from analysis.statistics.normalisers import Normaliser
from analysis.statistics.ranking import ranks
from bench.core.errors import BadSetting, Incompatible
from bench.core.wording import shortened

Statistic = Literal["iqm", "mean", "median", "mean_rank"]
STATISTICS: tuple[Statistic, ...] = ("iqm", "mean", "median", "mean_rank")
MISSING = ("refuse", "models", "conditions")


@dataclass(frozen=True, kw_only=True)
class Axes:
    """The roles of the columns.

    Attributes:
        unit: what is compared.
        value: the score.
        over: conditions to pool; every unit has all of them, unless `missing` of `pool` permits gaps.
        replicates: repetitions of a condition (seed, subset): pooled, and may differ between units.
        apart: reported separately, one block of the result per value.
        facts: properties of the unit, constant for each; copied to the result.
    """

    unit: str = "model"
    value: str = "score"
    over: tuple[str, ...] = ("task",)
    replicates: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()

    @property
    def declared(self) -> set[str]:
        """All columns with a role."""
        return {self.unit, self.value, *self.over, *self.replicates, *self.apart, *self.facts}


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The result of pooling.

    Attributes:
        table: columns `apart`, the unit, `facts`, the statistic's name, ``low``, ``high`` (stratified bootstrap over
            replicates, if there are any), ``rows`` pooled, ``outside`` (normalised scores outside 0..1), ``lacks``
            (names of missing conditions; such a unit has no number). Best first within each block.
        conditions: the conditions pooled, by block.
        left_out: names of conditions left out because a unit lacks them.
        normaliser: name and version; empty without.
    """

    table: pd.DataFrame
    conditions: dict[str, list[str]]
    left_out: tuple[str, ...]
    normaliser: str


def check_axes(rows: pd.DataFrame, axes: Axes) -> None:
    """Check that every axis of the rows is declared or constant.

    Raises:
        Incompatible: names each axis that varies without being declared, with its values.
        BadSetting: if a declared column is absent, or a fact varies for one unit.

    >>> check_axes(pd.DataFrame({"model": ["a", "a"], "task": ["x", "y"], "score": [1, 2], "size": [8, 9]}), Axes())
    Traceback (most recent call last):
    ...
    bench.core.errors.Incompatible: rows differ in size (8, 9), which is not declared. Keep one value, or declare its \
role: over= (a condition every model has), replicates=, apart= (one result for each), facts= (a property of the model)
    """
    absent = sorted(axes.declared - set(rows.columns))
    if absent:
        raise BadSetting(f"no column {', '.join(absent)}; known: {', '.join(map(str, rows.columns))}")
    if rows.empty:
        raise Incompatible("no rows to pool")
    blocks = [part for _, part in rows.groupby(list(axes.apart), dropna=False)] if axes.apart else [rows]
    undeclared = []
    for name in rows.columns:
        if name in axes.declared or all(part[name].nunique(dropna=False) == 1 for part in blocks):
            continue
        undeclared.append(f"{name} ({shortened(list(rows[name].drop_duplicates()), 6)})")
    if undeclared:
        raise Incompatible(
            f"rows differ in {'; '.join(undeclared)}, which is not declared. Keep one value, or declare its role: "
            "over= (a condition every model has), replicates=, apart= (one result for each), facts= (a property of the "
            "model)"
        )
    for name in axes.facts:
        several = rows.groupby(axes.unit, dropna=False)[name].nunique(dropna=False)
        if (several > 1).any():
            raise BadSetting(
                f"{name} is not constant for {axes.unit} {several.idxmax()}: it has {several.max()} values"
            )


def pool(
    rows: pd.DataFrame,
    axes: Axes,
    *,
    statistic: Statistic = "iqm",
    normaliser: Normaliser | None = None,
    task: str = "task",
    direction: str = "max",
    missing: str = "refuse",
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
) -> Pooled:
    """Return one number per unit over declared conditions, on those all units share.

    Args:
        rows: tidy, one score per row.
        axes: roles of its columns.
        statistic: ``iqm``, ``median`` or ``mean`` of all rows, or ``mean_rank`` over conditions, of the mean of each
            condition's replicates.
        normaliser: frozen ranges; without one, scores are pooled as they are and must have one direction.
        task: column with the names the normaliser uses.
        direction: of the scores without a normaliser: ``max``, ``min``, or a column that holds it for each row.
        missing: what to do if a unit lacks a condition that another has: ``refuse``; ``models``: the unit gets no
            number; ``conditions``: the condition is left out for all units.
        rng: for intervals over replicates, or None for no intervals.
        resamples: bootstrap resamples.

    Raises:
        Incompatible: for an undeclared axis, a repeated row, a missing score, conditions that are not shared, or
            unequal numbers of replicates.
        BadSetting: for an unknown setting.

    >>> rows = pd.DataFrame({"model": list("aabb"), "task": list("xyxy"), "score": [0.9, 0.5, 0.8, 0.7]})
    >>> pool(rows, Axes(), statistic="mean").table[["model", "mean"]].values.tolist()
    [['b', 0.75], ['a', 0.7]]
    """
    for given, known in ((statistic, STATISTICS), (missing, MISSING)):
        if given not in known:
            raise BadSetting(f"{given!r} is unknown; known: {', '.join(known)}")
    rows = rows.reset_index(drop=True)
    by_row = direction not in ("max", "min")
    check_axes(rows.drop(columns=[direction]) if by_row else rows, axes)
    _check_rows(rows, axes)
    values = _comparable(rows, axes, statistic, normaliser, task, direction)
    frame = rows.assign(**{axes.value: values})
    blocks = frame.groupby(list(axes.apart), dropna=False, sort=True) if axes.apart else [((), frame)]
    parts, conditions, left_out = [], {}, []
    for key, block in blocks:
        name = ", ".join(map(str, key)) if axes.apart else ""
        part, pooled, dropped = _pool_block(block, axes, statistic, missing, rng, resamples)
        part = part.merge(block[[axes.unit, *axes.facts]].drop_duplicates(), on=axes.unit) if axes.facts else part
        for column in axes.apart:
            part[column] = block[column].iloc[0]
        parts.append(part)
        conditions[name] = pooled
        left_out += [f"{name}: {condition}" if name else condition for condition in dropped]
    table = pd.concat(parts, ignore_index=True)
    if normaliser is None:
        table["outside"] = 0
    first = [*axes.apart, axes.unit, *axes.facts]
    table = table[[*first, *(name for name in table.columns if name not in first)]]
    return Pooled(
        table=table, conditions=conditions, left_out=tuple(left_out), normaliser=str(normaliser) if normaliser else ""
    )


def _check_rows(rows: pd.DataFrame, axes: Axes) -> None:
    identity = [*axes.apart, axes.unit, *axes.over, *axes.replicates]
    twice = rows[rows.duplicated(identity, keep=False)]
    if len(twice):
        which = ", ".join(f"{name}={twice.iloc[0][name]}" for name in identity)
        raise Incompatible(f"{len(twice)} rows are repeated, the first at {which}: declare the column that differs")
    empty = rows[rows[axes.value].isna()]
    if len(empty):
        which = ", ".join(f"{name}={empty.iloc[0][name]}" for name in identity)
        raise Incompatible(f"{len(empty)} rows have no {axes.value}, the first at {which}: drop them explicitly")


def _comparable(
    rows: pd.DataFrame, axes: Axes, statistic: Statistic, normaliser: Normaliser | None, task: str, direction: str
) -> np.ndarray:
    """Return the scores on a scale where larger is better, or unchanged if they have one direction."""
    values = rows[axes.value].to_numpy(dtype=np.float64)
    if normaliser is not None:
        return normaliser(rows[task].astype(str).tolist(), values)
    by_row = rows[direction].astype(str) if direction not in ("max", "min") else pd.Series([direction] * len(rows))
    unknown = sorted(set(by_row) - {"max", "min"})
    if unknown:
        raise BadSetting(f"direction {', '.join(unknown)} is neither max nor min")
    if statistic == "mean_rank":
        return np.asarray(np.where(by_row == "min", -values, values))
    if by_row.nunique() > 1:
        raise Incompatible(f"some rows are better larger, others smaller: a {statistic} of both needs a normaliser")
    return values


def _names(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    return frame[list(columns)].astype(str).agg(" · ".join, axis=1)


def _pool_block(
    block: pd.DataFrame,
    axes: Axes,
    statistic: Statistic,
    missing: str,
    rng: np.random.Generator | None,
    resamples: int,
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return the table of one block, the conditions pooled, and those left out."""
    named = block.assign(_condition=_names(block, axes.over))
    counts = named.groupby([axes.unit, "_condition"]).size().unstack(fill_value=0)
    lacking = {unit: [str(name) for name in counts.columns[counts.loc[unit] == 0]] for unit in counts.index}
    lacking = {unit: names for unit, names in lacking.items() if names}
    kept, left_out = list(counts.columns), []
    units = list(counts.index)
    if lacking and missing == "refuse":
        cases = [f"{unit} lacks {shortened(names, 6)}" for unit, names in lacking.items()]
        raise Incompatible(
            f"not every {axes.unit} has every condition: {shortened(cases, 6)}. Leave out the "
            f"{axes.unit}s (missing='models') or the conditions (missing='conditions')"
        )
    if missing == "conditions":
        left_out = sorted({name for names in lacking.values() for name in names})
        kept = [name for name in kept if name not in left_out]
        lacking = {}
    elif missing == "models":
        units = [unit for unit in units if unit not in lacking]
    if not kept or not units:
        raise Incompatible(f"no condition is shared by all {axes.unit}s: they cannot be compared")
    replicates = counts.loc[units, kept]
    if replicates.to_numpy().min() != replicates.to_numpy().max():
        place, condition = np.unravel_index(replicates.to_numpy().argmin(), replicates.shape)
        raise Incompatible(
            f"{units[int(place)]} has {replicates.to_numpy().min()} rows on {kept[int(condition)]}, others have up to "
            f"{replicates.to_numpy().max()}: a condition with more rows would weigh more"
        )
    chosen = named[named[axes.unit].isin(units) & named["_condition"].isin(kept)]
    chosen = chosen.sort_values([axes.unit, "_condition", *axes.replicates], kind="stable")
    cube = chosen[axes.value].to_numpy().reshape(len(units), len(kept), -1)
    return _table(cube, units, axes.unit, statistic, lacking, rng, resamples), [str(name) for name in kept], left_out


def _table(
    cube: np.ndarray,
    units: list[Hashable],
    unit: str,
    statistic: Statistic,
    lacking: dict[Hashable, list[str]],
    rng: np.random.Generator | None,
    resamples: int,
) -> pd.DataFrame:
    """Return one row per unit from scores (units, conditions, replicates), best first, units without a number last."""
    values = _statistic(cube[None], statistic)[0]
    low = high = np.full(len(units), np.nan)
    if rng is not None and cube.shape[2] > 1:
        drawn = np.stack([stratified_draws(scores.T, resamples, rng).transpose(0, 2, 1) for scores in cube], axis=1)
        low, high = percentile(_statistic(drawn, statistic))
    rows = pd.DataFrame({unit: units, statistic: values, "low": low, "high": high, "rows": cube[0].size})
    rows["outside"] = ((cube < 0) | (cube > 1)).sum((1, 2))
    rows["lacks"] = ""
    rows = rows.sort_values(statistic, ascending=statistic == "mean_rank", kind="stable")
    without = pd.DataFrame({unit: list(lacking), "lacks": [", ".join(names) for names in lacking.values()]})
    return pd.concat([rows, without], ignore_index=True) if len(without) else rows.reset_index(drop=True)


def _statistic(cubes: np.ndarray, statistic: Statistic) -> np.ndarray:
    """Return the statistic of each unit, (resamples, units), from (resamples, units, conditions, replicates)."""
    flat = cubes.reshape(*cubes.shape[:2], -1)
    if statistic == "mean_rank":
        return np.asarray(ranks(cubes.mean(-1).swapaxes(1, 2)).mean(1))
    if statistic == "iqm":
        return iqm(flat, axis=2)
    return np.asarray(flat.mean(2) if statistic == "mean" else np.median(flat, axis=2))
