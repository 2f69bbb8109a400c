"""Rows -> one number a model, refusing to pool what differs in an axis nobody declared.

A row is one score with its circumstances in named columns. Every column is an axis. An average over rows that differ in
one nobody thought of is how a headline comes out the wrong way round, so each axis is declared, or constant.
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

Statistic = Literal["iqm", "mean", "median", "mean_rank"]
STATISTICS: tuple[Statistic, ...] = ("iqm", "mean", "median", "mean_rank")
MISSING = ("refuse", "models", "conditions")
SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What the columns of rows are.

    Attributes:
        unit: what is compared.
        value: the score.
        over: conditions pooled; each is met by every unit, or dealt with by name (see `pool`).
        replicates: repetitions of a condition (seed, subset): pooled, and need not be the same ones for all units.
        apart: reported apart, a block of the result for each of its values.
        facts: describes the unit, constant for each; carried along.
    """

    unit: str = "model"
    value: str = "score"
    over: tuple[str, ...] = ("task",)
    replicates: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()

    @property
    def declared(self) -> set[str]:
        """Every column with a role."""
        return {self.unit, self.value, *self.over, *self.replicates, *self.apart, *self.facts}


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """What pooling gave.

    Attributes:
        table: columns `apart`, the unit, `facts`, the statistic's name, ``low``, ``high`` (stratified bootstrap over
            replicates, where there are some), ``rows`` pooled, ``outside`` (normalised scores beyond 0..1), ``lacks``
            (conditions missing, by name; such a unit has no number). Best first within each block.
        conditions: what was pooled over, by block.
        left_out: conditions left out because a unit lacks them, by name.
        normaliser: name and version; empty without.
    """

    table: pd.DataFrame
    conditions: dict[str, list[str]]
    left_out: tuple[str, ...]
    normaliser: str


def check_axes(rows: pd.DataFrame, axes: Axes) -> None:
    """Pass rows whose every axis is declared or constant.

    Raises:
        Incompatible: names each axis they differ in without anybody having declared it, with its values.
        BadSetting: if a declared column is absent, or a fact varies for one unit.
    """
    absent = sorted(axes.declared - set(rows.columns))
    if absent:
        raise BadSetting(f"no column {', '.join(absent)}; there are {', '.join(map(str, rows.columns))}")
    if rows.empty:
        raise Incompatible("no rows to pool")
    blocks = [part for _, part in rows.groupby(list(axes.apart), dropna=False)] if axes.apart else [rows]
    found = []
    for name in rows.columns:
        if name in axes.declared or all(part[name].nunique(dropna=False) == 1 for part in blocks):
            continue
        values = [str(value) for value in rows[name].drop_duplicates()]
        found.append(f"{name} ({', '.join(values[:SHOWN])}{', ...' if len(values) > SHOWN else ''})")
    if found:
        raise Incompatible(
            f"rows differ in {'; '.join(found)}, which nobody declared. Keep one value, or say what it is: over= (a "
            "condition every model has met), replicates=, apart= (a result for each), facts= (describes the model)"
        )
    for name in axes.facts:
        several = rows.groupby(axes.unit, dropna=False)[name].nunique(dropna=False)
        if (several > 1).any():
            raise BadSetting(f"{name} is no fact of {axes.unit} {several.idxmax()}: it has {several.max()} values")


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
    """Return one number a unit over declared conditions, on those all units share.

    Args:
        rows: tidy, one score a row.
        axes: what its columns are.
        statistic: ``iqm`` and ``median`` of all rows, ``mean`` of all rows, or ``mean_rank`` over conditions, of the
            mean of each condition's replicates.
        normaliser: frozen ranges; without one, scores are pooled as they are, which takes one direction.
        task: column the normaliser goes by.
        direction: of the scores without a normaliser: ``max``, ``min``, or a column that says it for each row.
        missing: what to do where a unit lacks a condition another has met: ``refuse``; ``models``: it gets no number;
            ``conditions``: the condition is left out for all.
        rng: for intervals over replicates, or None for none.
        resamples: bootstrap resamples.

    Raises:
        Incompatible: on an undeclared axis, a row twice, a score missing, conditions not shared, or unequal replicates.
        BadSetting: on a setting there is not.
    """
    for given, known in ((statistic, STATISTICS), (missing, MISSING)):
        if given not in known:
            raise BadSetting(f"{given!r} is none of {', '.join(known)}")
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
        part, met, lost = _pool_block(block, axes, statistic, missing, rng, resamples)
        part = part.merge(block[[axes.unit, *axes.facts]].drop_duplicates(), on=axes.unit) if axes.facts else part
        for column in axes.apart:
            part[column] = block[column].iloc[0]
        parts.append(part)
        conditions[name] = met
        left_out += [f"{name}: {condition}" if name else condition for condition in lost]
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
        raise Incompatible(f"{len(twice)} rows have another with the same {which}: declare what tells them apart")
    gone = rows[rows[axes.value].isna()]
    if len(gone):
        which = ", ".join(f"{name}={gone.iloc[0][name]}" for name in identity)
        raise Incompatible(f"{len(gone)} rows have no {axes.value}, the first at {which}: leave them out on purpose")


def _comparable(
    rows: pd.DataFrame, axes: Axes, statistic: Statistic, normaliser: Normaliser | None, task: str, direction: str
) -> np.ndarray:
    """Return the scores on a scale where more is better, or, of one direction, as they are."""
    values = rows[axes.value].to_numpy(dtype=np.float64)
    if normaliser is not None:
        return normaliser(rows[task].astype(str).tolist(), values)
    ways = rows[direction].astype(str) if direction not in ("max", "min") else pd.Series([direction] * len(rows))
    strange = sorted(set(ways) - {"max", "min"})
    if strange:
        raise BadSetting(f"direction {', '.join(strange)} is neither max nor min")
    if statistic == "mean_rank":
        return np.asarray(np.where(ways == "min", -values, values))
    if ways.nunique() > 1:
        raise Incompatible(f"more is better in some rows and less in others: a {statistic} of both takes a normaliser")
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
        said = "; ".join(f"{unit} lacks {', '.join(names[:SHOWN])}" for unit, names in list(lacking.items())[:SHOWN])
        raise Incompatible(
            f"not every {axes.unit} has met every condition: {said}. Leave out the {axes.unit}s (missing='models') or "
            "the conditions (missing='conditions')"
        )
    if missing == "conditions":
        left_out = sorted({name for names in lacking.values() for name in names})
        kept = [name for name in kept if name not in left_out]
        lacking = {}
    elif missing == "models":
        units = [unit for unit in units if unit not in lacking]
    if not kept or not units:
        raise Incompatible(f"no condition is shared by all: nothing is left to compare the {axes.unit}s on")
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
    """Return one row a unit from scores (units, conditions, replicates), best first, those lacking something last."""
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
