"""Drift from stored records: a planted one is found, its controls decide the answer."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.findings.drift import drift, drift_answers, drift_frame, rewinding
from analysis.report.statistics_text import drift_sentence
from bench.store import Store
from tests.builders.similarity import drift_record


def test_planted_drift_is_found_and_named(tmp_path):
    store = Store(tmp_path)
    for seed in (0, 1):
        drift_record(store, seed)
    frame = drift_frame(store, store.records("toy"))
    assert len(frame) == 2 * 3 * 2 and set(frame["part"]) == {"qkv", "fc1"}
    by = frame.groupby("part")["local"].mean()
    assert by["fc1"] > 2 * by["qkv"]
    assert frame["seed_floor"].between(0, 1).all() and (frame["shuffled_local"] < frame["local"] + 0.1).all()
    assert ((frame["low"] < frame["local"]) & (frame["local"] < frame["high"])).all()
    (answer,) = drift_answers(frame)
    assert (answer.first, answer.second) == ("fc1", "qkv") and answer.controlled and answer.clear and answer.mlp_first
    sentence = drift_sentence(answer)
    assert "it is largest in fc1" in sentence and "clearly ahead of qkv" in sentence and sentence.endswith("yes.")
    lost = rewinding(store.records("toy")).set_index(["seed", "part"])["lost"]
    assert lost.loc[(0, "fc1")] == pytest.approx(0.3) and lost.loc[(1, "qkv")] == pytest.approx(0.05)


def test_the_answer_is_no_where_attention_moved_most(tmp_path):
    store = Store(tmp_path)
    drift_record(store, 0, strongest="qkv")
    (answer,) = drift_answers(drift_frame(store, store.records("toy")))
    assert answer.first == "qkv" and not answer.mlp_first and drift_sentence(answer).endswith("no.")


def test_drift_that_shuffled_labels_bring_about_too_is_no_answer(tmp_path):
    store = Store(tmp_path)
    drift_record(store, 0)
    frame = drift_frame(store, store.records("toy"))
    (answer,) = drift_answers(frame.assign(shuffled_local=frame["local"] + 0.01))
    assert answer.first == "fc1" and answer.clear and not answer.mlp_first


def test_equal_arrays_have_no_drift_and_rotated_ones_none_to_speak_of():
    values = np.random.default_rng(0).normal(size=(50, 4))
    assert drift(values, values) == 0
    assert drift(values, 3 * values[:, ::-1] + 2) == pytest.approx(0, abs=1e-12)
    assert np.isnan(drift(values, np.ones((50, 4))))
