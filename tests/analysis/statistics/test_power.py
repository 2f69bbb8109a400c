"""Power: detectable differences by hand, by simulation and against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics import power, rank_tests


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_six_models_need_ten_tasks():
    assert power.tasks_for_wilcoxon(6) == 10
    few, enough = power.rank_power(6, 8), power.rank_power(6, 10)
    assert few.smallest_p == pytest.approx(15 * 2 / 2**8) and few.wilcoxon_tasks == 10 and not few.separates
    assert enough.smallest_tau == pytest.approx(13 / 15) and enough.separates
    assert enough.critical_difference == pytest.approx(2.38, abs=5e-3)
    few = power.rank_power(6, 2)
    assert few.critical_difference >= few.widest
    assert np.isnan(power.rank_power(4, 12).smallest_tau)
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
