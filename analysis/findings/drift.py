"""Drift under fine-tuning, from stored activations: by block and sub-module, with noise floors and controls.

Total drift is 1 - debiased CKA between the outputs of a sub-module for the same images before and after tuning. Local
drift is the same with the pretrained input fed to both versions of the sub-module, so that changes in the layers below
it do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.similarity.arrays import require_same_ids
from analysis.similarity.measures import linear_cka
from analysis.similarity.resampling import row_blocks
from analysis.tables.columns import DRIFT, REWINDING
from analysis.tables.source import RecordSource
from bench.core import Record
from bench.metrics import direction_sign

PARTS = ("norm1", "qkv", "q", "k", "v", "proj", "norm2", "fc1", "fc2", "fc3")
FIRST = ("fc1", "fc3")  # first linear maps of an MLP; gated MLPs have two
GROUPS = 10
LEAD_SHARE = 0.9  # of resamples of the blocks: a lead with the same sign in this share is called clear


def drift(x: np.ndarray, y: np.ndarray) -> float:
    """Return 1 - debiased linear CKA of (n, p) and (n, q), 0 for equal arrays; NaN if either is constant."""
    if x.shape == y.shape and np.array_equal(x, y):
        return 0.0
    try:
        return 1.0 - linear_cka(x.astype(np.float64), y.astype(np.float64))
    except ValueError:
        return float("nan")


def drift_frame(source: RecordSource, records: Iterable[Record]) -> pd.DataFrame:
    """Return one row per task, model, seed, block and part of the stored drift records; columns `DRIFT`.

    ``seed_floor`` is the mean total drift between the tuned copies of different seeds, i.e. the drift between repeated
    tunings; NaN with one seed.

    Args:
        source: where their arrays are.
        records: of a suite; other protocols are ignored.
    """
    rows: list[dict[str, object]] = []
    for group in _grouped(r for r in records if r.key.protocol == "drift" and r.status == "ok"):
        arrays = [dict(source.arrays(record)) for record in group]
        for each in arrays[1:]:
            require_same_ids(arrays[0]["ids"], each["ids"])
        for record, of_record in zip(group, arrays, strict=True):
            rows += [_row(record, of_record, arrays, row) for row in record.curves]
    return pd.DataFrame(rows, columns=list(DRIFT))


def _grouped(records: Iterable[Record]) -> list[list[Record]]:
    """Return the records of one task, model, label set and settings together, by seed."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        key = record.key
        name = (key.task, key.model, key.fraction, key.subset, str(sorted(key.settings.items())), str(key.recipe))
        groups.setdefault(name, []).append(record)
    return [sorted(groups[name], key=lambda record: record.key.seed) for name in sorted(groups, key=str)]


