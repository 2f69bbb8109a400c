"""RecordSource: what a report reads, and the check that a record holds what a report needs."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Protocol

import numpy as np

from bench.core import Record
from bench.core.errors import BenchError
from bench.store import Fault

UNREADABLE = (BenchError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""Errors of a file of arrays that is missing or damaged."""
FACTS = ("title", "origin", "generated")
SCORED_FACTS = ("kind", "metric", "direction", "classes")
CURVE = ("layer", "depth", "pool", "setting", "val")


class RecordSource(Protocol):
    """Source of a report's records: `bench.store.Store`, or another holder of records and their arrays."""

    def suites(self) -> list[str]:
        """Return the names of the suites with records, sorted."""
        ...

    def records(self, suite: str | None = None) -> Iterator[Record]:
        """Yield the readable records of one suite, or of all, in a fixed order."""
        ...

    def faults(self, suite: str | None = None) -> Sequence[Fault]:
        """Return the records of one suite, or of all, that cannot be read."""
        ...

    def arrays(self, record: Record) -> Mapping[str, np.ndarray]:
        """Return the arrays of a record by name."""
        ...


def read_suite(source: RecordSource, suite: str) -> tuple[dict[str, Record], list[str]]:
    """Return the complete records of a suite by digest, and why each of the others is left out.

    Args:
        source: where the records are.
        suite: its name.
    """
    records, left_out = {}, [fault.text for fault in source.faults(suite) if fault.damaged]
    for record in source.records(suite):
        fault = record_fault(record)
        if fault:
            left_out.append(f"record {record.digest} {fault}; delete it and run again")
        else:
            records[record.digest] = record
    return records, left_out


def record_fault(record: Record) -> str:
    """Return the parts that a report needs and the record lacks; empty for a complete record.

    Args:
        record: of any protocol, successful or failed.
    """
    facts = record.facts
    if record.status == "failed" and not facts:
        return ""
    scored = record.status == "ok" and bool(facts.get("board", True))
    if lacking := [name for name in (*FACTS, *(SCORED_FACTS if scored else ())) if name not in facts]:
        return f"states no {', '.join(lacking)}"
    if not scored:
        return ""
    if facts["direction"] not in ("max", "min"):
        return f"has the direction {facts['direction']!r}, which is neither 'max' nor 'min'"
    if not isinstance(facts["classes"], Sequence) or not all(isinstance(name, str) for name in facts["classes"]):
        return "has classes that are not a list of names"
    if not record.scores or not all(record.scores.values()):
        return "holds no scores"
    return _scores_fault(record) or _curves_fault(record)


def _scores_fault(record: Record) -> str:
    for split, rules in record.scores.items():
        for rule, scores in rules.items():
            if not all(_is_number(value) for value in scores.values()):
                return f"holds a score that is not a number ({split}, {rule})"
    return ""


def _curves_fault(record: Record) -> str:
    layers = set()
    for row in record.curves:
        needed = (*CURVE, *record.scores)
        if lacking := [name for name in needed if name not in row]:
            return f"holds a curve without {', '.join(lacking)}"
        if not all(_is_number(row[name]) for name in ("depth", "val", *record.scores)):
            return "holds a curve whose values are not numbers"
        layers.add(row["layer"])
    rules = {rule for rules in record.scores.values() for rule in rules}
    for rule in rules if record.curves else ():
        if record.choices.get(rule, {}).get("layer") not in layers:
            return f"holds no layer of its curve for the rule {rule!r}"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def read_arrays(source: RecordSource, record: Record, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of a record that are stored; none if its file is missing or damaged.

    Args:
        source: where the arrays are.
        record: whose arrays.
        names: which of them; None for all.
    """
    try:
        arrays = source.arrays(record)
        return {name: np.asarray(arrays[name]) for name in (arrays if names is None else names) if name in arrays}
    except UNREADABLE:
        return {}
