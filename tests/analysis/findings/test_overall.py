"""Models over all tasks: ranks by hand, frozen ranges, what is left out, and nothing generated among what is real."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.findings.agreement import largest_table
from analysis.findings.overall import overall
from analysis.report.statistics_text import statistics
from analysis.report.write import build
from analysis.statistics.normalisers import normaliser
from analysis.tables.breakdowns import RowDraws
from analysis.tables.columns import OVERALL, row_name
from bench.catalogue import suites as suite_catalogue
from tests.builders.records import orchard

FACTS = dict(
    origin="pretrained", protocol="probe", decoder="", tuning="", layer="best-on-val", fraction=1.0, variant="",
    twins="", protocol_settings="",
    metric="miou", direction="max",
)  # fmt: skip


def suite(name, scores, *, generated=False, spread=0.0, **changes):
    """Tables of one suite: task -> model -> score, with draws around it where there is a spread."""
    rng = np.random.default_rng(0)
    rows = [
        {**FACTS, "suite": name, "task": task, "model": model, "score": score, **changes}
        for task, by in scores.items()
        for model, score in by.items()
    ]
    drawn = {
        row_name(row): RowDraws(scores=row["score"] + rng.normal(0, spread, 500), halves=np.zeros((2, 2)))
        for row in rows
        if spread
    }
    return SimpleNamespace(suite=name, generated=generated, leaderboard=pd.DataFrame(rows), row_draws=drawn)


def test_mean_ranks_by_hand_with_ties_and_less_is_better():
    up = suite("forest", {"kind": {"one": 0.9, "two": 0.8, "three": 0.8}})
    down = suite("field", {"height": {"one": 3.0, "two": 1.0, "three": 2.0}}, direction="min", metric="rmse")
    ranking = overall([up, down])
    assert list(ranking.table.columns) == list(OVERALL)
    ranks = ranking.table.set_index("model")["mean_rank"]
    assert ranks.to_dict() == {"one": 2.0, "two": 1.75, "three": 2.25}
    assert list(ranking.table["model"]) == ["two", "one", "three"] and (ranking.table["tasks"] == 2).all()
    assert ranking.table["rank_low"].isna().all() and ranking.table["iqm"].isna().all()


def test_the_interval_is_that_of_resampled_ranks():
    clear = overall([suite("a", {t: {"one": 0.9, "two": 0.5} for t in "xy"}, spread=0.01)]).table
    assert clear[["mean_rank", "rank_low", "rank_high"]].to_numpy().tolist() == [[1, 1, 1], [2, 2, 2]]
    even = overall([suite("a", {t: {"one": 0.7, "two": 0.7} for t in "xy"}, spread=0.01)]).table
    assert (even["mean_rank"] == 1.5).all() and (even["rank_low"] == 1).all() and (even["rank_high"] == 2).all()


def test_scores_on_frozen_ranges_where_suite_and_metric_are_known():
    ranges = normaliser("geobench2_v1")
    names = ("caffe", "flair2", "pastis", "kuro_siwo")
    every = [
        suite(f"gb2_{name}", {"kind": {"best": ranges.ranges[name][1], "worst": ranges.ranges[name][0]}}, spread=1e-6)
        for name in names
    ]
    elsewhere = suite("forest", {"kind": {"best": 0.1, "worst": 0.9}}, spread=1e-6)
    pooled = overall([*every, elsewhere]).table.set_index("model")
    assert pooled["iqm"].to_dict() == {"best": pytest.approx(1), "worst": pytest.approx(0)}
    assert (pooled["iqm_tasks"] == 4).all() and (pooled["tasks"] == 5).all()
    assert set(pooled["normaliser"]) == {"geobench2 v1"}
    assert (pooled["iqm_low"] <= pooled["iqm"]).all() and (pooled["iqm_high"] - pooled["iqm_low"] < 1e-3).all()
    other = [suite(f"gb2_{name}", {"kind": {"one": 0.5, "two": 0.6}}, metric="pixel_accuracy") for name in names]
    assert overall(other).table["iqm"].isna().all()


def test_the_ranges_name_suites_there_are_in_the_metric_they_have():
    ranges = normaliser("geobench2_v1")
    for name, (task, metric) in ranges.suites.items():
        loaded = suite_catalogue.load(name)
        assert task in ranges.ranges and loaded.tasks[0].metric == metric, name
    assert not {"gb2_biomassters", "gb2_substation", "gb2_pastis_r"} & set(ranges.suites)  # other measures there


def test_what_not_all_share_is_left_out_by_name():
    first = suite("a", {"x": {"one": 0.9, "two": 0.5}, "y": {"one": 0.9, "two": 0.5}, "z": {"three": 0.9}})
    away = suite("b", {"x@far": {"one": 0.1, "two": 0.5}})
    ranking = overall([first, away])
    (way,) = ranking.tasks
    assert ranking.tasks[way] == ["a x", "a y"]
    assert (ranking.left_out[way].tasks, ranking.left_out[way].models) == (("a z",), ("three",))
    (section,) = statistics(None, whole=ranking)
    assert "Excluded tasks, because not all share them: a z." in section.sentences
    assert overall([suite("a", {"x": {"one": 0.9, "two": 0.5}})]) is None
    assert overall([suite("a", {"x": {"one": 0.9}, "y": {"one": 0.9}})]) is None


def test_the_largest_table_is_found_whichever_setting_has_most_models():
    """Two suites with many models of their own share two with the rest, which share four among themselves."""
    common = {"a", "b"}
    settings = {name: dict.fromkeys({"one", "two", *common}) for name in ("x", "y", "z")}
    settings |= {name: dict.fromkeys({*common, *(f"{name}{i}" for i in range(5))}) for name in ("p", "q")}
    assert largest_table(settings, fewest=2) == (["x", "y", "z"], ["a", "b", "one", "two"])
    assert largest_table(settings, fewest=5) == ([], [])
    del settings["y"], settings["z"]
    assert largest_table(settings, fewest=2) == (["x", "p", "q"], ["a", "b"])


def test_generated_data_are_never_pooled_with_real_ones():
    real = suite("a", {"x": {"one": 0.9, "two": 0.5}})
    generated = suite("demo", {"x": {"one": 0.9, "two": 0.5}, "y": {"one": 0.9, "two": 0.5}}, generated=True)
    assert overall([real, generated]) is None
    assert overall([generated]).table["tasks"].tolist() == [2, 2]


def test_a_report_has_it_in_words_and_in_a_file():
    report = build(orchard(), "orchard")
    part = next(part for part in report.contents.sections if part.heading == "over all tasks")
    assert "(probe, best-on-val, all labels)" in part.sentences[0]
    assert {part.rows[0][0], part.rows[1][0]} == {"alder_base", "cedar_nano"} and ".random" in part.rows[-1][0]
    assert len(part.rows) == 7 and report.files["overall.csv"].decode().startswith("protocol,protocol_settings")
    assert "### over all tasks" in report.files["leaderboard.md"].decode()
    assert statistics(None) == []
