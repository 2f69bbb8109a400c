"""Records -> tidy DataFrames: the leaderboard, the layer profiles, and what lies behind them.

Column names are defined here, and in `analysis.sources` for models and failures; what follows reads these frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.behind import ARMS, CALIBRATION, CLASSES, REGIONS, Behind, Drawn, shared_columns
from analysis.beside import Beside
from analysis.cards import Card, cards
from analysis.cells import Cell, RecordSource, cells, grouped, position
from analysis.draws import Draws, draw
from analysis.intervals import RESAMPLES, percentile
from analysis.profiles import Regret, final_layer_regret, holm
from analysis.sources import failures_of, models_of, provenance_of
from bench.core import Record

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
FEW_BLOCKS = 10
MOST_DRAWING = 4  # processes: each holds the outcomes of a test set
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
            ``peak_depth`` is where the test profile is highest, with its interval; ``peak_chance`` the share of
            resamples in which this layer is the best.
        models: one row a model; see `analysis.sources.MODELS`.
        failures: one row a failed run; see `analysis.sources.FAILURES`.
        classes, regions, calibration: one row a class, region and bin of confidence of each leaderboard row at the most
            labels of its task; see `CLASSES`, `REGIONS`, `CALIBRATION`.
        arms: one row a fine-tuned run and test split; see `ARMS`.
        suite, title: which suite.
        generated: its data were made by a program.
        provenance: what made the records: versions of data, protocols and software, each with every value met.
        replay: the commands that made them.
        cards: what each command made, with all that it takes to make it again.
        drawn: name of a leaderboard row (`row_name`) -> its bootstrap draws and halves, for comparing settings.
        each: record and split of an arm -> its draws.
        records: by digest.
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
    classes: pd.DataFrame
    regions: pd.DataFrame
    calibration: pd.DataFrame
    arms: pd.DataFrame
    cards: Sequence[Card]
    drawn: Mapping[tuple[Any, ...], Drawn] = field(repr=False)
    each: Mapping[tuple[str, str], np.ndarray] = field(repr=False)
    records: Mapping[str, Record] = field(repr=False)


def tables(source: RecordSource, suite: str, *, resamples: int = RESAMPLES, processes: int = 0) -> Tables:
    """Return the tables of a suite, from its records alone; equal records give equal tables.

    Args:
        source: where the records are.
        suite: its name.
        resamples: bootstrap resamples of each test set.
        processes: that draw beside this one, see `analysis.beside.spare_processes`.
    """
    named = {record.digest: record for record in source.records(suite)}
    records = list(named.values())
    board: list[dict[str, Any]] = []
    profiles: list[list[dict[str, Any]]] = []
    more = Behind()
    groups = list(grouped(cells(named), lambda cell: cell.test_set).values())
    every = Beside(partial(_draw, source, resamples), groups, min(processes, MOST_DRAWING)).results()
    for group, draws_of in zip(groups, every, strict=True):
        drawn = list(zip(group, draws_of, strict=True))
        most = max(draws.samples for _, draws in drawn)
        ranked = [(_row(cell, rule, one, most), one.rules.get(rule)) for cell, one in drawn for rule in cell.rules]
        _rank(ranked)
        board += [row for row, _ in ranked]
        profiles += [_layer_rows(cell, draws) for cell, draws in drawn if cell.records[0].curves]
        more.add(drawn)
    board.sort(key=_board_order)
    profiles.sort(key=lambda rows: [rows[0][name] for name in ("task", "model", "protocol", "fraction", "variant")])
    for rows, p in zip(profiles, holm([rows[0]["regret_p"] for rows in profiles]), strict=True):
        for row in rows:
            row["regret_p_holm"] = p
    further = sorted({name for row in board for name in row} - set(LEADERBOARD))
    return Tables(
        leaderboard=pd.DataFrame(board, columns=[*LEADERBOARD, *further]),
        layers=pd.DataFrame([row for rows in profiles for row in rows], columns=list(LAYERS)),
        models=models_of(records),
        failures=failures_of(records),
        suite=suite,
        title=next((str(record.facts["title"]) for record in records if record.facts), ""),
        generated=any(record.facts.get("generated") for record in records),
        provenance=provenance_of(records),
        replay=sorted({str(r.environment["command"]) for r in records if "command" in r.environment}),
        cards=cards(named),
        classes=more.frame(more.classes, CLASSES),
        regions=more.frame(more.regions, REGIONS),
        calibration=more.frame(more.calibration, CALIBRATION),
        arms=more.frame(more.arms, ARMS),
        drawn=more.drawn,
        each=more.each,
        records=named,
    )


def _draw(source: RecordSource, resamples: int, group: Sequence[Cell]) -> list[Draws]:
    return draw(source, group, resamples)


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as mappings from column name to value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _board_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    worst = np.isnan(row["score"])
    score = 0.0 if worst else row["score"] * _sign(row["direction"])
    where = (row["task"], row["protocol"], row["decoder"], row["tuning"], row["layer"], row["fraction"])
    return (*where, worst, -score, row["model"], row["variant"])


def _sign(direction: str) -> int:
    return -1 if direction == "min" else 1


def _row(cell: Cell, rule: str, draws: Draws, most: int) -> dict[str, Any]:
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
        "spread": _spread(values),
        **cell.arm,
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
        **_costs(cell),
        **{name: float(np.mean(cell.values(rule, name))) for name in sorted(every)},
    }


def _costs(cell: Cell) -> dict[str, Any]:
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
        "device": _joined(record.environment.get("device", "") for record in cell.records),
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
    setting = ("protocol", "decoder", "tuning", "layer", "fraction")
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
    shared = shared_columns(cell, draws)
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
                **_peak(draws, place),
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


def _peak(draws: Draws, place: int) -> dict[str, float]:
    peak = draws.peak
    if peak is None:
        return {}
    bounds = {"peak_depth": peak.depth, "peak_low": peak.low, "peak_high": peak.high}
    return bounds | {"peak_chance": float(peak.chance[place])}


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def _joined(values: Iterable[Any]) -> str:
    """Return the distinct values in order of appearance, ``/`` between them."""
    return "/".join(dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values))