def _row(
    record: Record,
    arrays: Mapping[str, np.ndarray],
    all_seeds: Sequence[Mapping[str, np.ndarray]],
    row: Mapping[str, object],
) -> dict[str, object]:
    name = f"{row['layer']}.{row['part']}"
    before = arrays[f"before/{name}"]
    against = {
        "total": f"after/{name}",
        "local": f"local/{name}",
        "shuffled": f"shuffled/{name}",
        "shuffled_local": f"shuffled_local/{name}",
        "step_local": f"step_local/{name}",
    }
    drifts = {what: drift(before, arrays[key]) if key in arrays else np.nan for what, key in against.items()}
    pairs = [drift(a[f"after/{name}"], b[f"after/{name}"]) for a, b in combinations(all_seeds, 2)]
    blocks = [str(each["layer"]) for each in record.curves]
    order = list(dict.fromkeys(blocks))
    low, high = _bounds(before, arrays[f"local/{name}"])
    return {
        "task": record.key.task,
        "model": record.key.model,
        "seed": record.key.seed,
        "block": row["layer"],
        "depth": (order.index(str(row["layer"])) + 1) / len(order),
        "part": row["part"],
        **drifts,
        "seed_floor": float(np.mean(pairs)) if pairs else np.nan,
        **{key: row.get(key, np.nan) for key in DRIFT if key in row and key not in ("part",)},
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
    """Return the loss in test score when all sub-modules of a type are reset to pretrained weights; see `REWINDING`."""
    rows = []
    for record in records:
        if record.key.protocol != "drift" or record.status != "ok":
            continue
        metric = str(record.facts["metric"])
        sign = direction_sign(str(record.facts["direction"]))
        for split, rules in record.scores.items():
            tuned = rules["tuned"][metric]
            for rule, scores in rules.items():
                if rule.startswith("rewound "):
                    row = {"task": record.key.task, "model": record.key.model, "seed": record.key.seed, "split": split}
                    part = rule.removeprefix("rewound ")
                    rows.append(row | {"part": part, "tuned": tuned, "lost": sign * (tuned - scores[metric])})
    return pd.DataFrame(rows, columns=list(REWINDING))


@dataclass(frozen=True, kw_only=True)
class DriftAnswer:
    """Which sub-module of one model tuning changes most.

    Local drifts are averaged over blocks and seeds. Net drift is the local drift minus that of a random step of equal
    relative size; without such a control in the records it is the local drift itself.

    Attributes:
        task, model: of the records.
        largest: sub-module with the largest local drift.
        largest_drift: its local drift.
        controlled: whether a random step of equal relative size is stored.
        first: sub-module with the largest net drift.
        first_drift: its net drift.
        second: sub-module with the second largest net drift; empty if there is only one.
        second_drift: its net drift; NaN if there is only one.
        clear: whether the lead of `first` over `second` has one sign in nine of ten resamples of the blocks.
        shuffled_drift: local drift of `first` after tuning on shuffled labels; NaN if not stored.
        mlp_first: whether tuning changes the first linear map of the MLP most: `first` is that map, its lead is clear,
            and tuning on shuffled labels changes it less.
    """

    task: str
    model: str
    largest: str
    largest_drift: float
    controlled: bool
    first: str
    first_drift: float
    second: str
    second_drift: float
    clear: bool
    shuffled_drift: float
    mlp_first: bool


def drift_answers(frame: pd.DataFrame) -> list[DriftAnswer]:
    """Return, for each task and model, which sub-module tuning changes most, after controls.

    Args:
        frame: see `drift_frame`.
    """
    answers = []
    for (task, model), rows in frame.groupby(["task", "model"], sort=True):
        local = rows.pivot_table(index="block", columns="part", values="local", aggfunc="mean")
        step = rows.pivot_table(index="block", columns="part", values="step_local", aggfunc="mean")
        if local.empty:
            continue
        largest = str(local.mean().idxmax())
        net = local - step if not step.empty else local
        order = net.mean().sort_values(ascending=False)
        first, second = str(order.index[0]), str(order.index[1]) if len(order) > 1 else ""
        clear = bool(second) and _clear(net[first].to_numpy() - net[second].to_numpy())
        shuffled = float(rows[rows["part"] == first]["shuffled_local"].mean())
        answers.append(
            DriftAnswer(
                task=str(task),
                model=str(model),
                largest=largest,
                largest_drift=float(local[largest].mean()),
                controlled=not step.empty,
                first=first,
                first_drift=float(order.iloc[0]),
                second=second,
                second_drift=float(order.iloc[1]) if second else float("nan"),
                clear=clear,
                shuffled_drift=shuffled,
                mlp_first=first in FIRST and clear and not shuffled >= local[first].mean(),
            )
        )
    return answers


def _clear(lead: np.ndarray) -> bool:
    """Return whether the mean of a lead over blocks is positive in `LEAD_SHARE` of the resamples of the blocks."""
    rng = np.random.default_rng(0)
    draws = lead[rng.integers(0, len(lead), (2000, len(lead)))].mean(1)
    return bool((draws > 0).mean() >= LEAD_SHARE)
