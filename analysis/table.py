"""Records -> tidy DataFrames: the leaderboard, the layer profiles, the models and the failures.

Column names are defined here and nowhere else; what follows reads these frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.cells import Cell, Draws, RecordSource, cells, draw, grouped, position
from analysis.intervals import RESAMPLES, percentile
from analysis.profiles import Regret, final_layer_regret, holm
from bench.core import Record

LEADERBOARD = (
    *("task", "model", "origin", "parent", "protocol", "layer", "fraction", "metric", "score", "low", "high"),
    *("n_test", "trained_on_this", "record", "variant", "standing", "spread", "subsets", "seeds"),
    *("chosen_layer", "chosen_depth", "pool", "setting", "edge", "val", "objective", "parameters", "n_train"),
    *("blocks", "direction", "metric_label", "unit", "kind", "generated", "recipe", "suite", "notes"),
)
"""Columns of `Tables.leaderboard`; every further metric of a run follows under its own name."""
LAYERS = (
    *("task", "model", "origin", "parent", "protocol", "fraction", "layer", "depth", "pool", "setting", "metric"),
    *("val", "test", "low", "high", "spread", "chosen", "chosen_share", "last", "final_layer_regret", "regret_low"),
    *("regret_high", "regret_p", "regret_p_holm", "n_test", "subsets", "direction", "metric_label", "unit"),
    *("generated", "variant", "record"),
)
MODELS = (
    *("model", "origin", "objective", "parent", "parameters", "depth", "version", "weights", "licence"),
    *("trained_on_this", "reference"),
)
FAILURES = ("task", "model", "protocol", "fraction", "subset", "seed", "error", "record")

CHOSEN, LAST = "best-on-val", "last"
FEW_BLOCKS = 10
NOTE_BREAK = " · "


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Everything a report says, as frames.

    Attributes:
        leaderboard: one row a (task, model, protocol, layer rule, fraction); see `LEADERBOARD`. An out-of-region split
            is the task ``name@split``. ``score`` is the mean over subsets and seeds, ``low`` and ``high`` the bootstrap
            interval of that mean over test samples, ``spread`` the standard deviation over subsets and seeds.
            ``standing`` is ``best``, or ``tie`` where the paired interval of the difference to the best row of the same
            task, protocol, rule and fraction holds 0.
        layers: one row a (task, model, protocol, fraction, layer); see `LAYERS`. Positive ``final_layer_regret`` means
            that the last layer is worse than the one chosen on validation; ``regret_p_holm`` corrects over all cells.
        models: one row a model; see `MODELS`.
        failures: one row a failed run; see `FAILURES`.
        suite, title: which suite.
        generated: its data were made by a program.
        provenance: what made the records: versions of data, protocols and software, each with every value met.
        replay: the commands that made them.
    """

    leaderboard: pd.DataFrame
    layers: pd.DataFrame
    models: pd.DataFrame
    failures: pd.DataFrame
    suite: str
    title: str
    generated: bool
    provenance: Mapping[str, str]
    replay: Sequence[str]


def tables(source: RecordSource, suite: str, *, resamples: int = RESAMPLES) -> Tables:
    """Return the tables of a suite, from its records alone; equal records give equal tables.

    Args:
        source: where the records are.
        suite: its name.
        resamples: bootstrap resamples of each test set.
    """
    records = list(source.records(suite))
    board: list[dict[str, Any]] = []
    profiles: list[list[dict[str, Any]]] = []
    for group in grouped(cells(records), lambda cell: cell.test_set).values():
        drawn = list(zip(group, draw(source, group, resamples), strict=True))
        most = max(draws.samples for _, draws in drawn)
        ranked = [(_row(cell, rule, one, most), one.rules.get(rule)) for cell, one in drawn for rule in cell.rules]
        _rank(ranked)
        board += [row for row, _ in ranked]
        profiles += [_layer_rows(cell, draws) for cell, draws in drawn if cell.records[0].curves]
    board.sort(key=_board_order)
    profiles.sort(key=lambda rows: [rows[0][name] for name in ("task", "model", "protocol", "fraction", "variant")])
    for rows, p in zip(profiles, holm([rows[0]["regret_p"] for rows in profiles]), strict=True):
        for row in rows:
            row["regret_p_holm"] = p
    further = sorted({name for row in board for name in row} - set(LEADERBOARD))
    return Tables(
        leaderboard=pd.DataFrame(board, columns=[*LEADERBOARD, *further]),
        layers=pd.DataFrame([row for rows in profiles for row in rows], columns=list(LAYERS)),
        models=_models(records),
        failures=_failures(records),
        suite=suite,
        title=next((str(record.facts["title"]) for record in records if record.facts), ""),
        generated=any(record.facts.get("generated") for record in records),
        provenance=_provenance(records),
        replay=sorted({str(r.environment["command"]) for r in records if "command" in r.environment}),
    )


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as mappings from column name to value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _board_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    worst = np.isnan(row["score"])
    score = 0.0 if worst else row["score"] * _sign(row["direction"])
    return (row["task"], row["protocol"], row["layer"], row["fraction"], worst, -score, row["model"], row["variant"])


