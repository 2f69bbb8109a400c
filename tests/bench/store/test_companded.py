"""Companded codes keep small values next to large ones, in one byte each."""

from __future__ import annotations

import numpy as np
import pytest

from bench.store.companded import compand, expand


@pytest.mark.parametrize("outlier", [1.0, 1000.0])
def test_values_come_back_to_about_a_hundredth_whatever_the_largest(outlier):
    values = np.random.default_rng(0).normal(size=(5000, 3))
    values[0] *= outlier
    codes, peak = compand(values)
    assert codes.dtype == np.int8 and codes.shape == values.shape and peak.dtype == np.float32
    back = expand(codes, peak)
    reach = np.abs(values).max(0)
    # The step at a value v is 2 sqrt(v peak) / 127, so the error is at most half of that.
    assert (np.abs(back - values) <= 1.01 * np.sqrt(np.abs(values) * reach) / 127 + reach / 127**2).all()
    assert np.corrcoef(back[1:, 0], values[1:, 0])[0, 1] > (0.9999 if outlier == 1 else 0.9)


def test_columns_of_zeros_stay_zero():
    codes, peak = compand(np.zeros((4, 2)))
    assert not codes.any() and not peak.any() and not expand(codes, peak).any()
