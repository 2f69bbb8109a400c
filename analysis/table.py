"""Records -> tidy DataFrames: the leaderboard, the layer profiles, the models and the failures.

Column names are defined here and nowhere else. Whatever follows reads these frames.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from analysis.intervals import RESAMPLES, block_codes, percentile, resample_weights, score_draws
from analysis.profiles import final_layer_regret, holm
from bench.core import Record, RunKey, canonical, sha256_of
from bench.errors import BenchError

LEADERBOARD = (
    *("task", "model", "origin", "parent", "protocol", "layer", "fraction", "metric", "score", "low", "high"),
    *("n_test", "trained_on_this", "record", "variant", "rank_note", "spread", "subsets", "seeds"),
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
MODELS = ("model", "origin", "objective", "parent", "parameters", "depth", "version", "weights", "licence", "reference")
FAILURES = ("task", "model", "protocol", "fraction", "subset", "seed", "error", "record")

CHOSEN, LAST = "best-on-val", "last"
FEW_BLOCKS = 10
# What two records may differ in besides subset and seed without anybody having declared it: never pooled.
AXES = ("suite_version", "split_hash", "model_version", "weights", "recipe", "protocol_version", "settings")


class RecordSource(Protocol):
    """What a report reads: `bench.store.Store`, or anything that gives records and their arrays."""

    def records(self, suite: str | None = None) -> Iterator[Record]:
        """Yield the records of one suite, or of all, in a fixed order."""
        ...

    def arrays(self, record: Record) -> Mapping[str, np.ndarray]:
        """Return the arrays of a record by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Everything a report says, as frames.

    Attributes:
        leaderboard: one row a (task, model, protocol, layer rule, fraction); see `LEADERBOARD`. An out-of-region split
            is the task ``name@split``. ``rank_note`` is ``best``, or ``tie`` where the paired interval of the
            difference to the best row of the same task, protocol, rule and fraction holds 0.
        layers: one row a (task, model, protocol, fraction, layer); see `LAYERS`. Positive ``final_layer_regret`` means
            that the last layer is worse than the one chosen on validation; ``regret_p_holm`` corrects over all cells.
        models: one row a model; see `MODELS`.
        failures: one row a failed run; see `FAILURES`.
    """

    leaderboard: pd.DataFrame
    layers: pd.DataFrame
    models: pd.DataFrame
    failures: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Records that differ in subset and seed alone, seen on one test split."""

    task: str
    split: str
    variant: str
    records: tuple[Record, ...]
    failed: int = 0

    @property
    def key(self) -> RunKey:
        """The key of its first record."""
        return self.records[0].key

    @property
    def facts(self) -> Mapping[str, Any]:
        """The facts of its first record."""
        return self.records[0].facts


@dataclass(kw_only=True)
class Draws:
    """Bootstrap draws of a cell, averaged over its records; `reason` says why there are none."""

    rules: dict[str, np.ndarray] = field(default_factory=dict)
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    samples: int = 0
    blocks: int = 0
    reason: str = ""


def tables(source: RecordSource, suite: str, *, resamples: int = RESAMPLES) -> Tables:
    """Return the tables of a suite, from its records alone; equal records give equal tables.

    Args:
        source: where the records are.
        suite: its name.
        resamples: bootstrap resamples of each test set.
    """
    records = list(source.records(suite))
    board: list[dict[str, Any]] = []
    layers: list[list[dict[str, Any]]] = []
    for group in _grouped(cells(records), lambda cell: _test_set(cell)).values():
        drawn = draw(source, group, resamples)
        rows = [_row(cell, rule, one) for cell, one in zip(group, drawn, strict=True) for rule in _rules(cell)]
        noted = [one.rules.get(rule) for cell, one in zip(group, drawn, strict=True) for rule in _rules(cell)]
        _rank(rows, noted)
        board += rows
        layers += [_layer_rows(cell, one) for cell, one in zip(group, drawn, strict=True) if cell.records[0].curves]
    board.sort(key=_board_order)
    layers.sort(key=lambda rows: tuple(rows[0][name] for name in ("task", "model", "protocol", "fraction", "variant")))
    for rows, p in zip(layers, holm([rows[0]["regret_p"] for rows in layers]), strict=True):
        for row in rows:
            row["regret_p_holm"] = p
    further = sorted({name for row in board for name in row} - set(LEADERBOARD))
    return Tables(
        leaderboard=pd.DataFrame(board, columns=[*LEADERBOARD, *further]),
        layers=pd.DataFrame([row for rows in layers for row in rows], columns=list(LAYERS)),
        models=_models(records),
        failures=_failures(records),
    )