def _sign(direction: str) -> int:
    return -1 if direction == "min" else 1


def _shared(cell: Cell, draws: Draws) -> dict[str, Any]:
    """Return the columns that both tables have."""
    key, facts = cell.key, cell.facts
    return {
        "task": cell.task,
        "model": key.model,
        "origin": facts["origin"],
        "parent": facts.get("parent", ""),
        "protocol": key.protocol,
        "fraction": key.fraction,
        "metric": cell.metric,
        "metric_label": facts.get("metric_label", cell.metric),
        "direction": facts["direction"],
        "unit": facts.get("unit", "") if cell.metric in ("rmse", "mae") else "",
        "n_test": draws.samples,
        "subsets": len({record.key.subset for record in cell.records}),
        "generated": bool(facts["generated"]),
        "variant": cell.variant,
        "record": " ".join(sorted(cell.digests)),
    }


def _row(cell: Cell, rule: str, draws: Draws, most: int) -> dict[str, Any]:
    """Return one leaderboard row; `most` is the number of samples of the model that could read the most."""
    facts, values = cell.facts, cell.values(rule)
    choices = [record.choices.get(rule, {}) for record in cell.records]
    places = sorted(position(record, rule) for record in cell.records)
    layers = [cell.records[0].curves[place] for place in places if cell.records[0].curves]
    low, high = percentile(draws.rules[rule]) if rule in draws.rules else (np.nan, np.nan)
    every = {name for record in cell.records for name in record.scores[cell.split].get(rule, {})}
    return _shared(cell, draws) | {
        "layer": rule,
        "score": float(np.mean(values)),
        "low": float(low),
        "high": float(high),
        "trained_on_this": facts.get("trained_on_this", "unknown"),
        "standing": "",
        "spread": _spread(values),
        "seeds": " ".join(str(seed) for seed in sorted({record.key.seed for record in cell.records})),
        "chosen_layer": _joined(layer["layer"] for layer in layers),
        "chosen_depth": float(np.mean([layer["depth"] for layer in layers])) if layers else np.nan,
        "pool": _joined(choice.get("pool", "") for choice in choices),
        "setting": _joined(choice.get("setting", "") for choice in choices),
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
        **{name: float(np.mean(cell.values(rule, name))) for name in sorted(every)},
    }


def _notes(cell: Cell, draws: Draws, most: int) -> str:
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


def _rank(ranked: Sequence[tuple[dict[str, Any], np.ndarray | None]]) -> None:
    """Fill ``standing``: the best of each protocol, rule and fraction, and who cannot be told from it."""
    setting = ("protocol", "layer", "fraction")
    for group in grouped(ranked, lambda pair: tuple(pair[0][name] for name in setting)).values():
        rivals = sorted(group, key=lambda pair: _board_order(pair[0]))
        top, best = rivals[0]
        if np.isnan(top["score"]):
            continue
        top["standing"] = "best"
        for row, draws in rivals[1:]:
            if best is None or draws is None:
                continue
            lead = _sign(row["direction"]) * (best - draws)
            row["standing"] = "tie" if percentile(lead)[0] <= 0 else ""


