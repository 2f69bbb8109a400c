"""Agreement of rankings, rank tests, and what they could show: exact answers, scipy, and planted orders."""

from __future__ import annotations

from itertools import permutations
from math import asin, pi, sin

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, kendalltau, wilcoxon

from analysis.statistics import depth_profiles, power, rank_tests, ranking, split_half


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_ranks_share_ties_and_follow_the_direction():
    assert ranking.ranks(np.array([0.5, 0.9, 0.5, 0.1])).tolist() == [2.5, 1, 2.5, 4]
    assert ranking.ranks(np.array([[1.0, 2.0], [2.0, 1.0]]), direction="min").tolist() == [[1, 2], [2, 1]]
    with pytest.raises(ValueError, match="NaN"):
        ranking.ranks(np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="neither"):
        ranking.ranks(np.array([0.5, 0.1]), direction="up")


@pytest.mark.parametrize("models", [2, 4, 9])
def test_tau_is_scipys_with_and_without_ties(rng, models):
    for _ in range(50):
        first, second = rng.integers(0, 4, (2, models)).astype(float)
        expected = kendalltau(first, second, variant="b").statistic
        assert float(ranking.tau_b(first, second)) == pytest.approx(expected, abs=1e-12, nan_ok=True)
        first, second = rng.normal(size=(2, models))
        exact = kendalltau(first, second, method="exact")
        assert ranking.tau_p(first, second) == pytest.approx(exact.pvalue, abs=1e-12)
        assert ranking.agreement(first, second).tau == pytest.approx(exact.statistic)


def test_the_null_distribution_of_six_is_that_of_all_720_orders():
    base = np.arange(6.0)
    found = ranking.tau_b(base, np.array(list(permutations(base))))
    values, probability = ranking.tau_null(6)
    assert probability.sum() == pytest.approx(1)
    for value, share in zip(values, probability, strict=True):
        assert (np.abs(found - value) < 1e-9).sum() == round(share * 720)
    for pairs, expected in ((15, 0.002778), (13, 0.016667), (11, 0.055556), (9, 0.136111)):
        assert ranking.tau_tail(pairs / 15, 6) == pytest.approx(expected, abs=5e-7)
    assert ranking.smallest_telling_tau(6) == pytest.approx(13 / 15)
    assert ranking.smallest_telling_tau(5) == 1
    assert np.isnan(ranking.smallest_telling_tau(4))


def test_p_with_ties_counts_all_orders(rng):
    first, second = np.array([1.0, 1, 2, 3, 4]), np.array([1.0, 2, 2, 4, 3])
    tau = kendalltau(first, second).statistic
    every = [kendalltau(first, np.array(order)).statistic for order in permutations(second)]
    share = np.mean(np.abs(every) >= abs(tau) - 1e-12)
    assert ranking.tau_p(first, second) == pytest.approx(share)
    many = np.repeat(np.arange(6.0), 2)
    with pytest.raises(ValueError, match="rng"):
        ranking.tau_p(many, many)
    assert ranking.tau_p(many, many, rng=rng, permutations=999) == pytest.approx(0.001)
    assert np.isnan(ranking.tau_p(np.ones(4), np.arange(4.0)))


def test_agreement_says_what_noise_does(rng):
    scores = np.arange(6) / 10
    sharp = scores + rng.normal(0, 1e-4, (200, 6))
    same = ranking.agreement(scores, scores, (sharp, sharp))
    assert (same.tau, same.low, same.high, same.bias) == (1, 1, 1, 0)
    blurred = ranking.agreement(scores, scores, (scores + rng.normal(0, 0.3, (500, 6)), sharp[:1].repeat(500, 0)))
    assert blurred.low < 0.5 and blurred.bias < -0.1
    assert np.isnan(ranking.agreement(scores, scores).low)
    with pytest.raises(ValueError, match="paired"):
        ranking.agreement(scores, scores, (sharp, sharp[:10]))
    with pytest.raises(ValueError, match="same ones"):
        ranking.tau_b(scores, scores[:5])


