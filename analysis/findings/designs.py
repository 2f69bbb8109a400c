"""Variance components of fine-tuned scores, from the largest balanced design among the arms of a task.

Random twins and baselines are excluded: a control far below all others would make the model dominate the variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.statistics.variance_components import Component, balanced, variance_components
from analysis.tables.columns import CONTROLS, as_rows, curve_label
from bench.core import sha256_of
from bench.core.errors import Incompatible

FACTORS = ("model", "decoder", "tuning", "taps")


@dataclass(frozen=True, kw_only=True)
class Design:
    """A balanced, fully crossed set of fine-tuned runs, and its variance components.

    Attributes:
        task, fraction, metric: of the runs.
        factors: those with more than one level.
        levels: levels of each factor.
        fixed: factor -> its level, for factors held at one level.
        replicates: runs per cell (seeds and subsets).
        runs: runs in the design.
        components: see `analysis.statistics.variance_components`; empty if the design has no residual.
        left_out: runs of the task that are not in the design.
    """

    task: str
    fraction: float
    metric: str
    factors: tuple[str, ...]
    levels: Mapping[str, Sequence[str]]
    fixed: Mapping[str, str]
    replicates: int
    runs: int
    components: tuple[Component, ...]
    left_out: int


def designs(arms: pd.DataFrame, arm_draws: Mapping[tuple[str, str], np.ndarray]) -> list[Design]:
    """Return the largest balanced design of each task and label fraction that has at least two factors.

    Args:
        arms: see `analysis.tables.columns.ARMS`.
        arm_draws: draws of the runs, see `analysis.tables.build.Tables`.
    """
    balanced = []
    rows = arms[arms["score"].notna() & ~arms["origin"].isin(CONTROLS)]
    rows = rows.assign(replicate=rows["subset"].astype(str) + " " + rows["seed"].astype(str))
    rows["model"] = [curve_label(row | {"twins": ""}) for row in as_rows(rows)]
    for task, fraction in sorted(set(zip(rows["task"], rows["fraction"], strict=True))):
        runs = rows[(rows["task"] == task) & (rows["fraction"] == fraction)]
        largest, factors_of_largest = runs[:0], tuple[str, ...]()
        for size in range(len(FACTORS), 1, -1):
            for factors in combinations(FACTORS, size):
                part = _crossed(runs, factors)
                # A design with more factors is preferred to one with more runs.
                if (len(part) and largest.empty) or (len(part) > len(largest) and size == len(factors_of_largest)):
                    largest, factors_of_largest = part, factors
        if len(largest):
            balanced.append(_design(task, fraction, largest, factors_of_largest, len(runs), arm_draws))
    return balanced


def _crossed(rows: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a fully crossed design over these factors, others at their most frequent level; or none."""
    for name in FACTORS:
        if name not in factors:
            rows = rows[rows[name] == rows[name].value_counts().sort_index(kind="stable").idxmax()]
    inner = [name for name in factors if name != "model"]
    if "model" in factors:
        # Models that lack an arm are dropped rather than the arm, which would be dropped for all models.
        cells = rows.groupby("model")[inner].apply(lambda part: len(part.drop_duplicates()))
        rows = rows[rows["model"].isin(cells.index[cells == cells.max()])] if len(cells) else rows
    if any(rows[name].nunique() < 2 for name in factors):
        return rows[:0]
    wanted = int(np.prod([rows[name].nunique() for name in factors]))
    sets = rows.groupby(list(factors))["replicate"].apply(set)
    shared = set.intersection(*sets)
    if len(sets) < wanted or not shared:
        return rows[:0]
    return rows[rows["replicate"].isin(shared)].drop_duplicates([*factors, "replicate"])


def _design(
    task: str,
    fraction: float,
    rows: pd.DataFrame,
    factors: tuple[str, ...],
    runs_of_task: int,
    arm_draws: Mapping[tuple[str, str], np.ndarray],
) -> Design:
    scores, levels = balanced(rows, factors, replicate="replicate")
    order = rows.sort_values([*factors, "replicate"], kind="stable")
    split = task.partition("@")[2] or "test"
    known = [arm_draws.get((digest, split)) for digest in order["record"]]
    draws = None
    if all(values is not None and np.isfinite(values).all() for values in known):
        stacked = np.stack([values for values in known if values is not None]).T
        draws = stacked.reshape(len(stacked), *scores.shape).astype(np.float64)
    rng = np.random.default_rng(int(sha256_of([task, fraction])[:16], 16))
    try:
        components = variance_components(scores, factors, draws=draws, rng=rng)
    except Incompatible:
        components = []
    return Design(
        task=task,
        fraction=fraction,
        metric=str(rows["metric"].iloc[0]),
        factors=factors,
        levels=levels,
        fixed={name: str(rows[name].iloc[0]) for name in FACTORS if name not in factors},
        replicates=scores.shape[-1],
        runs=scores.size,
        components=tuple(components),
        left_out=runs_of_task - scores.size,
    )


def components_frame(balanced: Sequence[Design]) -> pd.DataFrame:
    """Return one row per task, label fraction and effect."""
    rows = [
        {"task": design.task, "fraction": design.fraction, "metric": design.metric, "runs": design.runs, **vars(part)}
        for design in balanced
        for part in design.components
    ]
    return pd.DataFrame(rows)
