"""A run whose headline score is no number has failed, and says why; other splits may lack theirs, by name."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from bench.core import Outcome, Task
from bench.core.errors import Incompatible
from bench.protocols import knn, probe
from bench.protocols.contract.selection import Candidate, choose
from bench.runs.carry_out import carry_out
from bench.runs.scored import with_scores
from tests.builders.sessions import SUITE, a_run, new_session
from tests.builders.suite_and_model import ToySplit, toy_suite

AMOUNT = SUITE.tasks[1]
COUNTS = {"train": 60, "val": 30, "test": 30, "far": 5}


def outcome(**scores):
    return Outcome(
        scores={split: {"last": {"r2": value}} for split, value in scores.items()}, choices={}, curves=[], arrays={}
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_headline_that_is_no_number_fails_the_run(value):
    with pytest.raises(Incompatible, match=r"R² on test is .* under last: the test targets, or all predictions"):
        with_scores(AMOUNT, outcome(test=value))
    with pytest.raises(Incompatible, match="R² on test is nan under last"):
        with_scores(AMOUNT, dataclasses.replace(outcome(), scores={"test": {"last": {"rmse": 1.0}}}))


def test_a_further_split_without_a_score_is_noted():
    assert with_scores(AMOUNT, outcome(test=0.5, far=0.25)).notes == ()
    (note,) = with_scores(AMOUNT, outcome(test=0.5, far=math.nan)).notes
    assert note.startswith("far: R² on far is nan under last")
    assert with_scores(AMOUNT, outcome()).notes == ()  # a study of representations has no scores


class Constant(ToySplit):
    """All values of one split are alike."""

    where = "far"

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        alike = self.ids[0].startswith(self.where)
        return sample._replace(target=np.array([4.0], np.float32)) if alike else sample


def constant_suite(where, metric="r2"):
    kind = type("Where", (Constant,), {"where": where})
    task = dataclasses.replace(AMOUNT, metric=metric)
    return toy_suite(
        tasks=(task,), splits=COUNTS, open=lambda root, name, split, bands: kind(name, split, COUNTS[split], bands)
    )


@pytest.mark.parametrize("protocol", [probe, knn])
def test_constant_targets_of_a_further_split_leave_the_run_and_name_the_split(tmp_path, protocol):
    suite = constant_suite("far")
    record = carry_out(a_run(0, protocol, suite=suite), new_session(tmp_path, suite))
    assert record.status == "ok" and math.isfinite(record.scores["test"]["last"]["r2"])
    assert any(note.startswith("far: R² on far is nan") for note in record.notes)


@pytest.mark.parametrize("metric", ["r2", "rmse"])
@pytest.mark.parametrize("protocol", [probe, knn])
def test_constant_targets_of_test_fail_where_the_metric_needs_them_to_vary(tmp_path, protocol, metric):
    suite = constant_suite("test", metric)
    record = carry_out(a_run(0, protocol, suite=suite), new_session(tmp_path, suite))
    assert record.status == ("failed" if metric == "r2" else "ok"), record.error
    if metric == "r2":
        assert "toy amount test: no test sample can be scored: a target is the same" in record.error


def test_a_protocol_that_gives_no_number_is_a_failed_record(tmp_path, monkeypatch):
    """Whatever the protocol: nothing without a headline score is stored as ok."""
    run = a_run(0)
    scores = {"test": {"last": {"accuracy": math.nan}}}
    empty = dataclasses.replace(
        run.protocol, run=lambda context: Outcome(scores=scores, choices={}, curves=[], arrays={})
    )
    record = carry_out(dataclasses.replace(run, protocol=empty), new_session(tmp_path))
    assert record.status == "failed" and "accuracy on test is nan under last" in record.error
    assert record.scores == {} and record.arrays == ()


def test_no_candidate_with_a_number_is_no_choice():
    candidates = [
        Candidate(layer=0, pool="mean", setting=1.0, edge=False, score=score) for score in (math.nan, -math.inf)
    ]
    with pytest.raises(Incompatible, match="no validation sample can be scored"):
        choose(candidates, 1)
    better = dataclasses.replace(candidates[0], score=-3.0)
    assert choose([*candidates, better], 1).by_layer == (better,)


def test_labels_that_no_test_sample_has_are_refused(tmp_path):
    labels = Task(name="labels", kind="multilabel", classes=("a", "b"), metric="map")

    class Labels(ToySplit):
        def __getitem__(self, index):
            known, present = not self.ids[0].startswith("test"), self.label(index) > 0
            return super().__getitem__(index)._replace(target=known * np.array([int(present), int(not present)]))

        def targets(self):
            return np.stack([self[i].target for i in range(len(self))])

    suite = toy_suite(tasks=(labels,), splits=COUNTS, open=lambda r, t, s, b: Labels(t, s, COUNTS[s], b))
    record = carry_out(a_run(0, suite=suite), new_session(tmp_path, suite))
    assert record.status == "failed" and "no sample has any of the labels" in record.error