def cells(records: Iterable[Record]) -> list[Cell]:
    """Return the cells of records in a fixed order; what differs in an undeclared axis is apart, named by `variant`."""
    groups = _grouped(records, lambda r: (r.key.task, r.key.model, r.key.protocol, r.key.fraction, _axes_text(r.key)))
    rivals = _grouped(groups, lambda name: name[:4])
    found = []
    for name in sorted(groups):
        ok = tuple(r for r in sorted(groups[name], key=lambda r: (r.key.subset, r.key.seed)) if r.status == "ok")
        if not ok:
            continue
        variant = _variant(ok[0].key, [groups[other][0].key for other in rivals[name[:4]]])
        failed = len(groups[name]) - len(ok)
        for split in ok[0].scores:
            task = name[0] if split == "test" else f"{name[0]}@{split}"
            found.append(Cell(task=task, split=split, variant=variant, records=ok, failed=failed))
    return found


def draw(source: RecordSource, group: Sequence[Cell], resamples: int) -> list[Draws]:
    """Return the bootstrap draws of cells that share a test set, all from the same resamples."""
    seen: dict[bytes, np.ndarray] = {}
    for cell in group:
        for record in cell.records:
            blocks = _read(source, record, cell.split).get("blocks")
            if blocks is not None:
                seen.setdefault(_fingerprint(blocks), blocks)
    names = np.unique(np.concatenate(list(seen.values()))) if seen else np.empty(0, "U1")
    if len(names) < 2:
        reason = f"no interval: {len(names)} resampling block" if seen else "no interval: no outcomes stored"
        return [Draws(reason=reason, samples=_samples(source, cell), blocks=len(names)) for cell in group]
    seed = int(sha256_of(list(_test_set(group[0])))[:16], 16)
    weights = resample_weights(len(names), resamples, np.random.default_rng(seed))
    codes = {mark: block_codes(blocks, names) for mark, blocks in seen.items()}
    return [_draw_cell(source, cell, codes, weights) for cell in group]


def _draw_cell(source: RecordSource, cell: Cell, codes: Mapping[bytes, np.ndarray], weights: np.ndarray) -> Draws:
    total: np.ndarray | None = None
    found = Draws()
    for record in cell.records:
        outcome = _read(source, record, cell.split)
        try:
            where = codes[_fingerprint(outcome["blocks"])]
            points, draws = score_draws(cell.facts["metric"], outcome, len(cell.facts["classes"]), where, weights)
        except KeyError as error:
            return Draws(reason=f"no interval: no outcomes of {error.args[0]} stored", samples=_samples(source, cell))
        claimed = np.array([row[cell.split] for row in record.curves], dtype=np.float64)
        if points.shape != claimed.shape or not np.allclose(points, claimed, rtol=1e-3, atol=1e-3, equal_nan=True):
            return Draws(reason=f"no interval: stored outcomes of {record.digest} do not give its stored scores")
        total = draws if total is None else total + draws
        for rule in _rules(cell):
            found.rules[rule] = found.rules.get(rule, 0) + draws[:, _position(record, rule)] / len(cell.records)
        found.samples = max(found.samples, len(where))
        found.blocks = max(found.blocks, len(np.unique(where)))
    assert total is not None
    found.low, found.high = percentile(total / len(cell.records))
    return found


def _read(source: RecordSource, record: Record, split: str) -> dict[str, np.ndarray]:
    raise NotImplementedError
