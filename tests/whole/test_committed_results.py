"""The records that are committed are what was written: every one carries its checksums, and they are right."""

from __future__ import annotations

from pathlib import Path

from bench.store import Store

RESULTS = Path(__file__).parents[2] / "results"


def test_committed_records_are_sealed_and_sound():
    store = Store(RESULTS)
    assert [fault.text for fault in store.faults()] == []
    assert len(list(store.records())) == len(list(RESULTS.glob("*/records/*.json"))) > 400
