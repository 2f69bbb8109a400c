"""Drift: its controls are there, no training gives no drift, and what cannot be compared is refused."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from bench.features.activations import activations, parts_of
from bench.finetuning.weight_change import weight_change
from bench.protocols import drift
from bench.runs.carry_out import carry_out
from tests.builders.arms import COUNTS, ENTRY, SUITE, TASKS, a_run, a_workbench, new_session

QUICK = {"steps": 12, "learning_rates": (3e-3,), "batch": 12, "backbone_rate": 0.5, "evaluations": 2}


def a_drift(**settings):
    return a_run(protocol=drift, **{**QUICK, **settings})


@pytest.fixture
def network(tmp_path):
    return a_workbench(tmp_path)


def test_an_unchanged_copy_has_no_drift_at_all(network):
    before, examples = network.own_backbone(), network.images("val")
    after = copy.deepcopy(before)
    parts = parts_of(before, ["*"])
    means = activations(before, examples, network.recipe, parts, batch=8, other=after)
    later = activations(after, examples, network.recipe, parts, batch=8)
    for name in parts:
        assert np.array_equal(means[name], means[f"local/{name}"]) and np.array_equal(means[name], later[name])
    rows = weight_change(before, after, parts)
    assert all(row["relative_change"] == 0 and math.isnan(row["effective_rank"]) for row in rows)


def test_drift_of_tuning_with_its_controls(tmp_path):
    session = new_session(tmp_path)
    record = carry_out(a_drift(samples=24), session)
    assert record.status == "ok", record.error
    arrays = session.store.arrays(record)
    for name in ("before/block_2", "after/block_2", "before/block_2.fc1", "after/block_2.fc1", "local/block_2.fc1",
                 "shuffled/block_2.fc1", "shuffled_local/block_2.fc1", "step_local/block_2.fc1"):  # fmt: skip
        assert arrays[name].shape[0] == COUNTS["val"] == len(arrays["ids"]), name
    assert not np.array_equal(arrays["before/block_4.fc1"], arrays["after/block_4.fc1"])
    parts = {row["part"] for row in record.curves}
    assert parts == {"norm1", "qkv", "proj", "norm2", "fc1", "fc2"} and len(record.curves) == 4 * 6
    assert all(row["relative_change"] > 0 and row["shuffled_relative_change"] > 0 for row in record.curves)
    rules = set(record.scores["test"])
    assert rules == {"tuned", "rewound all", *(f"rewound {part}" for part in parts)}
    assert any("random step of" in note for note in record.notes)


def test_no_steps_no_drift(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.optim.AdamW.step", lambda self: None)
    session = new_session(tmp_path)
    record = carry_out(a_drift(samples=24, controls=("shuffled",)), session)
    assert record.status == "ok", record.error
    arrays = session.store.arrays(record)
    for name in arrays:
        if name.startswith(("after/", "shuffled/")):
            assert np.array_equal(arrays[name], arrays[f"before/{name.partition('/')[2]}"]), name
        if name.startswith(("local/", "shuffled_local/")):
            assert np.array_equal(arrays[name], arrays[f"before/{name.partition('/')[2]}"]), name
    assert {row["relative_change"] for row in record.curves} == {0.0}
    tuned = record.scores["test"]["tuned"]
    assert all(scores == tuned for scores in record.scores["test"].values())


def test_what_has_no_weights_before_and_after_is_refused():
    def reason(**settings):
        (arm,) = drift.PROTOCOL.arms(drift.Settings(**settings), TASKS["kind"])
        return drift.refuses(ENTRY, SUITE, TASKS["kind"], arm)

    assert "use full, or one type of module" in reason(tuning="lora")
    assert not reason(tuning="fc1")
    assert reason(split="moon") == "toy has no split moon; known: train, val, test"
