"""Verdicts of planted scores."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.findings.compression import ArmRow, verdicts
from analysis.statistics.paired_seeds import seed_interval

NOISE = np.random.default_rng(0).normal(0, 0.004, 500)


def row(arm, scores, budget="", validation=0.0):
    """Return a row whose test noise is shared by all arms, as on one test set."""
    draws = {seed: value + NOISE for seed, value in enumerate(scores)}
    interval = seed_interval(np.array(scores), np.stack(list(draws.values()), 1))
    return ArmRow(
        arm=arm, what=arm, budget=budget, records=(), scores=dict(enumerate(scores)), draws=draws, interval=interval,
        kept=interval, validation=validation, costs={}, ece=np.nan, likeness=(), classes={},
    )  # fmt: skip


def answers(rows, sign=1.0):
    return {verdict.claim: verdict for verdict in verdicts(rows, sign)}


INIT = "the pretrained init adds to the student"
DISTILLED = "distillation adds to its pretrained init"


def planted():
    return [
        row("student", [0.80, 0.81, 0.79], "0.5"),
        row("student_random", [0.62, 0.64, 0.60], "0.5"),
        row("student_distilled", [0.805, 0.80, 0.795], "0.5"),
    ]


def test_a_planted_gain_is_supported_and_noise_is_not():
    by_claim = answers(planted())
    assert by_claim[INIT].text == "supported"
    assert by_claim[INIT].difference.mean == pytest.approx(0.18)
    assert by_claim[DISTILLED].text == "not supported"
    assert by_claim["the pretrained init adds more than distillation does"].text == "supported"


def test_where_lower_is_better_the_answer_turns():
    assert answers(planted(), sign=-1.0)[INIT].text == "not supported: the opposite holds"


def test_too_few_seeds_and_missing_arms_are_not_tested():
    rows = [row("student", [0.8, 0.8], "0.5"), row("student_random", [0.6, 0.6], "0.5")]
    assert answers(rows)[INIT].text == "not tested: 2 paired seeds, 3 are needed"
    assert answers(rows)[DISTILLED].text == "not tested: no run of student_distilled"
    assert answers(rows)[DISTILLED].difference is None


def test_the_pruning_method_is_chosen_on_validation_not_on_test():
    rows = [
        row("structured_recovered", [0.7, 0.71, 0.7], "0.5", validation=0.9),
        row("structured", [0.6, 0.61, 0.6], "0.5"),
        row("taylor_recovered", [0.9, 0.9, 0.9], "0.5", validation=0.8),
    ]
    verdict = answers(rows)["recovery adds to pruning"]
    assert verdict.arms == "structured_recovered - structured" and verdict.text == "supported"


def test_an_interval_covers_a_true_mean_of_three_seeds():
    generator, hits = np.random.default_rng(1), 0
    for _ in range(300):
        values = generator.normal(0.5, 0.02, 3)
        interval = seed_interval(values, np.empty((0, 3)))
        hits += interval.low <= 0.5 <= interval.high
    assert 0.91 < hits / 300 <= 0.99
