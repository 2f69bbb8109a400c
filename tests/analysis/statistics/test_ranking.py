"""Rankings: ranks, tau and its null distribution against scipy and by enumeration."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import kendalltau

from analysis.statistics import ranking


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
    taus = ranking.tau_b(base, np.array(list(permutations(base))))
    values, probability = ranking.tau_null(6)
    assert probability.sum() == pytest.approx(1)
    for value, share in zip(values, probability, strict=True):
        assert (np.abs(taus - value) < 1e-9).sum() == round(share * 720)
    for pairs, expected in ((15, 0.002778), (13, 0.016667), (11, 0.055556), (9, 0.136111)):
        assert ranking.tau_tail(pairs / 15, 6) == pytest.approx(expected, abs=5e-7)
    assert ranking.smallest_significant_tau(6) == pytest.approx(13 / 15)
    assert ranking.smallest_significant_tau(5) == 1
    assert np.isnan(ranking.smallest_significant_tau(4))


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


def test_top_change_counts_pairs_of_settings(rng):
    scores = np.array([[3.0, 2, 1], [3, 2, 1], [1, 3, 2]])
    change = ranking.top_change(scores)
    assert change.share == pytest.approx(2 / 3) and change.wins.tolist() == [2, 1, 0]
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
