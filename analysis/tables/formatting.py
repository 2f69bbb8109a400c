"""How numbers, intervals, metrics and label fractions are written in tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables.columns import CHOSEN, label_amount

HEADLINE = ("probe", CHOSEN)
"""The (protocol, layer rule) that orders the models of a board, where it was run."""
ARROWS = {"max": "↑", "min": "↓"}


def most_labels(frame: pd.DataFrame) -> list[float]:
    """Return the label fractions of a frame, from most labels to fewest."""
    return sorted(frame["fraction"].unique(), key=label_amount, reverse=True)


def digits(scores: pd.Series) -> int:
    """Return the decimals that tell scores of this size apart: three up to 2, then about three figures in all."""
    largest = float(np.nanmax(np.abs(scores.to_numpy(dtype=float)), initial=0.0))
    return 3 if largest < 2 else 2 if largest < 100 else 1 if largest < 1000 else 0


def number(value: float, decimals: int) -> str:
    """Return a score as printed; a dash where there is none."""
    return "-" if np.isnan(value) else f"{round(value, decimals) + 0.0:.{decimals}f}"  # + 0.0: no minus before zero


def adaptation(row: Mapping[str, Any]) -> str:
    """Return how a row adapted its model: the protocol, with decoder and tuning where it has them."""
    return " ".join(part for part in (row["protocol"], row["decoder"], row["tuning"]) if part)


def interval(row: Mapping[str, Any], decimals: int) -> str:
    """Return ``[low, high]``, or nothing where there is no interval."""
    if np.isnan(row["low"]):
        return ""
    return f"[{number(row['low'], decimals)}, {number(row['high'], decimals)}]"


def count(value: float) -> str:
    """Return a number of parameters as people write it: ``86.6 M``, ``800 k``, ``0``."""
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"


def metric_label(rows: pd.DataFrame) -> str:
    """Return the metric of a task's rows with its unit, e.g. ``RMSE (t/ha)``."""
    unit = str(rows["unit"].iloc[0])
    return str(rows["metric_label"].iloc[0]) + (f" ({unit})" if unit else "")


def origin(facts: Mapping[str, Any]) -> str:
    """Return where a model's weights come from, with the entry it derives from."""
    return f"{facts['origin']} of {facts['parent']}" if facts["parent"] else str(facts["origin"])


def layer_text(row: Mapping[str, Any]) -> str:
    """Return the layer a rule took; how many where subsets chose differently."""
    names = str(row["chosen_layer"]).split("/")
    return names[0] if len(names) == 1 else f"{len(names)} layers"
