"""Bugs that gave plausible scores elsewhere: those that no other file of tests is about.

Wrong scale: test_protocols and test_cli (doctor). A misspelt layer: test_protocols, test_plan. Resume keys: test_plan,
test_features, test_config. The recorded seed, choice on test, unscored pixels: test_protocols, test_dense. No-data as a
class, absent classes: test_dense, test_protocols (metrics by hand).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.core.errors import Incompatible
from bench.probes.pooled import standardise
from bench.protocols import probe
from bench.runs.carry_out import carry_out
from bench.runs.labels import label
from tests.builders.sessions import ENTRY, SUITE, a_run, new_session
from tests.builders.suite_and_model import ToySplit, load_toy


def test_models_that_say_the_same_to_the_bit_are_found(tmp_path):
    """Three models with bit-identical outputs from a dead part, listed as three results."""
    session = new_session(tmp_path)
    other = dataclasses.replace(ENTRY, name="other_small")
    apart = dataclasses.replace(
        ENTRY, name="apart_small", load=lambda e, w, seed, bands: load_toy(e, w, seed + 9, bands)
    )
    for entry in (ENTRY, other, apart):
        run = a_run(0, entry=entry)
        carry_out(dataclasses.replace(run, key=dataclasses.replace(run.key, model=entry.name)), session)
    (named,) = {finding.about for finding in session.identical()}
    assert named == "other_small = toy_small"


def test_rows_of_features_are_those_of_the_labels(tmp_path):
    """Two loaders shuffled independently, then compared row by row."""
    session = new_session(tmp_path)
    run = a_run(0)
    features, _ = session.features(run, "train")
    features.ids = features.ids[::-1]
    with pytest.raises(Incompatible, match="rows are not the split's samples"):
        label(run, session.splits(run), session.store, features, "train")


def test_standardisation_sees_training_features_alone(tmp_path, monkeypatch):
    """Standardising before the split: validation and test leak into the scale."""
    seen = []

    def spy(train):
        seen.append(train.shape[1])
        return standardise(train)

    monkeypatch.setattr("bench.probes.pooled.standardise", spy)
    record = carry_out(a_run(0), new_session(tmp_path))
    assert record.status == "ok" and set(seen) == {record.facts["n_train"]}


def test_each_test_sample_counts_once(tmp_path):
    """A sampler that repeats samples to fill its last batch scores them twice."""

    class Odd(ToySplit):
        def __len__(self) -> int:
            return 37 if self.ids[0].startswith("test") else len(self.ids)

    def open_split(root, task, split, bands):
        odd = Odd(task, split, 37 if split == "test" else 60, bands)
        return odd

    suite = dataclasses.replace(SUITE, open=open_split)
    session = new_session(tmp_path, suite)
    session = dataclasses.replace(session, config=session.config.model_copy(update={"batch": 8}))
    record = carry_out(a_run(0, suite=suite), session)
    arrays = session.store.arrays(record)
    assert record.facts["n_test"] == 37 == len(set(arrays["test.ids"].tolist()))
    assert arrays["test.prediction"].shape[1] == 37
    hits = arrays["test.prediction"][-1] == arrays["test.target"]
    assert record.scores["test"]["last"]["accuracy"] == pytest.approx(np.mean(hits))


def test_an_error_inside_a_loader_is_told_as_it_is(tmp_path):
    """``except KeyError`` around a constructor, reported as "model not found"."""

    def broken(entry, weights, seed, bands):
        raise KeyError("pos_embed")

    record = carry_out(a_run(0, entry=dataclasses.replace(ENTRY, load=broken)), new_session(tmp_path))
    assert record.status == "failed" and "KeyError" in record.error and "pos_embed" in record.error
    assert "test_silent_bugs.py" in record.error and probe.__name__.rpartition(".")[2] == record.key.protocol
