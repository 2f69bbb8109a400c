"""Formulas of representations against arrays whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.metrics.representations import effective_rank, hsic, participation, twonn_dimension


def test_equal_singular_values_count_themselves():
    assert effective_rank(np.full(7, 0.3)) == pytest.approx(7)
    assert effective_rank(np.array([5.0, 0.0, 0.0])) == pytest.approx(1)
    assert math.isnan(effective_rank(np.zeros(3)))
    assert participation(7 * 0.3, 7 * 0.09) == pytest.approx(7) and math.isnan(participation(0.0, 0.0))


def test_the_unbiased_hsic_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    x, y = (values - values.mean(0) for values in rng.normal(size=(2, 30, 5)))
    grams = [values @ values.T for values in (x, y)]
    sums = (grams[0] * grams[1]).sum(), (np.diag(grams[0]) * np.diag(grams[1])).sum(), *(np.trace(g) for g in grams)
    hollow = [gram - np.diag(np.diag(gram)) for gram in grams]
    ones, n = np.ones(30), 30
    expected = np.trace(hollow[0] @ hollow[1]) + ones @ hollow[0] @ ones * (ones @ hollow[1] @ ones) / (n - 1) / (n - 2)
    expected = (expected - 2 / (n - 2) * ones @ hollow[0] @ hollow[1] @ ones) / (n * (n - 3))  # Song et al., equation 5
    assert hsic(*sums, n) == pytest.approx(expected)


def test_a_plane_has_two_dimensions_and_a_grid_none():
    rng = np.random.default_rng(0)
    plane = rng.uniform(size=(1500, 2))
    far = np.sort(((plane[:, None] - plane[None]) ** 2).sum(-1), 1)
    assert twonn_dimension(np.sqrt(far[:, 1]), np.sqrt(far[:, 2])) == pytest.approx(2, abs=0.15)
    assert math.isnan(twonn_dimension(np.ones(30), np.ones(30)))
