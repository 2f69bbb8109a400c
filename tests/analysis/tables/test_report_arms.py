"""Fine-tuned arms in tables and boards: apart by decoder, tuning and taps, in columns of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.report.boards import boards
from analysis.report.contents import SuiteContents
from analysis.report.markdown import markdown
from analysis.tables.build import tables
from analysis.tables.formatting import adaptation
from tests.builders.records import MODELS, TASKS, TREES, MemorySource, make, make_arm, nursery


def holding(*runs):
    source = MemorySource()
    for run in runs:
        source.put(*run)
    return source


@pytest.fixture(scope="module")
def orchard_tables():
    return tables(nursery(), "orchard")


def test_arms_are_rows_of_their_own_with_columns_and_no_variant(orchard_tables):
    rows = orchard_tables.leaderboard.query("protocol=='finetune' and task=='landcover' and model=='alder_base'")
    assert set(zip(rows["decoder"], rows["tuning"], rows["taps"], strict=True)) == {
        (decoder, tuning, "last") for decoder in ("linear", "upernet") for tuning in ("frozen", "full")
    }
    assert set(rows["variant"]) == {""} and set(rows["seeds"]) == {"0 1 2"} and set(rows["layer"]) == {"last"}
    probes = orchard_tables.leaderboard.query("protocol=='probe'")
    assert set(probes["decoder"]) == set(probes["tuning"]) == set(probes["taps"]) == {""}


def test_another_learning_rate_grid_of_an_arm_is_another_column_of_the_same_row():
    record, arrays = make_arm(MODELS[0], TASKS[0], decoder="upernet")
    other = replace(record, key=replace(record.key, settings={**record.key.settings, "learning_rates": [0.1]}))
    rows = tables(holding((record, arrays), (other, arrays)), "orchard").leaderboard
    assert sorted(rows["protocol_settings"]) == ["", "learning_rates=[0.1]"] and set(rows["variant"]) == {""}
    (board,) = boards(rows)
    (row,) = board.rows
    assert board.settings == [
        ("finetune upernet frozen", "last"), ("finetune upernet frozen (learning_rates=[0.1])", "last"),
    ]  # fmt: skip
    assert set(row.entries) == set(board.settings)


def test_taps_are_the_layer_rule_and_set_arms_apart():
    runs = [make_arm(MODELS[0], TASKS[0], decoder="fpn", taps=taps) for taps in ("last", "quarters")]
    rows = tables(holding(*runs), "orchard").leaderboard
    assert sorted(zip(rows["layer"], rows["taps"], strict=True)) == [("last", "last"), ("quarters", "quarters")]
    assert set(rows["variant"]) == {""}


def test_each_arm_has_a_best_of_its_own_and_boards_name_decoder_and_tuning(orchard_tables):
    rows = orchard_tables.leaderboard.query("task=='landcover' and protocol=='finetune'")
    for _, group in rows.groupby(["decoder", "tuning", "layer", "fraction"]):
        assert (group["standing"] == "best").sum() == 1
    board = next(written for written in boards(orchard_tables.leaderboard) if written.task == "landcover")
    assert board.settings[:2] == [("probe", "best-on-val"), ("probe", "last")]
    assert ("finetune upernet full", "last") in board.settings
    assert "finetune upernet frozen, last" in markdown(SuiteContents(tables=orchard_tables))
    assert adaptation({"protocol": "knn", "decoder": "", "tuning": "", "protocol_settings": ""}) == "knn"


def test_boxes_have_intervals_around_their_scores(orchard_tables):
    rows = orchard_tables.leaderboard.query("task=='trees'")
    assert set(rows["metric"]) == {"box_map"} and "box_map50" in rows
    assert ((rows["low"] < rows["score"]) & (rows["score"] < rows["high"])).all()
    assert (rows["notes"] == "interval from 8 blocks only").all()


def test_a_failed_arm_is_counted_in_its_own_cell():
    runs = [make_arm(MODELS[0], TASKS[0], decoder="fpn", seed=seed) for seed in range(2)]
    broken = replace(runs[1][0], status="failed", scores={}, choices={}, error="boom")
    row = tables(holding(runs[0], (broken, {})), "orchard").leaderboard.iloc[0]
    assert "1 of 2 runs failed" in row["notes"]


def test_costs_are_columns_and_a_cached_pass_has_no_time_an_image(orchard_tables):
    arm = orchard_tables.leaderboard.query("protocol=='finetune' and model=='alder_base'").iloc[0]
    assert arm["flops"] == 50 * 86e6 and arm["step_seconds"] == pytest.approx(0.1)
    record, arrays = make(MODELS[0], TASKS[0])
    cold = replace(record, cost={"seconds": 9.0, "extraction_seconds": 6.0, "passes": 300.0})
    warm = replace(record, cost={"seconds": 3.0, "extraction_seconds": 0.0, "passes": 0.0})
    assert tables(holding((cold, arrays)), "orchard").leaderboard["image_seconds"].iloc[0] == pytest.approx(0.02)
    assert np.isnan(tables(holding((warm, arrays)), "orchard").leaderboard["image_seconds"].iloc[0])


def test_classes_regions_and_confidence_come_with_the_most_labels(orchard_tables):
    classes = orchard_tables.classes.query("task=='water' and protocol=='finetune' and model=='alder_base'")
    assert set(classes["class"]) == {"land", "water"}
    row = orchard_tables.leaderboard.query("task=='water' and protocol=='finetune' and model=='alder_base'").iloc[0]
    own = classes[(classes["decoder"] == row["decoder"]) & (classes["tuning"] == row["tuning"])]
    assert own["iou"].mean() == pytest.approx(row["score"], abs=5e-3)
    regions = orchard_tables.regions.query(
        "task=='water' and protocol=='probe' and model=='alder_base' and layer=='last'"
    )
    assert len(regions) == 11 and regions["samples"].sum() == 90
    bins = orchard_tables.calibration.query("model=='alder_base' and protocol=='probe' and layer=='last'")
    assert bins["count"].sum() == 300
    score = orchard_tables.leaderboard.query(
        "task=='landcover' and model=='alder_base' and protocol=='probe' and layer=='last'"
    )
    right = (bins["accuracy"] * bins["count"]).sum() / 300
    assert right == pytest.approx(score["score"].iloc[0])
    assert len(orchard_tables.arms.query("task=='trees'")) == 3


def test_cards_say_what_was_run_and_how_to_run_it_again(orchard_tables):
    (card,) = orchard_tables.cards
    assert card.command == "geobench-run suite=orchard"
    assert "finetune version 1" in card.protocols
    assert 'decoders=["upernet"] tuning=["full"]' in card.protocols["finetune version 1"]
    assert {facts["model"] for facts in card.models} == set(orchard_tables.leaderboard["model"])
    assert len(card.records) == len(set(card.records)) and card.failed == 0
    assert "trees" in card.facts["split hash"] and TREES.name == "trees"
