"""What the choices of fine-tuning account for: the largest balanced design among the arms of a task, taken apart.

Random twins and baselines take no part: a control far below everything would make the model look like all that matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.findings.agreement import CONTROLS
from analysis.statistics.variance_components import Component, balanced, variance_components
from bench.core import label_fraction_text, sha256_of
from bench.core.errors import Incompatible

FACTORS = ("model", "decoder", "tuning", "taps")


@dataclass(frozen=True, kw_only=True)
class Design:
    """A balanced, fully crossed set of fine-tuned runs, and its variance components.

    Attributes:
        task, fraction, metric: which.
        factors: those with more than one level.
        levels: of each factor.
        fixed: factors held at one level, with it.
        replicates: runs a cell (seeds and subsets).
        runs: in all.
        components: see `analysis.statistics.variance_components`.
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

    def sentence(self) -> str:
        """Return in words what was taken apart."""
        crossed = " x ".join(f"{len(self.levels[name])} {name}{'s' if name != 'taps' else ''}" for name in self.factors)
        crossed = crossed.replace("tunings", "ways of tuning")
        held = "".join(f", {name} = {level}" for name, level in self.fixed.items())
        more = f" {self.left_out} further runs do not fit into a balanced design." if self.left_out else ""
        seeds = f"{self.replicates} runs a cell" if self.replicates > 1 else "one run a cell"
        return f"{crossed}, {seeds}, {label_fraction_text(self.fraction)} of labels{held}: {self.runs} runs.{more}"


def designs(arms: pd.DataFrame, each: Mapping[tuple[str, str], np.ndarray]) -> list[Design]:
    """Return the largest balanced design of each task and label fraction with at least two factors to take apart.

    Args:
        arms: see `analysis.tables.build.ARMS`.
        each: draws of the runs, see `analysis.tables.build.Tables.arm_draws`.
    """
    found = []
    rows = arms[arms["score"].notna() & ~arms["origin"].isin(CONTROLS)]
    rows = rows.assign(replicate=rows["subset"].astype(str) + " " + rows["seed"].astype(str))
    rows["model"] = rows["model"] + rows["variant"].map(lambda text: f" ({text})" if text else "")
    for task, fraction in sorted(set(zip(rows["task"], rows["fraction"], strict=True))):
        own = rows[(rows["task"] == task) & (rows["fraction"] == fraction)]
        best: tuple[int, pd.DataFrame, tuple[str, ...]] = (0, own[:0], ())
        for size in range(len(FACTORS), 1, -1):
            for factors in combinations(FACTORS, size):
                part = _crossed(own, factors)
                # More factors win over more runs of fewer: they are what the question is about.
                if (len(part) and not best[0]) or (len(part) > best[0] and size == len(best[2])):
                    best = (len(part), part, factors)
        if best[0]:
            found.append(_design(task, fraction, best[1], best[2], len(own), each))
    return found


def _crossed(rows: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a fully crossed design over these factors, others held at their commonest level; or none."""
    for name in FACTORS:
        if name not in factors:
            rows = rows[rows[name] == rows[name].value_counts().sort_index(kind="stable").idxmax()]
    inner = [name for name in factors if name != "model"]
    if "model" in factors:
        # Models that lack an arm go first: an arm is dropped for all, a model only for itself.
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
    every: int,
    each: Mapping[tuple[str, str], np.ndarray],
) -> Design:
    scores, levels = balanced(rows, factors, replicate="replicate")
    order = rows.sort_values([*factors, "replicate"], kind="stable")
    split = task.partition("@")[2] or "test"
    found = [each.get((digest, split)) for digest in order["record"]]
    draws = None
    if all(one is not None and np.isfinite(one).all() for one in found):
        stacked = np.stack([one for one in found if one is not None]).T
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
        left_out=every - scores.size,
    )


def components_frame(found: Sequence[Design]) -> pd.DataFrame:
    """Return one row a task, label fraction and effect."""
    rows = [
        {"task": one.task, "fraction": one.fraction, "metric": one.metric, "runs": one.runs, **vars(part)}
        for one in found
        for part in one.components
    ]
    return pd.DataFrame(rows)
