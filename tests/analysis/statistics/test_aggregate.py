"""Aggregates: by hand, against rliable and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from analysis.statistics import aggregate


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_iqm_is_the_mean_of_the_middle_half():
    assert aggregate.iqm(np.array([0.0, 1, 2, 3, 4, 5, 6, 100])) == pytest.approx(3.5)
    # As in rliable, a quarter of ten is two.
    assert aggregate.iqm(np.arange(10.0) ** 2) == pytest.approx(np.mean(np.arange(2.0, 8) ** 2))
    assert aggregate.iqm(np.arange(12.0).reshape(3, 4), axis=1).tolist() == [1.5, 5.5, 9.5]
    with pytest.raises(ValueError, match="missing"):
        aggregate.iqm(np.array([1.0, np.nan]))


def test_iqm_and_improvement_are_rliables(rng):
    metrics = pytest.importorskip("rliable.metrics")
    first, second = rng.normal(0.1, 1, (5, 7)), rng.normal(0, 1, (4, 7))
    assert float(aggregate.iqm(first)) == metrics.aggregate_iqm(first)
    expected = metrics.probability_of_improvement(first, second)
    assert aggregate.probability_of_improvement(first, second) == pytest.approx(expected, abs=1e-12)


def test_iqm_interval_speaks_of_runs_and_leaves_tasks_alone(rng):
    apart = np.arange(8.0)[None].repeat(3, 0)
    certain = aggregate.iqm_interval(apart, rng, resamples=200)
    assert certain.low == certain.value == certain.high == 3.5
    noisy = aggregate.iqm_interval(apart + rng.normal(0, 0.5, (5, 1)).repeat(8, 1)[:3], rng, resamples=500)
    assert noisy.low < noisy.value < noisy.high
    assert np.isnan(aggregate.iqm_interval(apart[:1], rng).low)


def test_probability_of_improvement_counts_ties_as_half(rng):
    ahead, behind = np.array([[2.0, 5], [3, 6]]), np.array([[1.0, 5], [0, 6]])
    assert aggregate.probability_of_improvement(ahead, behind) == pytest.approx((1 + 0.5) / 2)
    first, second = rng.normal(size=(6, 3)), rng.normal(size=(4, 3))
    share = np.mean([mannwhitneyu(first[:, t], second[:, t]).statistic / 24 for t in range(3)])
    assert aggregate.probability_of_improvement(first, second) == pytest.approx(share)
    drawn = aggregate.probability_of_improvement_interval(first, second, rng, resamples=300)
    assert drawn.low <= drawn.value <= drawn.high and drawn.value == pytest.approx(share)
    with pytest.raises(ValueError, match="same tasks"):
        aggregate.probability_of_improvement(first, second[:, :2])


def test_mean_rank_takes_every_model_on_every_task():
    scores = np.array([[0.9, 0.8, 0.1], [0.5, 0.5, 0.4]])
    assert aggregate.mean_rank(scores).tolist() == [1.25, 1.75, 3]
    assert aggregate.mean_rank(-scores, direction="min").tolist() == [1.25, 1.75, 3]
    with pytest.raises(ValueError, match="NaN"):
        aggregate.mean_rank(np.array([[0.9, np.nan], [0.1, 0.2]]))


def test_label_efficiency_is_an_area_over_the_logarithm():
    fractions = np.array([0.01, 0.1, 1.0])
    assert aggregate.label_efficiency(fractions, np.full(3, 0.7)) == pytest.approx(0.7)
    assert aggregate.label_efficiency(fractions, np.array([0.0, 0.5, 1.0])) == pytest.approx(0.5)
    # A score that is linear in ln(fraction) has the mean of its ends, whatever points lie between; any order.
    odd = np.array([1.0, 0.02, 0.3, 0.05])
    assert aggregate.label_efficiency(odd, np.log(odd)) == pytest.approx(np.log(0.02) / 2)
    both = aggregate.label_efficiency(fractions, np.array([[0.0, 0.5, 1.0], [0.2, 0.2, 0.2]]))
    assert both.tolist() == pytest.approx([0.5, 0.2])
    drawn = aggregate.label_efficiency_interval(fractions, np.full(3, 0.7), np.full((10, 3), 0.7))
    assert (drawn.low, drawn.high) == pytest.approx((0.7, 0.7))
    for bad in ([0.1, 0.1, 1], [0, 0.5, 1], [0.5, 1, 2]):
        with pytest.raises(ValueError, match="distinct"):
            aggregate.label_efficiency(np.array(bad), np.zeros(3))
    with pytest.raises(ValueError, match="missing"):
        aggregate.label_efficiency(fractions, np.array([0.1, np.nan, 0.2]))
