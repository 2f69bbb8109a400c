"""Rows of the leaderboard: one per task, model, setting and label fraction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from analysis.statistics.intervals import percentile
from analysis.tables.bootstrap import GroupDraws
from analysis.tables.breakdowns import shared_columns
from analysis.tables.columns import NOTE_BREAK, SETTING, MutableRow, Row
from analysis.tables.run_groups import RunGroup, grouped, position
from bench.metrics import direction_sign

FEW_BLOCKS = 10


def board_order(row: Row) -> tuple[object, ...]:
    """Return the sort key of a leaderboard row: by task and setting, then best score first, rows without score last."""
    missing = np.isnan(row["score"])
    score = 0.0 if missing else row["score"] * direction_sign(row["direction"])
    where = (row["task"], *(row[name] for name in SETTING), row["fraction"])
    return (*where, missing, -score, row["model"], row["variant"])


def leaderboard_row(group: RunGroup, rule: str, draws: GroupDraws, most: int) -> MutableRow:
    """Return one leaderboard row.

    Args:
        group: the runs that the row averages.
        rule: its layer rule.
        draws: bootstrap draws of the group.
        most: largest number of test samples that any model of the test set was scored on.
    """
    facts, values = group.facts, group.values(rule)
    choices = [record.choices.get(rule, {}) for record in group.records]
    in_depth_order = sorted(group.records, key=lambda record: position(record, rule))
    layers = [record.curves[position(record, rule)] for record in in_depth_order if record.curves]
    low, high = percentile(draws.rules[rule]) if rule in draws.rules else (np.nan, np.nan)
    metrics = {name for record in group.records for name in record.scores[group.split].get(rule, {})}
    return shared_columns(group, draws) | {
        "layer": rule,
        "score": float(np.mean(values)),
        "low": float(low),
        "high": float(high),
        "trained_on_this": facts.get("trained_on_this", "unknown"),
        "standing": "",
        "spread": subset_spread(values),
        **group.arm,
        "seeds": " ".join(str(seed) for seed in sorted({record.key.seed for record in group.records})),
        "chosen_layer": distinct_values(layer["layer"] for layer in layers),
        "chosen_depth": float(np.mean([layer["depth"] for layer in layers])) if layers else np.nan,
        "pool": distinct_values(choice.get("pool", "") for choice in choices),
        "setting": distinct_values(choice.get("setting", "") for choice in choices),
        "edge": any(choice.get("edge") for choice in choices),
        "val": float(np.mean([choice.get("val", np.nan) for choice in choices])),
        "objective": facts.get("objective", ""),
        "parameters": int(facts.get("parameters", 0)),
        "n_train": round(float(np.mean([record.facts.get("n_train", 0) for record in group.records]))),
        "blocks": draws.blocks,
        "kind": facts["kind"],
        "recipe": facts.get("input", ""),
        "suite": group.key.suite,
        "notes": _notes(group, draws, most),
        **_costs(group),
        **{name: float(np.mean(group.values(rule, name))) for name in sorted(metrics)},
    }


def _costs(group: RunGroup) -> MutableRow:
    """Return the costs of a run of the group, each averaged over the runs that state it."""

    def mean(name: str) -> float:
        values = [float(record.cost[name]) for record in group.records if name in record.cost]
        return float(np.mean(values)) if values else np.nan

    # A pass that read cached features does not measure the speed of the network.
    passes = [(r.cost.get("extraction_seconds", 0.0), r.cost.get("passes", 0.0)) for r in group.records]
    per_image = [seconds / count for seconds, count in passes if seconds > 0 and count > 0]
    names = ("seconds", "step_seconds", "flops", "trained_parameters")
    return {name: mean(name) for name in names} | {
        "image_seconds": float(np.mean(per_image)) if per_image else np.nan,
        "device": distinct_values(record.environment.get("device", "") for record in group.records),
    }


def _notes(group: RunGroup, draws: GroupDraws, most: int) -> str:
    notes = [note for record in group.records for note in record.notes]
    if draws.reason:
        notes.append(draws.reason)
    elif draws.blocks < FEW_BLOCKS:
        notes.append(f"interval from {draws.blocks} blocks only")
    if draws.samples < most:
        notes.append(f"scored on {draws.samples} of {most} samples")
    if group.failed:
        notes.append(f"{group.failed} of {group.failed + len(group.records)} runs failed")
    return NOTE_BREAK.join(dict.fromkeys(notes))


def rank_rows(rows: Sequence[tuple[MutableRow, np.ndarray | None]]) -> None:
    """Fill ``standing`` of the rows of one test set: the best of each setting and fraction, and its statistical ties.

    Args:
        rows: leaderboard rows with their bootstrap draws (B,), None without.
    """
    for group in grouped(rows, lambda pair: tuple(pair[0][name] for name in (*SETTING, "fraction"))).values():
        rivals = sorted(group, key=lambda pair: board_order(pair[0]))
        top, best = rivals[0]
        if np.isnan(top["score"]):
            continue
        top["standing"] = "best"
        for row, draws in rivals[1:]:
            if best is None or draws is None:
                continue
            lead = direction_sign(row["direction"]) * (best - draws)
            row["standing"] = "tie" if percentile(lead)[0] <= 0 else ""


def subset_spread(values: Sequence[float]) -> float:
    """Return the standard deviation over label subsets and seeds; NaN for a single run."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def distinct_values(values: Iterable[object]) -> str:
    """Return the distinct values in order of appearance, separated by ``/``."""
    return "/".join(dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values))
