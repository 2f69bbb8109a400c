"""Column names of every frame that the analysis makes or reads, and how a row is named.

A frame that is written as a CSV has its columns here; functions that fill a frame describe the values of its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import pandas as pd

Row: TypeAlias = Mapping[str, Any]
"""One row of a table: column name -> text, number or flag, as its column in this file has it."""
MutableRow: TypeAlias = dict[str, Any]
"""A `Row` that is still being filled."""
ARM = ("decoder", "tuning", "taps")
"""Columns that distinguish the arms of one protocol; empty for protocols without; see `bench.protocols.finetune`."""
SETTING = ("protocol", "protocol_settings", "decoder", "tuning", "layer")
"""How a score was obtained from a model: the protocol, its settings, its arm, and the layer rule."""
ROW = ("task", "model", "variant", "protocol", "protocol_settings", "decoder", "tuning", "layer", "fraction")
"""Columns that together name a row of the leaderboard."""

# Records -> frames (`analysis.tables`).

LEADERBOARD = (
    *("task", "model", "origin", "parent", "protocol", "layer", "fraction", "metric", "score", "low", "high"),
    *("n_test", "trained_on_this", "record", "variant", "standing", "spread", "subsets", "seeds"),
    *("decoder", "tuning", "taps", "protocol_settings", "twins"),
    *("chosen_layer", "chosen_depth", "pool", "setting", "edge", "val", "objective", "parameters", "n_train"),
    *("blocks", "direction", "metric_label", "unit", "kind", "generated", "recipe", "suite", "notes"),
    *("seconds", "image_seconds", "step_seconds", "flops", "trained_parameters", "device"),
)
"""Columns of `Tables.leaderboard`; every further metric of a run follows under its own name."""
LAYERS = (
    *("task", "model", "origin", "parent", "protocol", "fraction", "layer", "depth", "pool", "setting", "metric"),
    *("val", "test", "low", "high", "spread", "chosen", "chosen_share", "last"),
    *("final_layer_regret", "regret_low", "regret_high", "regret_p", "regret_p_holm"),
    *("peak_depth", "peak_low", "peak_high", "peak_chance"),
    *("n_test", "subsets", "direction", "metric_label", "unit", "generated", "variant", "record"),
    *("protocol_settings", "twins"),
)
CLASSES = (*ROW, "class", "truth", "iou", "f1", "recall", "precision", "metric")
REGIONS = (*ROW, "region", "samples", "score", "metric_label", "direction", "unit")
CALIBRATION = (*ROW, "bin", "count", "confidence", "accuracy")
ARMS = (
    *("task", "model", "origin", "variant", "protocol_settings", *ARM, "fraction", "subset", "seed", "score", "metric"),
    "record",
)
MODELS = (
    *("model", "origin", "objective", "parent", "parameters", "depth", "version", "weights", "licence"),
    *("trained_on_this", "reference"),
)
FAILURES = ("task", "model", "protocol", "fraction", "subset", "seed", "error", "record")

# Answers computed from those frames (`analysis.findings`).

AGREEMENT_PAIRS = ("first", "second", "tau", "low", "high", "p", "ceiling", "models")
"""One row per pair of settings."""
LABEL_AREAS = (
    *("task", *SETTING, "model", "variant", "origin", "fractions", "area", "low", "high"),
    *("metric_label", "unit", "direction"),
)
OVERALL = (
    *(*SETTING, "fraction", "model", "origin", "mean_rank", "rank_low", "rank_high"),
    *("iqm", "iqm_low", "iqm_high", "iqm_tasks", "tasks", "normaliser"),
)
"""``tasks`` are ranked, ``iqm_tasks`` of them enter the interquartile mean."""
DRIFT = (
    *("task", "model", "seed", "block", "depth", "part", "total", "local", "shuffled", "shuffled_local", "step_local"),
    *("seed_floor", "relative_change", "one_minus_cosine", "effective_rank", "shuffled_relative_change", "parameters"),
    *("low", "high", "generated", "record"),
)
"""``low`` and ``high`` bound ``local`` (delete-block jackknife over images)."""
REWINDING = ("task", "model", "seed", "split", "part", "tuned", "lost")
MULTI_SCALE = (
    *("task", "model", "tuning", "fraction", "several", "several_layer", "single", "single_layer"),
    *("gain", "low", "high"),
)

# Published numbers.

PUBLISHED = (
    *("model", "suite", "task", "metric", "value", "low", "high", "spread", "spread_of", "protocol", "fraction"),
    *("setting", "same_test", "differences", "dataset", "model_printed", "metric_printed", "printed"),
    *("source", "where", "url", "seen", "status", "note"),
)
"""Columns of ``results/published/published.csv``; what each means is in ``results/published/README.md``."""
COMPARISON = (
    *("suite", "task", "model", "metric", "direction", "ours", "low", "high", "published", "published_low"),
    *("published_high", "published_spread", "difference", "within", "differences", "protocol", "layer", "fraction"),
    *("variant", "setting", "same_test", "source", "where", "seen", "status", "record"),
)

# Words in these columns.

CHOSEN, LAST = "best-on-val", "last"
"""The layer rules of frozen probes: the layer chosen on validation, and the last one."""
CONTROLS = ("random", "baseline")
"""Origins of models that are controls rather than candidates."""
NOTE_BREAK = " · "


def row_name(row: Mapping[str, object]) -> tuple[object, ...]:
    """Return the values that name a leaderboard row: those of `ROW`."""
    return tuple(row[name] for name in ROW)


def model_label(row: Row) -> str:
    """Return the model of a row with its twins and variant, e.g. ``dofa_base (recipe.size=[96,96])``."""
    names = f"{row['model']} = {row['twins']}" if row.get("twins") else str(row["model"])
    return f"{names} ({row['variant']})" if row["variant"] else names


def curve_label(row: Mapping[str, object]) -> str:
    """Return `model_label` with the settings of the protocol, for figures that name the protocol elsewhere."""
    return f"{model_label(row)} ({row['protocol_settings']})" if row["protocol_settings"] else model_label(row)


def label_amount(fraction: float) -> float:
    """Return a sort key for label fractions: few-shot subsets first, then by the amount of labels."""
    return fraction if fraction > 0 else -fraction / 1e6


def as_rows(frame: pd.DataFrame) -> list[MutableRow]:
    """Return the rows of a frame as mappings from column name to value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def first_row(frame: pd.DataFrame) -> MutableRow:
    """Return the first row of a frame as a mapping from column name to value."""
    return as_rows(frame.iloc[:1])[0]
