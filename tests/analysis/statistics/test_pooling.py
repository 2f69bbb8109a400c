"""Pooling: undeclared axes are refused by name, pooled numbers by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.normalisers import Normaliser, normaliser
from analysis.statistics.pooling import Axes, check_axes, pool
from bench.core.errors import BadSetting, Incompatible, UnknownName


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


def test_an_axis_nobody_declared_is_named_with_its_values(rows):
    rows["normalisation"] = np.where(rows["seed"] == 0, "native", "z-score")
    rows["size"] = 224
    with pytest.raises(Incompatible, match=r"differ in normalisation \(native, z-score\), which is not declared"):
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
    means = pool(rows, AXES, statistic="mean").table.set_index("model")["mean"]
    assert means.to_dict() == pytest.approx({"c": 2.055, "b": 1.055, "a": 0.055})
    ranks = pool(rows, AXES, statistic="mean_rank").table
    assert ranks["mean_rank"].tolist() == [1, 2, 3]
    worse = pool(rows, AXES, statistic="mean_rank", direction="min").table
    assert worse["model"].tolist() == ["a", "b", "c"]


def test_pooled_intervals_come_from_replicates(rows, rng):
    pooled = pool(rows, AXES, statistic="mean", rng=rng, resamples=200).table
    assert (pooled["low"] < pooled["mean"]).all() and (pooled["mean"] < pooled["high"]).all()
    assert (pooled["high"] - pooled["low"]).max() < 0.011
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
    with pytest.raises(Incompatible, match="at model=a, task=t0, seed=0"):
        pool(pd.concat([rows, rows[:1]]), AXES)
    with pytest.raises(Incompatible, match="have no score"):
        pool(rows.assign(score=np.nan), AXES)
    with pytest.raises(Incompatible, match="weigh more"):
        pool(rows[1:], AXES)
    with pytest.raises(BadSetting, match="no column fold"):
        check_axes(rows, Axes(over=("fold",)))
    with pytest.raises(BadSetting, match="not constant for model a"):
        check_axes(rows, Axes(over=("task",), facts=("seed",)))
    with pytest.raises(BadSetting, match="known: iqm"):
        pool(rows, AXES, statistic="geometric")
    ways = rows.assign(direction=np.where(rows["task"] == "t0", "max", "min"))
    with pytest.raises(Incompatible, match="others smaller"):
        pool(ways, AXES, statistic="mean", direction="direction")
    assert pool(ways, AXES, statistic="mean_rank", direction="direction").table["mean_rank"].tolist() == [2, 2, 2]


def test_facts_travel_and_normalised_scores_are_not_clipped(rows):
    rows["origin"] = rows["model"].map({"a": "random", "b": "pretrained", "c": "pretrained"})
    scale = Normaliser(name="toy", version=1, ranges={"t0": (0.0, 1.0), "t1": (3.0, 1.0)})
    pooled = pool(
        rows, Axes(over=("task",), replicates=("seed",), facts=("origin",)), normaliser=scale, statistic="mean"
    )
    table = pooled.table.set_index("model")
    assert pooled.normaliser == "toy v1" and table.loc["a", "origin"] == "random"
    # Less is better on t1: 2.1 and 2.11 become 0.45 and 0.445.
    assert table.loc["c", "mean"] == pytest.approx((2.0 + 2.01 + 0.45 + 0.445) / 4)
    assert table.loc["c", "outside"] == 2 and table.loc["a", "outside"] == 2
    with pytest.raises(UnknownName, match="t0"):
        pool(rows, Axes(over=("task",), replicates=("seed",), facts=("origin",)), normaliser=normaliser("geobench2_v1"))
