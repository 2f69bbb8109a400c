"""Provenance of records: their models, failures, and the versions of data and software that made them."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.tables.columns import FAILURES, MODELS
from bench.core import Record


def models_of(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row per model, version and weights; columns `MODELS`."""
    rows = {}
    for record in records:
        key, facts = record.key, record.facts
        if not facts:
            continue
        rows[key.model, key.model_version, key.weights] = {
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
    return pd.DataFrame([rows[name] for name in sorted(rows)], columns=list(MODELS))


def failures_of(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row per failed run; columns `FAILURES`."""
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


def provenance_of(records: Iterable[Record]) -> dict[str, str]:
    """Return all values of the versions, licences and software that made the records; times are left out."""
    values_of: dict[str, set[str]] = {}
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
                values_of.setdefault(name, set()).add(str(value))
    return {name: ", ".join(sorted(values)) for name, values in values_of.items()}
