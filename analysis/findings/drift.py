"""Drift of fine-tuning from stored activations: by block and part, with its noise floors, controls and what it answers.

Total drift is 1 - debiased CKA of what a part says of the same images before and after; local drift the same of what it
answers to the input its pretrained self gets, so that a part is not charged for what lies below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.similarity.arrays import require_same_ids
from analysis.similarity.measures import linear_cka
from analysis.similarity.resampling import row_blocks
from analysis.tables.source import RecordSource
from bench.core import Record

PARTS = ("norm1", "qkv", "q", "k", "v", "proj", "norm2", "fc1", "fc2", "fc3")
COLUMNS = (
    *("task", "model", "seed", "block", "depth", "part", "total", "local", "shuffled", "shuffled_local", "step_local"),
    *("seed_floor", "relative_change", "one_minus_cosine", "effective_rank", "shuffled_relative_change", "parameters"),
    *("low", "high", "generated", "record"),
)
"""Columns of `drift_frame`; ``low`` and ``high`` bound ``local`` (delete-block jackknife over images)."""
FIRST = ("fc1", "fc3")  # first linear maps of an MLP; gated ones have two
GROUPS = 10


def drift(x: np.ndarray, y: np.ndarray) -> float:
    """Return 1 - debiased linear CKA of (n, p) and (n, q), 0 for equal arrays; NaN where either never varies."""
    if x.shape == y.shape and np.array_equal(x, y):
        return 0.0
    try:
        return 1.0 - linear_cka(x.astype(np.float64), y.astype(np.float64))
    except ValueError:
        return float("nan")


def drift_frame(source: RecordSource, records: Iterable[Record]) -> pd.DataFrame:
    """Return one row a (task, model, seed, block, part) of the stored drift records; see `COLUMNS`.

    ``seed_floor`` is the mean total drift between the tuned copies of different seeds, which is what tuning again
    would show; empty with one seed.

    Args:
        source: where their arrays are.
        records: of a suite; those of other protocols are passed over.
    """
    rows: list[dict[str, Any]] = []
    for group in _grouped(r for r in records if r.key.protocol == "drift" and r.status == "ok"):
        arrays = [dict(source.arrays(record)) for record in group]
        for one in arrays[1:]:
            require_same_ids(arrays[0]["ids"], one["ids"])
        for record, own in zip(group, arrays, strict=True):
            rows += [_row(record, own, arrays, row) for row in record.curves]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _grouped(records: Iterable[Record]) -> list[list[Record]]:
    """Return the records of one task, model, label set and settings together, by seed."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        key = record.key
        name = (key.task, key.model, key.fraction, key.subset, str(sorted(key.settings.items())), str(key.recipe))
        groups.setdefault(name, []).append(record)
    return [sorted(groups[name], key=lambda record: record.key.seed) for name in sorted(groups, key=str)]


def _row(
    record: Record, own: Mapping[str, np.ndarray], all_seeds: Sequence[Mapping[str, np.ndarray]], row: Mapping[str, Any]
) -> dict[str, Any]:
    name = f"{row['layer']}.{row['part']}"
    before = own[f"before/{name}"]
    against = {
        "total": f"after/{name}",
        "local": f"local/{name}",
        "shuffled": f"shuffled/{name}",
        "shuffled_local": f"shuffled_local/{name}",
        "step_local": f"step_local/{name}",
    }
    found = {what: drift(before, own[key]) if key in own else np.nan for what, key in against.items()}
    pairs = [drift(a[f"after/{name}"], b[f"after/{name}"]) for a, b in combinations(all_seeds, 2)]
    blocks = [str(each["layer"]) for each in record.curves]
    order = list(dict.fromkeys(blocks))
    low, high = _bounds(before, own[f"local/{name}"])
    return {
        "task": record.key.task,
        "model": record.key.model,
        "seed": record.key.seed,
        "block": row["layer"],
        "depth": (order.index(str(row["layer"])) + 1) / len(order),
        "part": row["part"],
        **found,
        "seed_floor": float(np.mean(pairs)) if pairs else np.nan,
        **{key: row.get(key, np.nan) for key in COLUMNS if key in row and key not in ("part",)},
        "low": low,
        "high": high,
        "generated": bool(record.facts.get("generated")),
        "record": record.digest,
    }


