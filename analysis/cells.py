"""Records -> cells: the runs that one table row averages, and their bootstrap draws from shared resamples."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np

from analysis.intervals import ADDITIVE, block_codes, percentile, resample_weights, score_draws
from bench.core import Record, RunKey, canonical, sha256_of
from bench.errors import BenchError

# What two records may differ in besides subset and seed without anybody having declared it: never pooled.
AXES = ("suite_version", "split_hash", "model_version", "weights", "recipe", "protocol_version", "settings")

LARGE = 1 << 25  # resampling weights kept as float32 up to this many

Item = TypeVar("Item")
Group = TypeVar("Group", bound=Hashable)


class RecordSource(Protocol):
    """What a report reads: `bench.store.Store`, or anything else that gives records and their arrays."""

    def records(self, suite: str | None = None) -> Iterator[Record]:
        """Yield the records of one suite, or of all, in a fixed order."""
        ...

    def arrays(self, record: Record) -> Mapping[str, np.ndarray]:
        """Return the arrays of a record by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Runs that differ in subset and seed alone, seen on one test split.

    Attributes:
        task: task name; ``name@split`` on a split other than ``test``.
        split: the split scored.
        variant: what sets it apart from runs of the same model, protocol and fraction; empty where there are none.
        records: the runs that succeeded, by subset and seed.
        failed: how many failed.
    """

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

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """The digests of its records, in their order."""
        return tuple(record.digest for record in self.records)

    @property
    def metric(self) -> str:
        """Its headline metric."""
        return str(self.facts["metric"])

    @property
    def rules(self) -> list[str]:
        """The layer rules it has scores for, sorted."""
        return sorted(self.records[0].scores[self.split])

    @property
    def test_set(self) -> tuple[str, int, str, str, str]:
        """What names the samples it was scored on."""
        return (self.key.suite, self.key.suite_version, self.key.split_hash, self.key.task, self.split)

    def values(self, rule: str, metric: str = "") -> list[float]:
        """Return a metric (the headline one by default) of each record."""
        scores = (record.scores[self.split].get(rule, {}) for record in self.records)
        return [score.get(metric or self.metric, float("nan")) for score in scores]


@dataclass(kw_only=True)
class Draws:
    """Bootstrap draws of a cell, averaged over its records.

    Attributes:
        rules: layer rule -> score in each resample, (B,).
        low, high: 95 % bounds at every layer, (L,).
        samples, blocks: what was resampled.
        reason: why there are no draws; empty where there are.
    """

    rules: dict[str, np.ndarray] = field(default_factory=dict)
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    samples: int = 0
    blocks: int = 0
    reason: str = ""


def grouped(items: Iterable[Item], key: Callable[[Item], Group]) -> dict[Group, list[Item]]:
    """Return the items by key, in order of first appearance."""
    groups: dict[Group, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def cells(records: Iterable[Record]) -> list[Cell]:
    """Return the cells of records, sorted; records that differ in an undeclared axis are never put into one."""
    groups = grouped(
        records, lambda r: (r.key.task, r.key.model, r.key.protocol, r.key.fraction, canonical(_axes(r.key)))
    )
    rivals = grouped(groups, lambda name: name[:4])
    found = []
    for name in sorted(groups):
        members = sorted(groups[name], key=lambda record: (record.key.subset, record.key.seed))
        ok = tuple(record for record in members if record.status == "ok")
        variant = _variant(members[0].key, [groups[rival][0].key for rival in rivals[name[:4]]])
        for split in ok[0].scores if ok else ():
            task = name[0] if split == "test" else f"{name[0]}@{split}"
            failed = len(members) - len(ok)
            found.append(Cell(task=task, split=split, variant=variant, records=ok, failed=failed))
    return found


def _axes(key: RunKey) -> dict[str, Any]:
    """Return the undeclared axes of a key, nested mappings spelt with dots."""
    flat: dict[str, Any] = {}
    for axis in AXES:
        value = getattr(key, axis)
        if isinstance(value, Mapping):
            flat |= {f"{axis}.{name}": part for name, part in value.items()}
        else:
            flat[axis] = value
    return flat


def _variant(key: RunKey, rivals: Sequence[RunKey]) -> str:
    """Return the axes in which a key differs from any of its rivals, with its values."""
    axes = [_axes(rival) for rival in rivals]
    own = _axes(key)
    parts = []
    for name in sorted({name for each in axes for name in each}):
        if len({canonical(each.get(name)) for each in axes}) == 1:
            continue
        text = canonical(own[name]).strip('"') if name in own else "default"
        if name in ("split_hash", "weights"):
            text = text[:12]
        parts.append(f"{name}={text if len(text) <= 60 else sha256_of(own[name])[:8]}")
    return " ".join(parts)


def draw(source: RecordSource, group: Sequence[Cell], resamples: int) -> list[Draws]:
    """Return the bootstrap draws of cells that share a test set, all read from the same resamples.

    The weights cover the union of the cells' blocks, and their seed is the test set's name: a model that joins later
    moves nobody's interval.
    """
    seen: dict[bytes, np.ndarray] = {}
    marks: dict[str, bytes] = {}
    for cell in group:
        for digest, record in zip(cell.digests, cell.records, strict=True):
            blocks = _read(source, record, cell.split, ("blocks",)).get("blocks")
            if blocks is not None:
                marks[digest] = hashlib.sha256(f"{blocks.dtype}".encode() + blocks.tobytes()).digest()
                seen.setdefault(marks[digest], blocks)
    names = np.unique(np.concatenate(list(seen.values()))) if seen else np.empty(0, "U1")
    seed = int(sha256_of(group[0].test_set)[:16], 16)
    weights = resample_weights(len(names), resamples, np.random.default_rng(seed)) if len(names) else np.ones((1, 0))
    if weights.size <= LARGE:
        weights = weights.astype(np.float32)  # once, not for every record
    codes = {mark: block_codes(blocks, names) for mark, blocks in seen.items()}
    where = {digest: codes[mark] for digest, mark in marks.items()}
    return [_draw_cell(source, cell, where, weights) for cell in group]


def _draw_cell(source: RecordSource, cell: Cell, codes: Mapping[str, np.ndarray], weights: np.ndarray) -> Draws:
    found = Draws(samples=int(cell.facts.get("n_test", 0)) if cell.split == "test" else 0)
    if cell.metric not in ADDITIVE and cell.metric != "map":
        found.reason = f"no interval: none is defined for {cell.metric}"
        return found
    total: np.ndarray | float = 0.0
    for digest, record in zip(cell.digests, cell.records, strict=True):
        outcome = _read(source, record, cell.split, ("target", "prediction", "confusion", "errors"))
        if digest not in codes or not {"prediction", "confusion", "errors"} & set(outcome):
            return Draws(reason=f"no interval: outcomes of {digest} missing or damaged", samples=found.samples)
        where = codes[digest]
        found.samples, found.blocks = max(found.samples, len(where)), max(found.blocks, len(np.unique(where)))
        points, draws = score_draws(cell.metric, outcome, len(cell.facts["classes"]), where, weights)
        places = {rule: position(record, rule) for rule in cell.rules}
        stored = [record.scores[cell.split][rule][cell.metric] for rule in places]
        if not np.allclose(points[list(places.values())], stored, rtol=1e-3, atol=1e-3, equal_nan=True):
            found.reason = f"no interval: the stored outcomes of {digest} do not give its stored score"
        total = total + draws / len(cell.records)
        for rule, place in places.items():
            found.rules[rule] = found.rules.get(rule, 0.0) + draws[:, place] / len(cell.records)
    if weights.shape[1] < 2:
        found.reason = f"no interval: {weights.shape[1]} resampling block, 2 are needed"
    if found.reason:
        return Draws(reason=found.reason, samples=found.samples, blocks=found.blocks)
    found.low, found.high = percentile(np.asarray(total))
    return found


def position(record: Record, rule: str) -> int:
    """Return the index among a record's layers of the one a rule took; 0 where it has no layers."""
    names = [row["layer"] for row in record.curves]
    return names.index(record.choices[rule]["layer"]) if names else 0


def _read(source: RecordSource, record: Record, split: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return those of the named arrays of a split that are stored and whole."""
    found = {}
    try:
        arrays = source.arrays(record)
        for name in names:
            if f"{split}.{name}" in arrays:
                found[name] = arrays[f"{split}.{name}"]
    except (BenchError, OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return {}
    return found
