"""Intervals and controls of similarity: known errors, coverage, refused bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.similarity.arrays import match_rows
from analysis.similarity.cka_maps import cka_jackknife
from analysis.similarity.measures import linear_cka, procrustes
from analysis.similarity.resampling import jackknife, measure_interval, row_blocks
from tests.builders.representations import MEASURES, pair


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=40)
    without = (values.sum() - values) / 39
    estimate = jackknife(values.mean(), without, np.ones(40))
    assert estimate.error == pytest.approx(values.std(ddof=1) / np.sqrt(40), rel=1e-12)


def test_intervals_cover_the_truth():
    """Independent features: the truth is 0 exactly."""
    rng = np.random.default_rng(8)
    hits = {"jackknife": 0, "subsample": 0}
    for _ in range(60):
        x, y = rng.normal(size=(120, 20)), rng.normal(size=(120, 40))
        for method in hits:
            if method == "jackknife":
                interval = cka_jackknife([x], [y], blocks=row_blocks(120, 20, rng))
            else:
                interval = measure_interval(
                    linear_cka, x, y, blocks=row_blocks(120, 20, rng), method=method, rng=rng, draws=60
                )
            hits[method] += bool((interval.low <= 0) & (interval.high >= 0))
    assert min(hits.values()) >= 50


def test_any_measure_has_an_interval():
    x, y = pair(60, 8, 5)
    blocks = np.arange(60) // 3
    slow = measure_interval(linear_cka, x, y, blocks=blocks)
    fast = cka_jackknife([x], [y], blocks=blocks)
    assert (slow.low, slow.high) == pytest.approx((fast.low[0, 0], fast.high[0, 0]), abs=1e-12)
    for measure in MEASURES:
        interval = measure_interval(measure, x, y, blocks=blocks)
        assert interval.low < interval.value < interval.high
    again = [
        measure_interval(procrustes, x, y, blocks=blocks, method="subsample", rng=np.random.default_rng(1), draws=20)
        for _ in range(2)
    ]
    assert again[0] == again[1]


def test_a_bootstrap_is_refused_for_what_it_does():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 768)), rng.normal(size=(300, 768))
    drawn = rng.integers(0, 300, 300)
    assert abs(linear_cka(x, y)) < 0.02
    assert linear_cka(x[drawn], y[drawn]) > 0.6  # why
    with pytest.raises(ValueError, match="repeated row"):
        measure_interval(linear_cka, x, y, blocks=np.arange(300), method="bootstrap", rng=rng)
    with pytest.raises(ValueError, match=r"repeat .* samples.*bootstrap"):
        match_rows(drawn, drawn)
