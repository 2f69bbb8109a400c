"""Bootstrap intervals: coverage, and equal to a plain loop over the same draws."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    mean_absolute_error,
    r2_score,
)

from analysis.statistics import additive_scores
from analysis.statistics.intervals import (
    block_codes,
    block_sums,
    bootstrap,
    micro_average_precision,
    percentile,
    resample_weights,
    resampled,
    score_draws,
)

LABELS = 5


def bernoulli(right):
    return np.stack([right, np.ones_like(right)], -1).astype(np.int64)


def outcome_of(kind, layers=3, n=120, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "classification":
        target = rng.integers(0, LABELS, n).astype(np.int16)
        noise = rng.integers(0, LABELS, (layers, n)).astype(np.int16)
        return {"prediction": np.where(rng.random((layers, n)) < 0.6, target, noise), "target": target}
    if kind == "multilabel":
        target = (rng.random((n, LABELS)) < 0.3).astype(np.int8)
        return {
            "prediction": (0.4 * target + 0.6 * rng.random((layers, n, LABELS))).astype(np.float32),
            "target": target,
        }
    if kind == "regression":
        target = (500 + 20 * rng.standard_normal((n, 2))).astype(np.float32)
        return {"prediction": (target + 9 * rng.standard_normal((layers, n, 2))).astype(np.float32), "target": target}
    return {"confusion": rng.integers(0, 900, (layers, n, LABELS, LABELS))}


def reference(metric, outcome, rows):
    """Score of the first layer on the rows drawn, by scikit-learn."""
    predicted, truth = outcome["prediction"][0][rows], outcome["target"][rows]
    if metric == "accuracy":
        return accuracy_score(truth, predicted)
    if metric == "balanced_accuracy":
        return balanced_accuracy_score(truth, predicted)
    if metric == "macro_f1":
        return f1_score(truth, predicted, average="macro", labels=np.unique(truth))
    if metric == "micro_f1":
        return f1_score(truth, predicted > 0.5, average="micro")
    if metric == "map":
        return average_precision_score(truth.ravel(), predicted.ravel())
    if metric == "r2":
        return r2_score(truth.astype(float), predicted.astype(float))
    if metric == "rmse":
        return np.sqrt(((predicted.astype(float) - truth) ** 2).mean(0)).mean()
    return mean_absolute_error(truth.astype(float), predicted.astype(float))


def test_percentile_interval_covers_a_bernoulli_rate_about_95_of_100_times():
    rng = np.random.default_rng(1)
    trials, n, rate = 600, 200, 0.7
    held = 0
    for _ in range(trials):
        right = rng.random(n) < rate
        interval = bootstrap(bernoulli(right), additive_scores.accuracy, np.arange(n), rng=rng, resamples=300)
        held += interval.low <= rate <= interval.high
    assert 0.92 < held / trials < 0.975


@pytest.mark.parametrize("blocks", [120, 17])
@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("accuracy", "classification"),
        ("balanced_accuracy", "classification"),
        ("macro_f1", "classification"),
        ("micro_f1", "multilabel"),
        ("map", "multilabel"),
        ("r2", "regression"),
        ("rmse", "regression"),
        ("mae", "regression"),
    ],
)
def test_every_resample_equals_a_plain_loop_over_the_same_draws(metric, kind, blocks):
    outcome = outcome_of(kind)
    n, resamples = 120, 25
    codes = np.random.default_rng(3).permutation(np.arange(n) % blocks)
    weights = resample_weights(blocks, resamples, np.random.default_rng(8))
    points, draws = score_draws(metric, outcome, LABELS, codes, weights)

    rng = np.random.default_rng(8)
    for row in range(resamples):
        drawn = rng.integers(0, blocks, blocks)
        rows = np.concatenate([np.flatnonzero(codes == block) for block in drawn])
        assert draws[row, 0] == pytest.approx(reference(metric, outcome, rows), abs=1e-9)
    assert points[0] == pytest.approx(reference(metric, outcome, np.arange(n)), abs=1e-9)


def test_the_paired_interval_is_narrower_than_that_of_two_independent_models():
    rng = np.random.default_rng(5)
    hard = rng.random(400) < 0.3
    first = ~hard | (rng.random(400) < 0.3)
    second = first & (rng.random(400) < 0.95)
    blocks = np.arange(400)
    paired = bootstrap(
        bernoulli(first), additive_scores.accuracy, blocks, minus=bernoulli(second), rng=np.random.default_rng(0)
    )
    each = [
        bootstrap(bernoulli(x), additive_scores.accuracy, blocks, rng=np.random.default_rng(0)) for x in (first, second)
    ]
    unpaired = np.sqrt(sum((interval.high - interval.low) ** 2 for interval in each))
    assert 0 < paired.high - paired.low < 0.6 * unpaired
    assert paired.low <= first.mean() - second.mean() <= paired.high


def test_resampling_by_scene_is_wider_where_samples_of_a_scene_go_wrong_together():
    rng = np.random.default_rng(2)
    scene = np.repeat(np.arange(20), 30)
    right = rng.random(600) < np.repeat(rng.uniform(0.3, 1, 20), 30)
    by_sample = bootstrap(bernoulli(right), additive_scores.accuracy, np.arange(600), rng=rng)
    by_scene = bootstrap(bernoulli(right), additive_scores.accuracy, scene, rng=rng)
    assert by_scene.blocks == 20
    assert by_scene.high - by_scene.low > 2 * (by_sample.high - by_sample.low)


@pytest.mark.parametrize("names", [[], ["one", "one", "one"]])
def test_fewer_than_two_blocks_give_no_interval_and_the_reason(names):
    interval = bootstrap(
        bernoulli(np.ones(len(names))), additive_scores.accuracy, np.array(names), rng=np.random.default_rng(0)
    )
    assert np.isnan([interval.low, interval.high]).all()
    assert "at least 2" in interval.reason


def test_equal_scores_are_one_threshold_in_average_precision():
    score = np.array([0.9, 0.9, 0.9, 0.2, 0.2, 0.1])
    target = np.array([1, 0, 1, 0, 1, 0])
    precision = micro_average_precision(score, target, np.ones((1, 6), np.uint16))
    assert precision[0] == pytest.approx(average_precision_score(target, score))


def test_large_counts_are_summed_exactly():
    sums = np.full((2, 3, 2), 2**23 + 1, np.int64)
    sums[1, 0] = 7
    weights = np.array([[2, 0], [1, 1]], np.uint16)
    assert (resampled(weights, sums, lambda x: x[..., 0]) == np.einsum("bg,gl->bl", weights, sums[..., 0])).all()


def test_block_sums_keep_blocks_apart_and_absent_blocks_zero():
    codes = block_codes(np.array(["b", "d", "b"]), np.array(["a", "b", "c", "d"]))
    sums = block_sums(np.array([[1], [2], [4]]), codes, 4)
    assert sums[:, 0].tolist() == [0, 5, 0, 2]
    with pytest.raises(ValueError, match="zz"):
        block_codes(np.array(["zz"]), np.array(["a", "b"]))


def test_undefined_draws_are_left_out_of_the_percentiles():
    draws = np.column_stack([np.r_[np.nan, np.linspace(0, 1, 101)], np.full(102, np.nan)])
    low, high = percentile(draws)
    assert (low[0], high[0]) == pytest.approx((0.025, 0.975))
    assert np.isnan([low[1], high[1]]).all()
