"""Dimensions of representations with known dimension."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.similarity.dimensions import participation_ratio, rankme, twonn
from tests.builders.representations import pdist_square


def test_equal_singular_values_count_themselves():
    rng = np.random.default_rng(0)
    for n, p, k in ((50, 20, 7), (20, 90, 12), (30, 30, 1)):
        left = rng.normal(size=(n, k))
        left = np.linalg.qr(left - left.mean(0))[0]
        x = left @ np.linalg.qr(rng.normal(size=(p, k)))[0].T
        assert rankme(x) == pytest.approx(k, rel=1e-6)
        assert rankme(x + 100, centre=True) == pytest.approx(k, rel=1e-6)
        assert participation_ratio(x + 100) == pytest.approx(k, rel=1e-9)
    values = np.array([3.0, 1.0])
    x = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * values
    assert participation_ratio(x) == pytest.approx((9 + 1) ** 2 / (81 + 1))
    assert rankme(x) == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))


def test_twonn_finds_the_dimension_of_a_manifold():
    rng = np.random.default_rng(0)
    for dimension in (1, 2, 5):
        flat = rng.uniform(size=(2500, dimension))
        turned = (
            np.sin(flat @ rng.normal(size=(dimension, 30)))
            if dimension == 1
            else flat @ rng.normal(size=(dimension, 30))
        )
        estimate = twonn(turned)
        assert estimate == pytest.approx(dimension, rel=0.12)
        assert twonn(np.r_[turned, turned[:300]] * 7) == pytest.approx(estimate, rel=1e-9)  # equal rows count once
    # The slope by hand, from all distances.
    x = rng.normal(size=(40, 3))
    near = np.sort(pdist_square(x, "euclidean"), axis=1)
    logs = np.sort(np.log(near[:, 2] / near[:, 1]))[:36]
    heights = -np.log(1 - np.arange(1, 37) / 40)
    assert twonn(x + 1e6) == pytest.approx((logs @ heights) / (logs @ logs), rel=1e-5)
    with pytest.raises(ValueError, match="distinct rows"):
        twonn(np.repeat(x[:5], 20, axis=0))