def _layer_rows(cell: Cell, draws: Draws) -> list[dict[str, Any]]:
    """Return the profile of one cell, a row a layer in depth order."""
    chosen = Counter(position(record, CHOSEN) for record in cell.records if CHOSEN in record.choices)
    favourite = min(chosen, key=lambda place: (-chosen[place], place)) if chosen else -1
    first = cell.records[0]
    last = position(first, LAST) if LAST in first.choices else len(first.curves) - 1
    regret = _regret(cell, draws)
    shared = _shared(cell, draws)
    rows = []
    for place, layer in enumerate(first.curves):
        each = [record.curves[place] for record in cell.records]
        test = [float(row[cell.split]) for row in each]
        rows.append(
            shared
            | {
                "layer": layer["layer"],
                "depth": layer["depth"],
                "pool": _joined(row["pool"] for row in each),
                "setting": _joined(row["setting"] for row in each),
                "val": float(np.mean([row["val"] for row in each])),
                "test": float(np.mean(test)),
                "low": np.nan if draws.low is None else draws.low[place],
                "high": np.nan if draws.high is None else draws.high[place],
                "spread": _spread(test),
                "chosen": place == favourite,
                "chosen_share": chosen[place] / len(cell.records),
                "last": place == last,
                "final_layer_regret": regret.value,
                "regret_low": regret.low,
                "regret_high": regret.high,
                "regret_p": regret.p,
            }
        )
    return rows


def _regret(cell: Cell, draws: Draws) -> Regret:
    """Return the regret of a cell; NaN for a model of one layer, or without both rules."""
    if len(cell.records[0].curves) < 2 or not {CHOSEN, LAST} <= set(cell.rules):
        return Regret(value=np.nan, low=np.nan, high=np.nan, p=np.nan)
    both = (draws.rules[CHOSEN], draws.rules[LAST]) if draws.rules else None
    chosen, last = (float(np.mean(cell.values(rule))) for rule in (CHOSEN, LAST))
    return final_layer_regret(chosen, last, both, direction=cell.facts["direction"])


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def _joined(values: Iterable[Any]) -> str:
    """Return the distinct values in order of appearance, ``/`` between them."""
    return "/".join(dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values))


def _models(records: Iterable[Record]) -> pd.DataFrame:
    found = {}
    for record in records:
        key, facts = record.key, record.facts
        if not facts:
            continue
        found[key.model, key.model_version, key.weights] = {
            "model": key.model,
            "origin": facts["origin"],
            "objective": facts.get("objective", ""),
            "parent": facts.get("parent", ""),
            "parameters": int(facts.get("parameters", 0)),
            "depth": facts.get("depth", 0),
            "version": key.model_version,
            "weights": key.weights,
            "licence": facts.get("licence", ""),
            "trained_on_this": facts.get("trained_on_this", "unknown"),
            "reference": facts.get("reference", ""),
        }
    return pd.DataFrame([found[name] for name in sorted(found)], columns=list(MODELS))


def _failures(records: Iterable[Record]) -> pd.DataFrame:
    rows = [
        {
            **{name: getattr(record.key, name) for name in FAILURES[:6]},
            "error": record.error,
            "record": record.digest,
        }
        for record in records
        if record.status == "failed"
    ]
    rows.sort(key=lambda row: tuple(row[name] for name in FAILURES[:6]))
    return pd.DataFrame(rows, columns=list(FAILURES))


def _provenance(records: Iterable[Record]) -> dict[str, str]:
    """Return every value met of what made the records; when they were made is left out."""
    met: dict[str, set[str]] = {}
    for record in records:
        key = record.key
        facts = {
            "suite version": key.suite_version,
            "split hash": key.split_hash[:16],
            "data licence": record.facts.get("suite_licence", ""),
            "about the data": record.facts.get("suite_notes", ""),
            "protocols": f"{key.protocol} version {key.protocol_version}"
            + "".join(f" {name}={value}" for name, value in sorted(key.settings.items())),
            **{name: value for name, value in record.environment.items() if name not in ("command", "time")},
        }
        for name, value in facts.items():
            if value not in ("", None):
                met.setdefault(name, set()).add(str(value))
    return {name: ", ".join(sorted(values)) for name, values in met.items()}
