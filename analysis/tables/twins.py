"""Twins: entries that differ in name only have random twins with one network, which are one row of a table.

Two models at random init are twins in a run group if their networks are known to be equal (`facts["network"]` of their
records, with equal input recipes), or, for records without that fact, if their scores and outcomes are identical.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from analysis.tables.run_groups import RunGroup, grouped
from analysis.tables.source import RecordSource, read_arrays
from bench.core import Record, canonical


def merge_twins(groups: Sequence[RunGroup], source: RecordSource) -> list[RunGroup]:
    """Return the run groups with twins merged: the first model by name stays and lists the others.

    Args:
        groups: see `analysis.tables.run_groups.run_groups`.
        source: where the outcomes are.
    """
    merged: list[RunGroup | None] = list(groups)
    random = [place for place, group in enumerate(groups) if group.facts["origin"] == "random"]
    for comparable in grouped(random, lambda place: _comparable(groups[place])).values():
        if len(comparable) < 2:
            continue
        for places in grouped(comparable, lambda place: _identity(groups[place], source)).values():
            first, *others = sorted(places, key=lambda place: groups[place].key.model)
            merged[first] = replace(
                groups[first],
                twins=tuple(groups[place].key.model for place in others),
                twin_digests=tuple(digest for place in others for digest in groups[place].digests),
            )
            for place in others:
                merged[place] = None
    return [group for group in merged if group is not None]


def _comparable(group: RunGroup) -> Hashable:
    """Return everything that identifies a run group but its model."""
    key = group.key
    runs = tuple((record.key.subset, record.key.seed) for record in group.records)
    arm = canonical(group.arm)
    return (group.test_set, group.task, key.protocol, group.protocol_settings, arm, key.fraction, runs, group.variant)


def _identity(group: RunGroup, source: RecordSource) -> Hashable:
    """Return a value that only twins share."""
    networks = tuple(str(record.facts.get("network", "")) for record in group.records)
    if all(networks):
        return (networks, canonical([record.key.recipe for record in group.records]))
    return tuple(_outcome_hash(source, record) for record in group.records)


def _outcome_hash(source: RecordSource, record: Record) -> str:
    """Return a hash of a record's scores and per-sample outcomes; without outcomes its digest, which is unique."""
    arrays = read_arrays(source, record)
    if not arrays:
        return record.digest
    scores = json.dumps([record.scores, list(record.curves)], sort_keys=True, default=str)
    content = hashlib.sha256(scores.encode())
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        content.update(f"{name} {values.dtype} {values.shape}".encode())
        content.update(values.tobytes())
    return content.hexdigest()