def test_tau_matrix_is_symmetric_and_its_bounds_are_those_of_the_pair(rng):
    scores = rng.normal(size=(3, 5))
    draws = [row + rng.normal(0, 0.3, (300, 5)) for row in scores]
    tau, low, high = ranking.tau_matrix(scores, draws)
    assert np.array_equal(tau, tau.T) and np.array_equal(low, low.T) and np.all(np.diag(tau) == 1)
    pair = ranking.agreement(scores[0], scores[2], (draws[0], draws[2]))
    assert (tau[0, 2], low[0, 2], high[0, 2]) == pytest.approx((pair.tau, pair.low, pair.high))


def test_split_half_is_one_without_noise_and_steps_up_by_spearman_and_brown(rng):
    scores = np.arange(8.0)
    assert split_half.split_half(np.broadcast_to(scores, (10, 2, 8))).full == pytest.approx(1)
    halves = scores + rng.normal(0, 3, (400, 2, 8))
    found = split_half.split_half(halves)
    correlation = sin(pi * found.half / 2)
    assert found.full == pytest.approx(2 / pi * asin(2 * correlation / (1 + correlation)))
    assert 0 < found.half < found.full < 1 and found.low < found.half < found.high
    nothing = split_half.split_half(rng.normal(size=(400, 2, 8)))
    assert abs(nothing.half) < 0.06
    assert split_half.shared_ceiling(found.full, found.full) == pytest.approx(found.full)
    assert split_half.shared_ceiling(0.5, -0.1) == 0
    with pytest.raises(ValueError, match="splits, 2, models"):
        split_half.split_half(scores)


def test_halves_are_disjoint_and_cover_every_block(rng):
    weights = split_half.half_weights(7, 20, rng).reshape(20, 2, 7)
    assert (weights.sum(1) == 1).all() and set(weights[:, 0].sum(1)) == {3}
    assert len({tuple(row) for row in weights[:, 0].tolist()}) > 5
    with pytest.raises(ValueError, match="halves"):
        split_half.half_weights(1, 5, rng)


def test_top_change_counts_pairs_of_settings(rng):
    scores = np.array([[3.0, 2, 1], [3, 2, 1], [1, 3, 2]])
    found = ranking.top_change(scores)
    assert found.share == pytest.approx(2 / 3) and found.wins.tolist() == [2, 1, 0]
    assert ranking.top_change(scores, direction="min").share == pytest.approx(2 / 3)
    assert ranking.top_change(np.array([[1.0, 1], [1, 0]])).share == pytest.approx(0.5)
    drawn = ranking.top_change(scores, scores + rng.normal(0, 0.01, (50, 3, 3)))
    assert (drawn.low, drawn.high) == pytest.approx((2 / 3, 2 / 3)) and drawn.chance[2].tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="at least 2"):
        ranking.top_change(scores[:1])


def test_ties_with_the_best_come_from_paired_draws(rng):
    noise = rng.normal(0, 0.05, (2000, 1))
    scores = np.array([0.90, 0.895, 0.80])
    # Shared noise cancels: the second is behind by little, but always.
    assert ranking.tied_with_best(scores, scores + noise).tolist() == [True, False, False]
    own = rng.normal(0, 0.05, (2000, 3))
    assert ranking.tied_with_best(scores, scores + own).tolist() == [True, True, True]
    assert ranking.tied_with_best(-scores, -scores - noise, direction="min").tolist() == [True, False, False]


def test_friedman_is_scipys_and_w_its_share(rng):
    for ties in (False, True):
        scores = rng.integers(0, 4, (7, 5)).astype(float) if ties else rng.normal(size=(7, 5))
        found = rank_tests.friedman(scores)
        expected = friedmanchisquare(*scores.T)
        assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
        assert found.w == pytest.approx(expected.statistic / (7 * 4)) == rank_tests.kendall_w(scores)
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
    found = rank_tests.wilcoxon_holm(scores)
    assert found[[0, 0, 1], [1, 2, 2]] == pytest.approx(depth_profiles.holm(raw))
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
    found = rank_tests.bayesian_signed_rank(first, second, equivalent=0.01, rng=rng, draws=50_000)
    assert (found.better, found.equal, found.worse) == pytest.approx((left, rope, right), abs=0.01)


