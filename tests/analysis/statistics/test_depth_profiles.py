"""Layer profiles: peak depth, regret and Holm's correction by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics import depth_profiles
from analysis.statistics.depth_profiles import final_layer_regret, holm


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_peak_depth_and_its_interval(rng):
    depths = np.linspace(0, 1, 5)
    curve = np.array([0.1, 0.4, 0.9, 0.4, 0.1])
    peak = depth_profiles.peak_depth(depths, curve, curve + rng.normal(0, 0.01, (300, 5)))
    assert (peak.depth, peak.low, peak.high, peak.layers) == (0.5, 0.5, 0.5, (2,))
    assert peak.chance.tolist() == [0, 0, 1, 0, 0]
    assert depth_profiles.peak_depth(depths, -curve, direction="min").depth == 0.5
    flat = depth_profiles.peak_depth(depths, np.zeros(5), rng.normal(size=(2000, 5)))
    assert flat.depth == 0.5 and (flat.low, flat.high) == (0, 1) and flat.layers == (0, 1, 2, 3, 4)
    with pytest.raises(ValueError, match="missing"):
        depth_profiles.peak_depth(depths, np.array([1, 2, np.nan, 3, 4]))


def test_cases_without_an_interval_are_counted_apart_from_those_that_exclude_zero():
    low, high = np.array([0.1, -0.1, -0.3, np.nan]), np.array([0.2, 0.1, -0.1, np.nan])
    counts = depth_profiles.intervals_excluding_zero(low, high)
    assert (counts.above, counts.below, counts.known, counts.unknown) == (1, 1, 3, 1)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, np.nan])[0] == pytest.approx(0.02)
    assert np.isnan(holm([0.02, np.nan])[1])


def test_regret_is_positive_where_the_last_layer_is_worse_whatever_the_metrics_direction():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 1, 4000)
    last, chosen = 10 + common, 8 + common + 0.1 * rng.normal(0, 1, 4000)
    errors = final_layer_regret(8.0, 10.0, (chosen, last), direction="min")
    assert errors.value == pytest.approx(2.0)
    assert 1.7 < errors.low < 2.0 < errors.high < 2.3
    assert errors.p < 1e-6
    scores = final_layer_regret(8.0, 10.0, (chosen, last), direction="max")
    assert (scores.value, scores.low, scores.high) == pytest.approx((-2.0, -errors.high, -errors.low))
    same = final_layer_regret(8.0, 8.0, (chosen, chosen), direction="max")
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
