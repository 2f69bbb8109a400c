"""How numbers, intervals, metrics, settings and models are written; every report uses these functions.

One rounding rule: the scores of a task are written with the same number of decimals everywhere, see `task_digits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from analysis.tables.columns import CHOSEN, Row, label_amount
from bench.metrics import METRICS

HEADLINE = ("probe", CHOSEN)
"""The (protocol, layer rule) that orders the models of a board, if it was run."""
ARROWS = {"max": "↑", "min": "↓"}


def most_labels(frame: pd.DataFrame) -> list[float]:
    """Return the label fractions of a frame, from most labels to fewest."""
    return sorted(frame["fraction"].unique(), key=label_amount, reverse=True)


def digits(metric: str, scores: Iterable[float]) -> int:
    """Return the decimals of scores: three for a metric of at most 1, else about three significant digits.

    Args:
        metric: name of the metric.
        scores: all scores that are written with these decimals.

    >>> digits("r2", [0.5, -12.0]), digits("rmse", [12.3]), digits("rmse", [431.0, float("nan")])
    (3, 2, 1)
    """
    if metric in METRICS and METRICS[metric].high <= 1:
        return 3
    largest = max((abs(value) for value in scores if np.isfinite(value)), default=0.0)
    return 3 if largest < 2 else 2 if largest < 100 else 1 if largest < 1000 else 0


def task_digits(board: pd.DataFrame) -> dict[str, int]:
    """Return the decimals of each task's scores, from all rows of the task in a leaderboard."""
    return {
        str(task): digits(str(rows["metric"].iloc[0]), rows["score"])
        for task, rows in board.groupby("task", sort=False)
    }


def number(value: float, decimals: int) -> str:
    """Return a score as printed, rounded half to even; a dash for NaN.

    >>> number(0.12345, 3), number(-0.0001, 3), number(float("nan"), 3)
    ('0.123', '0.000', '-')
    """
    return "-" if np.isnan(value) else f"{round(value, decimals) + 0.0:.{decimals}f}"  # + 0.0: no minus before zero


def interval(row: Row, decimals: int) -> str:
    """Return ``[low, high]`` of a row; empty without an interval.

    >>> interval({"low": 0.71, "high": 0.8049}, 3)
    '[0.710, 0.805]'
    """
    if np.isnan(row["low"]):
        return ""
    return f"[{number(row['low'], decimals)}, {number(row['high'], decimals)}]"


def count(value: float) -> str:
    """Return a number of parameters with a unit prefix.

    >>> count(86_600_000), count(800_000), count(0)
    ('86.6 M', '800 k', '0')
    """
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"


def adaptation(row: Row) -> str:
    """Return how a row adapted its model: the protocol, with decoder and tuning, and settings that distinguish it.

    >>> adaptation({"protocol": "finetune", "decoder": "fpn", "tuning": "lora", "protocol_settings": "steps=60"})
    'finetune fpn lora (steps=60)'
    """
    text = " ".join(part for part in (row["protocol"], row["decoder"], row["tuning"]) if part)
    return f"{text} ({row['protocol_settings']})" if row["protocol_settings"] else text


def metric_label(row: Mapping[str, object]) -> str:
    """Return the metric of a row with its unit.

    >>> metric_label({"metric_label": "RMSE", "unit": "t/ha"})
    'RMSE (t/ha)'
    """
    return str(row["metric_label"]) + (f" ({row['unit']})" if row["unit"] else "")


def origin(facts: Row) -> str:
    """Return the origin of a model's weights, with the entry it derives from."""
    return f"{facts['origin']} of {facts['parent']}" if facts["parent"] else str(facts["origin"])


def layer_text(row: Mapping[str, object]) -> str:
    """Return the layer a rule took, or the number of layers if subsets chose different ones."""
    names = str(row["chosen_layer"]).split("/")
    return names[0] if len(names) == 1 else f"{len(names)} layers"
