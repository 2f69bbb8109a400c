"""Aggregates, the guard before them, frozen normalisers, and variance components."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from analysis.statistics import aggregate, variance_components
from analysis.statistics.normalisers import Normaliser, digest_of, normaliser, normalisers, read_normaliser
from analysis.statistics.pooling import Axes, check_axes, pool
from bench.core.errors import BadSetting, Incompatible, UnknownName

# PROTOCOL, check 8.
GEOBENCH2 = (
    *("kuro_siwo", "pastis", "burn_scars", "cloudsen12", "flair2", "spacenet7", "benv2", "treesatai", "biomassters"),
    *("fotw", "substation", "everwatch"),
)
LEADERS = {
    "convnext_xlarge_fb_in22k": 0.779,
    "clay_v1_base": 0.778,
    "dinov3_convnext_large": 0.709,
    "convnext_large_fb_in22k": 0.699,
    "prithvi_eo_v2_600_tl": 0.689,
    "satlas_swin_b_sentinel2_si_ms": 0.656,
    "terramind_v1_large": 0.616,
    "dofa_large_patch16_224": 0.605,
}


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def rows():
    """Three models, two tasks, two seeds; the score of model m on task t and seed s is m + t / 10 + s / 100."""
    return pd.DataFrame(
        [
            {"model": "abc"[m], "task": f"t{t}", "seed": s, "protocol": "probe", "score": m + t / 10 + s / 100}
            for m in range(3)
            for t in range(2)
            for s in range(2)
        ]
    )


AXES = Axes(over=("task",), replicates=("seed",))


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


def test_an_axis_nobody_declared_is_named_with_its_values(rows):
    rows["normalisation"] = np.where(rows["seed"] == 0, "native", "z-score")
    rows["size"] = 224
    with pytest.raises(Incompatible, match=r"differ in normalisation \(native, z-score\), which nobody declared"):
        pool(rows, AXES)
    declared = Axes(over=("task",), replicates=("seed", "normalisation"))
    assert pool(rows, declared).table["model"].tolist() == ["c", "b", "a"]
    apart = pool(rows, Axes(over=("task",), replicates=("seed",), apart=("normalisation",)))
    assert apart.table["normalisation"].tolist() == ["native"] * 3 + ["z-score"] * 3


def test_an_average_across_normalisations_cannot_turn_a_headline_round():
    # CLS is worse than the mean token under either normalisation, and better on average over unequal numbers of rows.
    rows = pd.DataFrame(
        [("mean", "native", t, 0.5) for t in "abc"]
        + [("mean", "z", "a", 0.9)]
        + [("cls", "native", "a", 0.4)]
        + [("cls", "z", t, 0.8) for t in "abc"],
        columns=["pool", "normalisation", "task", "score"],
    )
    assert rows.groupby("pool")["score"].mean().idxmax() == "cls"
    with pytest.raises(Incompatible, match="normalisation"):
        pool(rows, Axes(unit="pool", over=("task",)), statistic="mean")
    shared = pool(rows, Axes(unit="pool", over=("task", "normalisation")), statistic="mean", missing="conditions")
    assert shared.table["pool"].tolist() == ["mean", "cls"] and len(shared.conditions[""]) == 2


def test_pooled_numbers_by_hand(rows):
    found = pool(rows, AXES, statistic="mean").table.set_index("model")["mean"]
    assert found.to_dict() == pytest.approx({"c": 2.055, "b": 1.055, "a": 0.055})
    ranks = pool(rows, AXES, statistic="mean_rank").table
    assert ranks["mean_rank"].tolist() == [1, 2, 3]
    worse = pool(rows, AXES, statistic="mean_rank", direction="min").table
    assert worse["model"].tolist() == ["a", "b", "c"]


def test_pooled_intervals_come_from_replicates(rows, rng):
    found = pool(rows, AXES, statistic="mean", rng=rng, resamples=200).table
    assert (found["low"] < found["mean"]).all() and (found["mean"] < found["high"]).all()
    assert (found["high"] - found["low"]).max() < 0.011
    ranked = pool(rows, AXES, statistic="mean_rank", rng=rng, resamples=50).table
    assert ranked[["low", "high"]].to_numpy().tolist() == [[1, 1], [2, 2], [3, 3]]


def test_models_are_compared_on_the_tasks_they_share(rows):
    gone = rows.drop(rows[(rows["model"] == "c") & (rows["task"] == "t1")].index)
    with pytest.raises(Incompatible, match="c lacks t1"):
        pool(gone, AXES)
    without = pool(gone, AXES, missing="models").table
    assert without["model"].tolist() == ["b", "a", "c"] and without["lacks"].tolist() == ["", "", "t1"]
    assert np.isnan(without["iqm"].iloc[2])
    fewer = pool(gone, AXES, missing="conditions")
    assert fewer.table["model"].tolist() == ["c", "b", "a"] and fewer.left_out == ("t1",)
    assert fewer.conditions == {"": ["t0"]}
    apart = rows[(rows["model"] == "a") & (rows["task"] == "t0") | (rows["model"] == "b") & (rows["task"] == "t1")]
    with pytest.raises(Incompatible, match="shared by all"):
        pool(apart, AXES, missing="conditions")


def test_what_else_pooling_refuses(rows):
    with pytest.raises(Incompatible, match="same model=a, task=t0, seed=0"):
        pool(pd.concat([rows, rows[:1]]), AXES)
    with pytest.raises(Incompatible, match="have no score"):
        pool(rows.assign(score=np.nan), AXES)
    with pytest.raises(Incompatible, match="weigh more"):
        pool(rows[1:], AXES)
    with pytest.raises(BadSetting, match="no column fold"):
        check_axes(rows, Axes(over=("fold",)))
    with pytest.raises(BadSetting, match="no fact of model a"):
        check_axes(rows, Axes(over=("task",), facts=("seed",)))
    with pytest.raises(BadSetting, match="none of iqm"):
        pool(rows, AXES, statistic="geometric")
    ways = rows.assign(direction=np.where(rows["task"] == "t0", "max", "min"))
    with pytest.raises(Incompatible, match="less in others"):
        pool(ways, AXES, statistic="mean", direction="direction")
    assert pool(ways, AXES, statistic="mean_rank", direction="direction").table["mean_rank"].tolist() == [2, 2, 2]


def test_facts_travel_and_normalised_scores_are_not_clipped(rows):
    rows["origin"] = rows["model"].map({"a": "random", "b": "pretrained", "c": "pretrained"})
    scale = Normaliser(name="toy", version=1, ranges={"t0": (0.0, 1.0), "t1": (3.0, 1.0)})
    found = pool(
        rows, Axes(over=("task",), replicates=("seed",), facts=("origin",)), normaliser=scale, statistic="mean"
    )
    table = found.table.set_index("model")
    assert found.normaliser == "toy v1" and table.loc["a", "origin"] == "random"
    # Less is better on t1: 2.1 and 2.11 become 0.45 and 0.445.
    assert table.loc["c", "mean"] == pytest.approx((2.0 + 2.01 + 0.45 + 0.445) / 4)
    assert table.loc["c", "outside"] == 2 and table.loc["a", "outside"] == 2
    with pytest.raises(UnknownName, match="t0"):
        pool(rows, Axes(over=("task",), replicates=("seed",), facts=("origin",)), normaliser=normaliser("geobench2_v1"))


def test_normalisers_are_frozen(tmp_path):
    for name, path in normalisers().items():
        found = normaliser(name)
        assert f"{found.name}_v{found.version}" == name == path.stem and found.source and found.about
    stored = json.loads(normalisers()["geobench2_v1"].read_text())
    stored["ranges"]["pastis"]["best"] = 0.5
    path = tmp_path / "geobench2_v1.json"
    path.write_text(json.dumps(stored))
    with pytest.raises(BadSetting, match="given a new version"):
        read_normaliser(path)
    flat = {"a": {"worst": 1.0, "best": 1.0}}
    path.write_text(json.dumps(stored | {"ranges": flat, "sha256": digest_of({"a": (1.0, 1.0)})}))
    with pytest.raises(BadSetting, match="equal for a"):
        read_normaliser(path)
    with pytest.raises(UnknownName, match="geobench2_v1"):
        normaliser("geobench2")


@pytest.mark.shared
def test_the_published_aggregates_of_geobench_2_come_out(shared):
    stored = json.loads((shared / "anchors" / "geobench2_normalizer.json").read_text())
    assert {task: tuple(ends) for task, ends in stored.items()} == normaliser("geobench2_v1").ranges
    rows = pd.read_csv(shared / "anchors" / "geobench2_full_finetune.csv")
    rows = rows[rows["dataset"].isin(GEOBENCH2)]
    # Metric and decoder go with the dataset: a model that had another decoder on one would share no condition.
    axes = Axes(unit="backbone", over=("dataset", "metric", "decoder"), replicates=("seed",))
    with pytest.raises(Incompatible, match="dofa_base_patch16_224 lacks everwatch"):
        pool(rows, axes, normaliser=normaliser("geobench2_v1"), task="dataset")
    found = pool(rows, axes, normaliser=normaliser("geobench2_v1"), task="dataset", missing="models").table
    assert found["backbone"].tolist()[:8] == list(LEADERS)
    assert found["iqm"].round(3).tolist()[:8] == list(LEADERS.values())
    assert (found["rows"].dropna() == 60).all() and (found["lacks"] != "").sum() == 4


def planted(rng, effects, shape=(6, 5, 4), seeds=3, noise=0.3):
    """Return scores with normal effects of given standard deviation, and noise."""
    scores = noise * rng.normal(size=(*shape, seeds))
    for axes, deviation in effects.items():
        scores = scores + deviation * rng.normal(size=[shape[a] if a in axes else 1 for a in range(3)] + [1])
    return scores


def test_components_of_a_table_by_hand():
    # Rows 0 and 2, columns 0 and 1, nothing else: sums of squares 2 4 = 8 / ... over four cells.
    found = variance_components.variance_components(np.array([[0.0, 1], [2, 3]])[..., None], ("model", "decoder"))
    assert [one.effect for one in found] == ["model", "decoder", "residual"]
    assert [one.sum_of_squares for one in found] == pytest.approx([4, 1, 0])
    assert [one.eta for one in found] == pytest.approx([0.8, 0.2, 0])
    # Without noise the component is the variance of the level means, n - 1 in the denominator: 2 and 0.5.
    assert [one.variance for one in found] == pytest.approx([2, 0.5, 0])
    assert [one.share for one in found] == pytest.approx([0.8, 0.2, 0])
    assert [one.degrees for one in found] == [1, 1, 1]


def test_components_add_up_and_find_what_was_planted(rng):
    factors = ("model", "decoder", "tuning")
    effects = {(0,): 1.0, (1,): 1.0, (2,): 0.5, (0, 1): 0.7}
    total = []
    for _ in range(60):
        scores = planted(rng, effects)
        found = variance_components.variance_components(scores, factors)
        assert sum(one.sum_of_squares for one in found) == pytest.approx(((scores - scores.mean()) ** 2).sum())
        assert sum(one.degrees for one in found) == scores.size - 1
        assert sum(one.share for one in found) == pytest.approx(1) == sum(one.eta for one in found)
        total.append([one.variance for one in found])
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
    found = variance_components.variance_components(scores, ("m", "d", "t"), draws=draws, rng=rng, resamples=300)[0]
    assert found.draw_low < found.share < found.draw_high
    # Few levels say less about levels than many samples about these ones.
    assert found.draw_high - found.draw_low < (found.high - found.low) / 10


def test_interactions_above_the_order_are_residual(rng):
    scores = planted(rng, {(0,): 1.0}, seeds=1)
    found = variance_components.variance_components(scores, ("m", "d", "t"))
    assert found[-2].effect == "d x t" and found[-1].degrees == 5 * 4 * 3
    first = variance_components.variance_components(scores, ("m", "d", "t"), order=1)
    assert [one.effect for one in first] == ["m", "d", "t", "residual"]
    with pytest.raises(ValueError, match=r"1\.\.2"):
        variance_components.variance_components(scores, ("m", "d", "t"), order=3)
    assert variance_components.as_frame(found).columns[0] == "effect"


def test_unbalanced_designs_are_refused(rng):
    rows = pd.DataFrame(
        [(m, d, s, rng.normal()) for m in "ab" for d in "xyz" for s in (7, 8)], columns=["m", "d", "seed", "score"]
    )
    scores, levels = variance_components.balanced(rows, ("m", "d"), replicate="seed")
    assert scores.shape == (2, 3, 2) and levels == {"m": ["a", "b"], "d": ["x", "y", "z"]}
    assert scores[1, 2, 0] == rows["score"].iloc[10]
    with pytest.raises(Incompatible, match="1 of 6 cells have 1 rows, others up to 2; the first: b z"):
        variance_components.balanced(rows[:-1], ("m", "d"), replicate="seed")
    with pytest.raises(Incompatible, match="have 0 rows"):
        variance_components.balanced(rows[:-2], ("m", "d"), replicate="seed")
    with pytest.raises(Incompatible, match="tells them apart"):
        variance_components.balanced(rows, ("m", "d"))
    with pytest.raises(Incompatible, match="same seed"):
        variance_components.balanced(rows.assign(seed=1), ("m", "d"), replicate="seed")
    with pytest.raises(Incompatible, match="d has one level"):
        variance_components.balanced(rows[rows["d"] == "x"], ("m", "d"), replicate="seed")
    with pytest.raises(Incompatible, match="unbalanced"):
        variance_components.variance_components(np.array([[1.0, np.nan], [1, 2]])[..., None], ("m", "d"))
    with pytest.raises(Incompatible, match="told from noise"):
        variance_components.variance_components(np.array([[1.0], [2.0]]), ("m",))
    with pytest.raises(ValueError, match="one axis more"):
        variance_components.variance_components(np.zeros((2, 2)), ("m", "d"))