def test_six_models_need_ten_tasks_and_are_told_so():
    assert power.tasks_for_wilcoxon(6) == 10
    few, enough = power.what_ranks_can_show(6, 8), power.what_ranks_can_show(6, 10)
    assert few.smallest_p == pytest.approx(15 * 2 / 2**8) and not few.separates
    assert "it takes 10 tasks" in str(few) and "not drawn" in str(few)
    assert enough.smallest_tau == pytest.approx(13 / 15) and enough.separates
    assert "0.867" in str(enough) and "2.38" in str(enough)
    assert "cannot separate any" in str(power.what_ranks_can_show(6, 2))
    assert "however alike" in str(power.what_ranks_can_show(4, 12))
    tasks = power.tasks_for_nemenyi(6, 1.0)
    assert rank_tests.critical_difference(6, tasks) < 1 <= rank_tests.critical_difference(6, tasks - 1)


def test_detectable_differences_are_found_as_often_as_they_say(rng):
    assert power.detectable(1.0) == pytest.approx(1.959964 + 0.841621, abs=1e-5)
    shift = power.detectable(0.5)
    z = (shift + rng.normal(0, 0.5, 20_000)) / 0.5
    assert np.mean(np.abs(z) > 1.959964) == pytest.approx(0.8, abs=0.01)
    # Cohen's d of a paired t test of 10 at power 0.8 is 0.9960 (statsmodels).
    assert power.detectable_on_new_tasks(1.0, 10) == pytest.approx(0.9960, abs=2e-4)
    assert power.detectable_on_new_tasks(1.0, 1) == float("inf")
    with pytest.raises(ValueError, match="power"):
        power.detectable(1.0, power=0.01)


def test_errors_add_up_over_tasks_and_seeds(rng):
    assert power.error_on_these_tasks(np.array([3.0, 4.0])) == pytest.approx(2.5)
    assert power.error_on_these_tasks(np.zeros(4), 2.0, seeds=4) == pytest.approx(0.5)
    first = rng.normal(0, 1, (4000, 2))
    assert power.paired_error(first, first - 1).tolist() == pytest.approx([0, 0], abs=1e-12)
    words = power.what_can_be_seen(np.array([0.01, 0.02]), seeds=1, unit="mIoU", task_spread=0.03)
    assert len(words) == 4 and "0.028 to 0.056 mIoU" in words[0] and "too hopeful" in words[2]


def test_peak_depth_and_its_interval(rng):
    depths = np.linspace(0, 1, 5)
    curve = np.array([0.1, 0.4, 0.9, 0.4, 0.1])
    found = depth_profiles.peak_depth(depths, curve, curve + rng.normal(0, 0.01, (300, 5)))
    assert (found.depth, found.low, found.high, found.layers) == (0.5, 0.5, 0.5, (2,))
    assert found.chance.tolist() == [0, 0, 1, 0, 0]
    assert depth_profiles.peak_depth(depths, -curve, direction="min").depth == 0.5
    flat = depth_profiles.peak_depth(depths, np.zeros(5), rng.normal(size=(2000, 5)))
    assert flat.depth == 0.5 and (flat.low, flat.high) == (0, 1) and flat.layers == (0, 1, 2, 3, 4)
    with pytest.raises(ValueError, match="missing"):
        depth_profiles.peak_depth(depths, np.array([1, 2, np.nan, 3, 4]))


def test_share_of_cells_beyond_zero_leaves_out_cells_without_an_interval():
    found = depth_profiles.share_beyond_zero(np.array([0.1, -0.1, -0.3, np.nan]), np.array([0.2, 0.1, -0.1, np.nan]))
    assert (found.above, found.below, found.cells, found.without) == (pytest.approx(1 / 3), pytest.approx(1 / 3), 3, 1)
    assert np.isnan(depth_profiles.share_beyond_zero(np.array([np.nan]), np.array([np.nan])).above)