def _bounds(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Return the 95 % jackknife bounds of a drift, over ten blocks of images."""
    rows = len(before)
    if rows < 2 * GROUPS or np.array_equal(before, after):
        return float("nan"), float("nan")
    value = drift(before, after)
    codes = row_blocks(rows, GROUPS, np.random.default_rng(0))
    without = np.array([drift(before[codes != code], after[codes != code]) for code in range(GROUPS)])
    error = float(np.sqrt((GROUPS - 1) / GROUPS * ((without - without.mean()) ** 2).sum()))
    return value - 1.96 * error, value + 1.96 * error


def rewinding(records: Iterable[Record]) -> pd.DataFrame:
    """Return what the test score loses where one type of part is put back to its pretrained weights, a row each."""
    rows = []
    for record in records:
        if record.key.protocol != "drift" or record.status != "ok":
            continue
        metric = str(record.facts["metric"])
        sign = -1.0 if record.facts["direction"] == "min" else 1.0
        for split, rules in record.scores.items():
            tuned = rules["tuned"][metric]
            for rule, scores in rules.items():
                if rule.startswith("rewound "):
                    row = {"task": record.key.task, "model": record.key.model, "seed": record.key.seed, "split": split}
                    part = rule.removeprefix("rewound ")
                    rows.append(row | {"part": part, "tuned": tuned, "lost": sign * (tuned - scores[metric])})
    return pd.DataFrame(rows, columns=["task", "model", "seed", "split", "part", "tuned", "lost"])


def answer(frame: pd.DataFrame) -> list[str]:
    """Return in words, for each model, whether tuning changes the first linear map of the MLP most, after controls.

    Compared are the parts' local drifts less those of a random step of equal relative size, averaged over blocks and
    seeds; the lead of the first part over the second is called clear where its sign is the same in nine of ten
    resamples of the blocks. What does not drift more than tuning on shuffled labels makes it says nothing of the task.

    Args:
        frame: see `drift_frame`.
    """
    found = []
    for (task, model), rows in frame.groupby(["task", "model"], sort=True):
        local = rows.pivot_table(index="block", columns="part", values="local", aggfunc="mean")
        step = rows.pivot_table(index="block", columns="part", values="step_local", aggfunc="mean")
        if local.empty:
            continue
        raw = str(local.mean().idxmax())
        net = local - step if not step.empty else local
        order = net.mean().sort_values(ascending=False)
        first, second = str(order.index[0]), str(order.index[1]) if len(order) > 1 else ""
        text = f"{model} on {task}: the largest local drift is in {raw} ({local[raw].mean():.2g})"
        if step.empty:
            text += "; no control of equal relative step is stored"
        else:
            text += f"; less a random step of equal relative size it is in {first} ({order.iloc[0]:+.2g})"
        if second:
            clear = _clear(net[first].to_numpy() - net[second].to_numpy())
            text += f", {'clearly' if clear else 'not clearly'} before {second} ({order.iloc[1]:+.2g})"
        floor = rows[rows["part"] == first]["shuffled_local"].mean()
        above = not floor >= local[first].mean()
        if not np.isnan(floor):
            text += f"; tuned on shuffled labels it drifts {floor:.2g}"
        verdict = "yes" if first in FIRST and second and clear and above else "no"
        found.append(f"{text}. Strongest in the MLP's first linear map, after the controls: {verdict}.")
    return found


def _clear(lead: np.ndarray) -> bool:
    """Return whether the mean of a lead over blocks is positive in nine of ten resamples of the blocks."""
    rng = np.random.default_rng(0)
    draws = lead[rng.integers(0, len(lead), (2000, len(lead)))].mean(1)
    return bool((draws > 0).mean() >= 0.9)
