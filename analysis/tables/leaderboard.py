"""Rows of the leaderboard: one per task, model, protocol, layer rule and label fraction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.statistics.intervals import percentile
from analysis.tables.bootstrap import GroupDraws
from analysis.tables.breakdowns import shared_columns
from analysis.tables.columns import NOTE_BREAK
from analysis.tables.run_groups import RunGroup, grouped, position

FEW_BLOCKS = 10


def board_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the sort key of a leaderboard row: by task, then best score first, failures last."""
    worst = np.isnan(row["score"])
    score = 0.0 if worst else row["score"] * _sign(row["direction"])
    where = (row["task"], row["protocol"], row["decoder"], row["tuning"], row["layer"], row["fraction"])
    return (*where, worst, -score, row["model"], row["variant"])


def _sign(direction: str) -> int:
    return -1 if direction == "min" else 1


def leaderboard_row(cell: RunGroup, rule: str, draws: GroupDraws, most: int) -> dict[str, Any]:
    """Return one leaderboard row; `most` is the number of samples of the model that could read the most."""
    facts, values = cell.facts, cell.values(rule)
    choices = [record.choices.get(rule, {}) for record in cell.records]
    places = sorted(position(record, rule) for record in cell.records)
    layers = [cell.records[0].curves[place] for place in places if cell.records[0].curves]
    low, high = percentile(draws.rules[rule]) if rule in draws.rules else (np.nan, np.nan)
    every = {name for record in cell.records for name in record.scores[cell.split].get(rule, {})}
    return shared_columns(cell, draws) | {
        "layer": rule,
        "score": float(np.mean(values)),
        "low": float(low),
        "high": float(high),
        "trained_on_this": facts.get("trained_on_this", "unknown"),
        "standing": "",
        "spread": subset_spread(values),
        **cell.arm,
        "seeds": " ".join(str(seed) for seed in sorted({record.key.seed for record in cell.records})),
        "chosen_layer": joined_notes(layer["layer"] for layer in layers),
        "chosen_depth": float(np.mean([layer["depth"] for layer in layers])) if layers else np.nan,
        "pool": joined_notes(choice.get("pool", "") for choice in choices),
        "setting": joined_notes(choice.get("setting", "") for choice in choices),
        "edge": any(choice.get("edge") for choice in choices),
        "val": float(np.mean([choice.get("val", np.nan) for choice in choices])),
        "objective": facts.get("objective", ""),
        "parameters": int(facts.get("parameters", 0)),
        "n_train": round(float(np.mean([record.facts.get("n_train", 0) for record in cell.records]))),
        "blocks": draws.blocks,
        "kind": facts["kind"],
        "recipe": facts.get("input", ""),
        "suite": cell.key.suite,
        "notes": _notes(cell, draws, most),
        **_costs(cell),
        **{name: float(np.mean(cell.values(rule, name))) for name in sorted(every)},
    }


def _costs(cell: RunGroup) -> dict[str, Any]:
    """Return what a run of the cell costs, each number averaged over the runs that have it."""

    def mean(name: str) -> float:
        found = [float(record.cost[name]) for record in cell.records if name in record.cost]
        return float(np.mean(found)) if found else np.nan

    # A pass that read the cache says nothing about the speed of the network.
    passes = [(r.cost.get("extraction_seconds", 0.0), r.cost.get("passes", 0.0)) for r in cell.records]
    images = [seconds / count for seconds, count in passes if seconds > 0 and count > 0]
    names = ("seconds", "step_seconds", "flops", "trained_parameters")
    return {name: mean(name) for name in names} | {
        "image_seconds": float(np.mean(images)) if images else np.nan,
        "device": joined_notes(record.environment.get("device", "") for record in cell.records),
    }


def _notes(cell: RunGroup, draws: GroupDraws, most: int) -> str:
    notes = [note for record in cell.records for note in record.notes]
    if draws.reason:
        notes.append(draws.reason)
    elif draws.blocks < FEW_BLOCKS:
        notes.append(f"interval from {draws.blocks} blocks only")
    if draws.samples < most:
        notes.append(f"scored on {draws.samples} of {most} samples")
    if cell.failed:
        notes.append(f"{cell.failed} of {cell.failed + len(cell.records)} runs failed")
    return NOTE_BREAK.join(dict.fromkeys(notes))


def rank_rows(ranked: Sequence[tuple[dict[str, Any], np.ndarray | None]]) -> None:
    """Fill ``standing``: the best of each protocol, rule and fraction, and who cannot be told from it."""
    setting = ("protocol", "decoder", "tuning", "layer", "fraction")
    for group in grouped(ranked, lambda pair: tuple(pair[0][name] for name in setting)).values():
        rivals = sorted(group, key=lambda pair: board_order(pair[0]))
        top, best = rivals[0]
        if np.isnan(top["score"]):
            continue
        top["standing"] = "best"
        for row, draws in rivals[1:]:
            if best is None or draws is None:
                continue
            lead = _sign(row["direction"]) * (best - draws)
            row["standing"] = "tie" if percentile(lead)[0] <= 0 else ""


def subset_spread(values: Sequence[float]) -> float:
    """Return the standard deviation over label subsets and seeds; NaN for a single run."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def joined_notes(values: Iterable[Any]) -> str:
    """Return the distinct values in order of appearance, ``/`` between them."""
    return "/".join(dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values))
