"""Column names of the frames that the report is made of, and how a row is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

ARM = ("decoder", "tuning", "taps")
"""What sets arms of one protocol apart, each with a column of its own; see `bench.protocols.finetune.label`."""

ROW = ("task", "model", "variant", "protocol", "decoder", "tuning", "layer", "fraction")
"""Columns that name a row of the leaderboard."""
CLASSES = (*ROW, "class", "truth", "iou", "f1", "recall", "precision", "metric")
REGIONS = (*ROW, "region", "samples", "score", "metric_label", "direction", "unit")
CALIBRATION = (*ROW, "bin", "count", "confidence", "accuracy")
ARMS = ("task", "model", "origin", "variant", *ARM, "fraction", "subset", "seed", "score", "metric", "record")


def row_name(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what names a leaderboard row."""
    return tuple(row[name] for name in ROW)


def model_label(row: Mapping[str, Any]) -> str:
    """Return the model of a row with what sets it apart."""
    return f"{row['model']} ({row['variant']})" if row["variant"] else str(row["model"])


def label_amount(fraction: float) -> float:
    """Return a sort key that puts fractions after few-shot subsets, and more labels after fewer."""
    return fraction if fraction > 0 else -fraction / 1e6


LEADERBOARD = (
    *("task", "model", "origin", "parent", "protocol", "layer", "fraction", "metric", "score", "low", "high"),
    *("n_test", "trained_on_this", "record", "variant", "standing", "spread", "subsets", "seeds"),
    *("decoder", "tuning", "taps"),
    *("chosen_layer", "chosen_depth", "pool", "setting", "edge", "val", "objective", "parameters", "n_train"),
    *("blocks", "direction", "metric_label", "unit", "kind", "generated", "recipe", "suite", "notes"),
    *("seconds", "image_seconds", "step_seconds", "flops", "trained_parameters", "device"),
)
"""Columns of `Tables.leaderboard`; every further metric of a run follows under its own name."""
LAYERS = (
    *("task", "model", "origin", "parent", "protocol", "fraction", "layer", "depth", "pool", "setting", "metric"),
    *("val", "test", "low", "high", "spread", "chosen", "chosen_share", "last", "final_layer_regret", "regret_low"),
    *(
        "regret_high",
        "regret_p",
        "regret_p_holm",
        "peak_depth",
        "peak_low",
        "peak_high",
        "peak_chance",
        "n_test",
        "subsets",
        "direction",
        "metric_label",
        "unit",
    ),
    *("generated", "variant", "record"),
)
CHOSEN, LAST = "best-on-val", "last"
NOTE_BREAK = " · "


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as mappings from column name to value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
