"""Split-half ceilings: known correlations, disjoint halves."""

from __future__ import annotations

from math import asin, pi, sin

import numpy as np
import pytest

from analysis.statistics import split_half


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_split_half_is_one_without_noise_and_steps_up_by_spearman_and_brown(rng):
    scores = np.arange(8.0)
    assert split_half.split_half(np.broadcast_to(scores, (10, 2, 8))).full == pytest.approx(1)
    halves = scores + rng.normal(0, 3, (400, 2, 8))
    reliability = split_half.split_half(halves)
    correlation = sin(pi * reliability.half / 2)
    assert reliability.full == pytest.approx(2 / pi * asin(2 * correlation / (1 + correlation)))
    assert 0 < reliability.half < reliability.full < 1 and reliability.low < reliability.half < reliability.high
    nothing = split_half.split_half(rng.normal(size=(400, 2, 8)))
    assert abs(nothing.half) < 0.06
    assert split_half.shared_ceiling(reliability.full, reliability.full) == pytest.approx(reliability.full)
    assert split_half.shared_ceiling(0.5, -0.1) == 0
    with pytest.raises(ValueError, match="splits, 2, models"):
        split_half.split_half(scores)


def test_halves_are_disjoint_and_cover_every_block(rng):
    weights = split_half.half_weights(7, 20, rng).reshape(20, 2, 7)
    assert (weights.sum(1) == 1).all() and set(weights[:, 0].sum(1)) == {3}
    assert len({tuple(row) for row in weights[:, 0].tolist()}) > 5
    with pytest.raises(ValueError, match="halves"):
        split_half.half_weights(1, 5, rng)
