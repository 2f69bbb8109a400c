"""Variance components: by hand, and planted effects recovered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.statistics import variance_components
from bench.core.errors import Incompatible


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def planted(rng, effects, shape=(6, 5, 4), seeds=3, noise=0.3):
    """Return scores with normal effects of given standard deviation, and noise."""
    scores = noise * rng.normal(size=(*shape, seeds))
    for axes, deviation in effects.items():
        scores = scores + deviation * rng.normal(size=[shape[a] if a in axes else 1 for a in range(3)] + [1])
    return scores


def test_components_of_a_table_by_hand():
    # Rows 0 and 2, columns 0 and 1, nothing else: sums of squares 2 4 = 8 / ... over four cells.
    components = variance_components.variance_components(np.array([[0.0, 1], [2, 3]])[..., None], ("model", "decoder"))
    assert [component.effect for component in components] == ["model", "decoder", "residual"]
    assert [component.sum_of_squares for component in components] == pytest.approx([4, 1, 0])
    assert [component.eta for component in components] == pytest.approx([0.8, 0.2, 0])
    # Without noise the component is the variance of the level means, n - 1 in the denominator: 2 and 0.5.
    assert [component.variance for component in components] == pytest.approx([2, 0.5, 0])
    assert [component.share for component in components] == pytest.approx([0.8, 0.2, 0])
    assert [component.degrees for component in components] == [1, 1, 1]


def test_components_add_up_and_find_what_was_planted(rng):
    factors = ("model", "decoder", "tuning")
    effects = {(0,): 1.0, (1,): 1.0, (2,): 0.5, (0, 1): 0.7}
    total = []
    for _ in range(60):
        scores = planted(rng, effects)
        components = variance_components.variance_components(scores, factors)
        assert sum(component.sum_of_squares for component in components) == pytest.approx(
            ((scores - scores.mean()) ** 2).sum()
        )
        assert sum(component.degrees for component in components) == scores.size - 1
        assert (
            sum(component.share for component in components)
            == pytest.approx(1)
            == sum(component.eta for component in components)
        )
        total.append([component.variance for component in components])
    expected = [1, 1, 0.25, 0.49, 0, 0, 0, 0.09]
    errors = np.std(total, axis=0, ddof=1) / np.sqrt(60)
    assert np.all(np.abs(np.mean(total, axis=0) - expected) < 4 * errors)


def test_intervals_of_shares_cover_what_was_planted(rng):
    effects = {(0,): 1.0, (1,): 1.0, (0, 1): 0.5}
    truth = 1 / (1 + 1 + 0.25 + 0.09)
    inside = 0
    for _ in range(80):
        model = variance_components.variance_components(planted(rng, effects), ("m", "d", "t"), rng=rng, resamples=300)[
            0
        ]
        inside += model.low <= truth <= model.high
    assert inside >= 70


def test_no_effect_gets_no_share_where_eta_gives_it_one(rng):
    eta, share = [], []
    for _ in range(40):
        model = variance_components.variance_components(planted(rng, {(1,): 0.3}, noise=1.0), ("m", "d", "t"))[0]
        eta.append(model.eta)
        share.append(model.variance)
    assert np.mean(eta) > 0.01 and abs(np.mean(share)) < 4 * np.std(share) / np.sqrt(40)


def test_draws_give_the_interval_of_the_test_set(rng):
    scores = planted(rng, {(0,): 1.0, (1,): 1.0})
    draws = scores + rng.normal(0, 0.01, (100, *scores.shape))
    component = variance_components.variance_components(scores, ("m", "d", "t"), draws=draws, rng=rng, resamples=300)[0]
    assert component.draw_low < component.share < component.draw_high
    # Few levels say less about levels than many samples about these ones.
    assert component.draw_high - component.draw_low < (component.high - component.low) / 10


def test_interactions_above_the_order_are_residual(rng):
    scores = planted(rng, {(0,): 1.0}, seeds=1)
    components = variance_components.variance_components(scores, ("m", "d", "t"))
    assert components[-2].effect == "d x t" and components[-1].degrees == 5 * 4 * 3
    first = variance_components.variance_components(scores, ("m", "d", "t"), order=1)
    assert [component.effect for component in first] == ["m", "d", "t", "residual"]
    with pytest.raises(ValueError, match=r"1\.\.2"):
        variance_components.variance_components(scores, ("m", "d", "t"), order=3)


def test_unbalanced_designs_are_refused(rng):
    rows = pd.DataFrame(
        [(m, d, s, rng.normal()) for m in "ab" for d in "xyz" for s in (7, 8)], columns=["m", "d", "seed", "score"]
    )
    scores, levels = variance_components.balanced(rows, ("m", "d"), replicate="seed")
    assert scores.shape == (2, 3, 2) and levels == {"m": ["a", "b"], "d": ["x", "y", "z"]}
    assert scores[1, 2, 0] == rows["score"].iloc[10]
    with pytest.raises(Incompatible, match="1 of 6 cells have 1 rows, others up to 2: b z"):
        variance_components.balanced(rows[:-1], ("m", "d"), replicate="seed")
    with pytest.raises(Incompatible, match="have 0 rows"):
        variance_components.balanced(rows[:-2], ("m", "d"), replicate="seed")
    with pytest.raises(Incompatible, match="as replicate="):
        variance_components.balanced(rows, ("m", "d"))
    with pytest.raises(Incompatible, match="same seed"):
        variance_components.balanced(rows.assign(seed=1), ("m", "d"), replicate="seed")
    with pytest.raises(Incompatible, match="d has one level"):
        variance_components.balanced(rows[rows["d"] == "x"], ("m", "d"), replicate="seed")
    with pytest.raises(Incompatible, match="unbalanced"):
        variance_components.variance_components(np.array([[1.0, np.nan], [1, 2]])[..., None], ("m", "d"))
    with pytest.raises(Incompatible, match="separated from noise"):
        variance_components.variance_components(np.array([[1.0], [2.0]]), ("m",))
    with pytest.raises(ValueError, match="one of replicates"):
        variance_components.variance_components(np.zeros((2, 2)), ("m", "d"))
