"""Rank tests against scipy, scikit-posthocs, baycomp and published tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, wilcoxon

from analysis.statistics import depth_profiles, rank_tests


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_friedman_is_scipys_and_w_its_share(rng):
    for ties in (False, True):
        scores = rng.integers(0, 4, (7, 5)).astype(float) if ties else rng.normal(size=(7, 5))
        outcome = rank_tests.friedman(scores)
        expected = friedmanchisquare(*scores.T)
        assert (outcome.statistic, outcome.p) == pytest.approx((expected.statistic, expected.pvalue))
        assert outcome.w == pytest.approx(expected.statistic / (7 * 4)) == rank_tests.kendall_w(scores)
    alike = np.tile(np.arange(5.0), (6, 1))
    assert rank_tests.kendall_w(alike) == pytest.approx(1)
    assert rank_tests.kendall_w(np.array([np.arange(4.0), -np.arange(4.0)])) == pytest.approx(0)
    sure = rank_tests.friedman(alike, rng=rng, permutations=499)
    assert sure.permutation_p == pytest.approx(1 / 500) and sure.f == float("inf") and sure.f_p == 0
    assert sure.mean_ranks.tolist() == [5, 4, 3, 2, 1]
    with pytest.raises(ValueError, match="no ranking"):
        rank_tests.friedman(np.ones((3, 4)))
    with pytest.raises(ValueError, match="NaN"):
        rank_tests.friedman(np.array([[1.0, 2], [np.nan, 1]]))


def test_friedman_p_of_unrelated_orders_is_uniform(rng):
    p = [rank_tests.friedman(rng.normal(size=(4, 4)), rng=rng, permutations=199).permutation_p for _ in range(200)]
    assert 0.01 < np.mean(np.array(p) <= 0.05) < 0.10


def test_critical_differences_are_those_of_the_tables():
    for tasks, expected in ((5, 3.37), (8, 2.67), (10, 2.384), (12, 2.18), (20, 1.69)):
        assert rank_tests.critical_difference(6, tasks) == pytest.approx(expected, abs=0.006)
    assert rank_tests.critical_difference(6, 10) == pytest.approx(2.384, abs=5e-4)
    # Demsar 2006: four classifiers on 14 data sets, 2.569 sqrt(4 5 / (6 14)) = 1.25.
    assert rank_tests.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_nemenyi_crosses_alpha_at_the_critical_difference():
    scores = np.tile(np.arange(6.0), (10, 1))
    p = rank_tests.nemenyi(scores)
    gap = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    assert np.array_equal(p < 0.05, gap > rank_tests.critical_difference(6, 10))
    assert np.array_equal(p, p.T) and np.all(np.diag(p) == 1)


def test_nemenyi_agrees_with_scikit_posthocs(rng):
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = rng.normal(size=(9, 5))
    assert rank_tests.nemenyi(scores) == pytest.approx(posthocs.posthoc_nemenyi_friedman(scores).to_numpy(), abs=1e-6)


def test_signed_ranks_are_scipys_corrected_by_holm(rng):
    scores = rng.normal(size=(12, 3)) + np.array([0.0, 0.2, 1.5])
    raw = [wilcoxon(scores[:, a], scores[:, b]).pvalue for a, b in ((0, 1), (0, 2), (1, 2))]
    corrected = rank_tests.wilcoxon_holm(scores)
    assert corrected[[0, 0, 1], [1, 2, 2]] == pytest.approx(depth_profiles.holm(raw))
    same = np.column_stack([scores[:, 0], scores[:, 0]])
    assert rank_tests.wilcoxon_holm(same)[0, 1] == 1


def test_bayesian_signed_rank_finds_the_planted_state(rng):
    base = rng.normal(size=12)
    ahead = rank_tests.bayesian_signed_rank(base + 0.3, base, equivalent=0.05, rng=rng, draws=2000)
    assert ahead.better > 0.99 and ahead.better + ahead.equal + ahead.worse == pytest.approx(1)
    level = rank_tests.bayesian_signed_rank(base + 0.001, base, equivalent=0.05, rng=rng, draws=2000)
    assert level.equal > 0.99
    with pytest.raises(ValueError, match="equivalence"):
        rank_tests.bayesian_signed_rank(base, base, equivalent=0, rng=rng)


def test_bayesian_signed_rank_agrees_with_baycomp(rng):
    baycomp = pytest.importorskip("baycomp")
    first, second = rng.normal(0.02, 0.05, (2, 9))
    left, rope, right = baycomp.SignedRankTest.probs(first, second, rope=0.01, random_state=0)
    chances = rank_tests.bayesian_signed_rank(first, second, equivalent=0.01, rng=rng, draws=50_000)
    assert (chances.better, chances.equal, chances.worse) == pytest.approx((left, rope, right), abs=0.01)
