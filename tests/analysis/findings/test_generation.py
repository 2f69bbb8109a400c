"""Verdicts on generated weights: intervals are paired over seeds, claims need every rival beaten and ten seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.findings.generation import (
    NOT_TESTED,
    chosen_arm,
    differences,
    error_overlap,
    paired_interval,
    verdicts,
)


def frame(scores, seeds=10, spread=0.01, val=None):
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.1, seeds)  # what a seed does to every arm
    return pd.DataFrame(
        {"arm": arm, "seed": seed, "val": (val or scores)[arm], "test": score + shared[seed] + rng.normal(0, spread)}
        for arm, score in scores.items()
        for seed in range(seeds)
    )


SCORES = {"scratch": 0.4, "prompt": 0.6, "trunk": 0.62, "noise": 0.6, "nearest": 0.7, "conditional": 0.65, "flow": 0.5}


def words(rows):
    return {verdict.claim: verdict for verdict in verdicts(rows)}


def test_an_interval_is_students_on_differences():
    values = [0.1, 0.3, 0.2, 0.25]
    mean, low, high = paired_interval(values)
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (low, high) == pytest.approx(expected) and mean == pytest.approx(np.mean(values))


def test_differences_are_paired_by_seed():
    rows = frame(SCORES, spread=0.0)
    assert differences(rows, "conditional", "trunk") == pytest.approx([0.03] * 10)


def test_claims_are_supported_or_not_and_those_not_tested_are_named():
    by_claim = words(frame(SCORES))
    assert by_claim["beats training from scratch"].words == "supported"
    assert by_claim["beats the prompt it starts from"].against == "trunk"
    assert by_claim["beats the prompt it starts from"].words == "supported"
    assert by_claim["beats the nearest member (retrieval)"].words == "not supported: it is worse"
    assert by_claim["beats the best member"].words == "not tested here"  # that arm was not run
    assert all(by_claim[claim].words == "not tested here" for claim in NOT_TESTED)


def test_no_difference_and_few_seeds_support_nothing():
    close = frame(SCORES | {"nearest": 0.65}, spread=0.05)
    assert words(close)["beats the nearest member (retrieval)"].words == "not supported: no difference shown"
    assert "too few" in words(frame(SCORES, seeds=3))["beats training from scratch"].words


def test_the_generated_arm_is_chosen_on_validation():
    val = dict.fromkeys(SCORES, 0.1) | {"flow": 0.9}
    assert chosen_arm(frame(SCORES, val=val)) == "flow"


def test_errors_overlap():
    target = np.array([0, 0, 0, 0])
    assert error_overlap(np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0]), target) == pytest.approx(1 / 3)
    assert error_overlap(target, target, target) == 0
