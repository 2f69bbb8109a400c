"""Records -> tables: nothing pooled that differs, nothing lost, intervals that belong to the scores they stand by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from analysis.report.boards import boards
from analysis.tables.bootstrap import draw
from analysis.tables.build import tables
from analysis.tables.columns import LAYERS, LEADERBOARD
from analysis.tables.run_groups import run_groups
from bench.store import Store
from tests.builders.records import LABELS, MODELS, TASKS, MemorySource, make, orchard

LANDCOVER, BIOMASS, WATER = TASKS
ALDER, ALDER_RANDOM, BIRCH = MODELS[:3]
PROMISED = "task,model,origin,parent,protocol,layer,fraction,metric,score,low,high,n_test,trained_on_this,record"


@pytest.fixture(scope="module")
def source():
    return orchard()


@pytest.fixture(scope="module")
def orchard_tables(source):
    return tables(source, "orchard")


def holding(*runs):
    source = MemorySource()
    for run in runs:
        source.put(*run)
    return source


def where(frame, **values):
    for name, value in values.items():
        frame = frame[frame[name] == value]
    return frame


def test_the_first_columns_are_the_promised_ones_and_a_cell_is_one_row(orchard_tables):
    assert ",".join(orchard_tables.leaderboard.columns[:14]) == PROMISED
    cell = ["task", "model", "protocol", "layer", "fraction"]
    assert not orchard_tables.leaderboard.duplicated(cell).any()
    # 7 models x 2 rules x (2 fractions x 4 test sets + knn on one of them)
    assert len(orchard_tables.leaderboard) == 7 * 2 * (2 * 4 + 1)


def test_scores_are_the_records_scores_and_lie_inside_their_intervals(source, orchard_tables):
    held = {record.digest: record for record in source.records()}
    for row in orchard_tables.leaderboard.to_dict("records"):
        split = row["task"].partition("@")[2] or "test"
        each = [held[digest].scores[split][row["layer"]][row["metric"]] for digest in row["record"].split()]
        assert row["score"] == pytest.approx(np.mean(each))
        assert row["low"] < row["score"] < row["high"]
        assert len(each) == (3 if row["fraction"] == 0.1 else 1)
        if len(each) == 3:
            assert row["spread"] == pytest.approx(np.std(each, ddof=1))
        else:
            assert np.isnan(row["spread"])


def test_an_out_of_region_split_is_a_task_of_its_own(orchard_tables):
    rows = where(orchard_tables.leaderboard, task="water@bolivia")
    assert len(rows) == 7 * 2 * 2
    assert set(rows["n_test"]) == {15}
    assert set(where(orchard_tables.leaderboard, task="water")["n_test"]) == {90}


def test_a_failed_run_is_listed_apart_with_its_error(orchard_tables):
    assert orchard_tables.failures[["model", "error"]].values.tolist() == [
        ["dogwood_base", "ValueError: block_3 is NaN"]
    ]
    assert "dogwood_base" not in set(orchard_tables.leaderboard["model"])


def test_a_partly_failed_cell_says_so():
    runs = [make(ALDER, LANDCOVER, fraction=0.1, subset=subset) for subset in range(3)]
    broken = replace(runs[2][0], status="failed", scores={}, choices={}, curves=(), error="boom")
    row = tables(holding(*runs[:2], (broken, {})), "orchard").leaderboard.iloc[0]
    assert row["subsets"] == 2
    assert "1 of 3 runs failed" in row["notes"]


@pytest.mark.parametrize(
    ("changes", "column", "text"),
    [
        ({"recipe": {"size": [96, 96], "normalise": "affine"}}, "variant", "recipe.size=[96,96]"),
        ({"settings": {"pools": ["mean"]}}, "protocol_settings", 'pools=["mean"]'),
        ({"suite_version": 2}, "variant", "suite_version=2"),
        ({"weights": "cd" * 32}, "variant", "weights=cdcdcdcdcdcd"),
        ({"protocol_version": 2}, "protocol_settings", "protocol_version=2"),
        ({"split_hash": "77" * 32}, "variant", "split_hash=777777777777"),
    ],
)
def test_runs_that_differ_in_an_undeclared_axis_are_not_pooled(changes, column, text):
    source = holding(make(ALDER, LANDCOVER), make(ALDER, LANDCOVER, **changes), make(BIRCH, LANDCOVER))
    rows = where(tables(source, "orchard").leaderboard, layer="last")
    assert len(rows) == 3
    assert len(set(where(rows, model="alder_base")[column])) == 2
    assert rows[column].str.contains(text, regex=False).any()
    assert set(where(rows, model="birch_small")["variant"]) == {""}
    assert set(rows["subsets"]) == {1}


def test_a_changed_setting_of_one_protocol_does_not_tear_a_row():
    """Two pools in the probe, one kNN: one row of the board, with a column for each."""
    changed = make(ALDER, LANDCOVER, settings={"pools": ["mean"]})
    source = holding(make(ALDER, LANDCOVER), changed, make(ALDER, LANDCOVER, protocol="knn"), make(BIRCH, LANDCOVER))
    (board,) = boards(tables(source, "orchard").leaderboard)
    entries = {row.name: row.entries for row in board.rows}
    assert [name for name, rule in board.settings if rule == "last"] == ["probe", "knn", 'probe (pools=["mean"])']
    assert {name: len(each) for name, each in entries.items()} == {"alder_base": 6, "birch_small": 2}


def test_a_run_belongs_to_the_row_of_its_input():
    """Two image sizes in the probe, one of them with kNN: two rows, the kNN score in that of its size."""
    large = {"recipe": {"size": [96, 96], "normalise": "affine"}}
    runs = [make(ALDER, LANDCOVER), make(ALDER, LANDCOVER, **large), make(ALDER, LANDCOVER, protocol="knn", **large)]
    (board,) = boards(tables(holding(*runs), "orchard").leaderboard)
    sizes = {row.name: len(row.entries) for row in board.rows}
    assert len(sizes) == 2 and sorted(sizes.values()) == [2, 4]
    assert sizes[next(name for name in sizes if "[96,96]" in name)] == 4


def random_twin(name, record, arrays, **changes):
    return replace(record, key=replace(record.key, model=name), facts=dict(record.facts) | changes), arrays


def test_models_with_one_random_network_are_one_row_that_names_all():
    record, arrays = make(ALDER_RANDOM, LANDCOVER)
    runs = [(record, arrays), random_twin("zelkova.random", record, arrays), make(MODELS[3], LANDCOVER)]
    rows = where(tables(holding(*runs), "orchard").leaderboard, layer="last")
    assert rows[["model", "twins"]].values.tolist() == [["alder_base.random", "zelkova.random"], [MODELS[3].name, ""]]
    assert len(rows["record"].iloc[0].split()) == 2
    assert boards(rows)[0].rows[0].name == "alder_base.random = zelkova.random"


def test_the_fingerprint_of_the_network_tells_twins_where_records_have_it():
    record, arrays = make(ALDER_RANDOM, LANDCOVER)
    same = random_twin("zelkova.random", record, arrays, network="f1")
    first = (replace(record, facts=dict(record.facts) | {"network": "f1"}), arrays)
    assert where(tables(holding(first, same), "orchard").leaderboard, layer="last")["twins"].tolist() == [
        "zelkova.random"
    ]
    other = random_twin("zelkova.random", record, arrays, network="f2")
    assert set(tables(holding(first, other), "orchard").leaderboard["twins"]) == {""}
    trained = random_twin("zelkova", record, arrays, origin="pretrained", network="f1")
    assert set(tables(holding(first, trained), "orchard").leaderboard["twins"]) == {""}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"facts": {"title": "t"}}, "states no origin, generated, kind"),
        ({"facts": {"direction": "up"}}, "neither 'max' nor 'min'"),
        ({"scores": {}}, "holds no scores"),
        ({"scores": {"test": {"last": {"accuracy": "high"}}}}, "not a number"),
        ({"curves": ({"layer": "norm"},)}, "a curve without depth"),
        ({"choices": {}}, "no layer of its curve"),
    ],
)
def test_incomplete_records_are_left_out_by_name(change, fault):
    record, arrays = make(ALDER, LANDCOVER)
    if "direction" in change.get("facts", {}):
        change = {"facts": dict(record.facts) | change["facts"]}
    orchard_tables = tables(holding((replace(record, **change), arrays), make(BIRCH, LANDCOVER)), "orchard")
    assert set(orchard_tables.leaderboard["model"]) == {"birch_small"}
    (text,) = orchard_tables.left_out
    assert record.digest in text and fault in text


def test_arrays_that_do_not_fit_together_cost_the_interval_of_that_row_alone():
    record, arrays = make(ALDER, LANDCOVER)
    short = arrays | {"test.prediction": arrays["test.prediction"][:, :7]}
    rows = tables(holding((record, short), make(BIRCH, LANDCOVER)), "orchard").leaderboard
    assert where(rows, model="alder_base")["low"].isna().all()
    assert where(rows, model="birch_small")["low"].notna().all()


def test_seeds_of_one_cell_are_averaged():
    source = holding(*(make(ALDER_RANDOM, LANDCOVER, seed=seed) for seed in range(3)))
    rows = where(tables(source, "orchard").leaderboard, layer="last")
    assert rows["seeds"].tolist() == ["0 1 2"]
    assert rows["spread"].iloc[0] > 0


def test_rows_are_sorted_best_first_and_do_not_depend_on_the_order_of_records(source, orchard_tables):
    class Shuffled(MemorySource):
        def records(self, suite=None):
            return iter(list(super().records(suite))[::-1])

    other = tables(Shuffled(source.held), "orchard")
    assert_frame_equal(other.leaderboard, orchard_tables.leaderboard)
    assert_frame_equal(other.layers, orchard_tables.layers)
    for cell, rows in orchard_tables.leaderboard.groupby(["task", "protocol", "layer", "fraction"]):
        scores = rows["score"].tolist()
        assert scores == sorted(scores, reverse=cell[0] != "biomass")
    assert orchard_tables.leaderboard["task"].is_monotonic_increasing


def test_the_store_gives_the_tables_that_memory_gives(tmp_path):
    runs = [make(model, task) for model in (ALDER, BIRCH) for task in (LANDCOVER, WATER)]
    store = Store(tmp_path)
    for record, arrays in runs:
        store.put(record, arrays)
    stored, held = tables(store, "orchard"), tables(holding(*runs), "orchard")
    assert_frame_equal(stored.leaderboard, held.leaderboard)
    assert_frame_equal(stored.layers, held.layers)


def test_models_that_predict_the_same_tie_and_a_far_worse_one_does_not():
    record, arrays = make(ALDER, LANDCOVER)
    twin = replace(record, key=replace(record.key, model="alder_copy"))
    source = holding((record, arrays), (twin, arrays), make(ALDER_RANDOM, LANDCOVER))
    rows = where(tables(source, "orchard").leaderboard, layer="last")
    standing = dict(zip(rows["model"], rows["standing"], strict=True))
    assert standing == {"alder_base": "best", "alder_copy": "tie", "alder_base.random": ""}


def test_the_comparison_with_the_best_is_paired():
    # The second model is right wherever the first is, but for 9 of 300 samples: far inside the unpaired intervals.
    record, arrays = make(ALDER, LANDCOVER)
    predicted = arrays["test.prediction"].copy()
    right = np.flatnonzero((predicted == arrays["test.target"]).all(0))[:9]
    predicted[:, right] = (predicted[:, right] + 1) % 6
    curves = [
        row | {"test": float((layer == arrays["test.target"]).mean())}
        for row, layer in zip(record.curves, predicted, strict=True)
    ]
    places = {rule: choice["index"] for rule, choice in record.choices.items()}
    scores = {"test": {rule: {"accuracy": curves[place]["test"]} for rule, place in places.items()}}
    second = replace(record, key=replace(record.key, model="alder_dented"), curves=curves, scores=scores)
    rows = where(
        tables(holding((record, arrays), (second, arrays | {"test.prediction": predicted})), "orchard").leaderboard,
        layer="last",
    )
    assert rows["standing"].tolist() == ["best", ""]
    assert rows["high"].iloc[1] > rows["low"].iloc[0]


def test_a_model_that_joins_moves_nobodys_interval():
    alone = tables(holding(make(ALDER, BIOMASS)), "orchard").leaderboard
    joined = where(
        tables(holding(make(ALDER, BIOMASS), make(BIRCH, BIOMASS)), "orchard").leaderboard, model="alder_base"
    )
    assert joined[["low", "high"]].to_numpy() == pytest.approx(alone[["low", "high"]].to_numpy(), abs=0)


def test_outcomes_that_do_not_give_the_stored_score_get_no_interval_and_are_named():
    record, arrays = make(ALDER, LANDCOVER)
    forged = arrays | {"test.prediction": (arrays["test.prediction"] + 1) % 6}
    row = tables(holding((record, forged)), "orchard").leaderboard.iloc[0]
    assert np.isnan(row["low"])
    assert record.digest in row["notes"]
    assert row["score"] == record.scores["test"]["best-on-val"]["accuracy"]


@pytest.mark.parametrize("dropped", ["test.blocks", "test.prediction"])
def test_missing_outcomes_cost_the_interval_of_that_row_alone(dropped):
    record, arrays = make(ALDER, LANDCOVER)
    arrays.pop(dropped)
    board = tables(holding((record, arrays), make(BIRCH, LANDCOVER)), "orchard").leaderboard
    assert where(board, model="alder_base")["low"].isna().all()
    assert "missing or damaged" in where(board, model="alder_base")["notes"].iloc[0]
    assert where(board, model="birch_small")["low"].notna().all()


def test_a_damaged_file_of_outcomes_is_reported_and_the_rest_goes_on(tmp_path):
    store = Store(tmp_path)
    for model in (ALDER, BIRCH):
        path = store.put(*make(model, LANDCOVER))
    path.with_suffix(".npz").write_bytes(path.with_suffix(".npz").read_bytes()[:2000])
    board = tables(store, "orchard").leaderboard
    assert where(board, model="birch_small")["notes"].str.contains("missing or damaged").all()
    assert where(board, model="alder_base")["low"].notna().all()


def test_one_block_gives_no_interval_and_few_are_remarked():
    record, arrays = make(ALDER, LANDCOVER)
    row = tables(holding((record, arrays | {"test.blocks": np.full(300, "lone")})), "orchard").leaderboard.iloc[0]
    assert np.isnan(row["low"])
    assert "2 are needed" in row["notes"]
    few = tables(
        holding((record, arrays | {"test.blocks": np.repeat(["a", "b", "c"], 100)})), "orchard"
    ).leaderboard.iloc[0]
    assert few["blocks"] == 3
    assert "interval from 3 blocks only" in few["notes"]


def test_a_model_that_left_samples_out_says_so():
    shorter = replace(LANDCOVER, splits=(("test", 290, 58),))
    board = tables(holding(make(ALDER, LANDCOVER), make(BIRCH, shorter)), "orchard").leaderboard
    assert where(board, model="birch_small")["notes"].iloc[0] == "scored on 290 of 300 samples"
    assert where(board, model="alder_base")["notes"].iloc[0] == ""


def kept_samples(run, rows, model):
    """A run of another name that was scored on some samples of a classification run, in that order."""
    record, arrays = run
    arrays = {name: values[..., rows] if name.startswith("test.") else values for name, values in arrays.items()}
    points = (arrays["test.prediction"] == arrays["test.target"]).mean(1)
    curves = [row | {"test": float(point)} for row, point in zip(record.curves, points, strict=True)]
    scores = {"test": {rule: {"accuracy": float(points[c["index"]])} for rule, c in record.choices.items()}}
    key = replace(record.key, model=model)
    return replace(record, key=key, curves=curves, scores=scores, facts=record.facts | {"n_test": len(rows)}), arrays


def test_draws_of_models_on_different_samples_are_paired_by_the_names_of_blocks():
    run = make(ALDER, LANDCOVER)
    blocks = run[1]["test.blocks"]
    order = np.random.default_rng(0).permutation(len(blocks))
    without = order[blocks[order] != np.unique(blocks)[3]]
    source = holding(run, kept_samples(run, order, "shuffled"), kept_samples(run, without, "shorter"))
    groups = run_groups({record.digest: record for record in source.records("orchard")})
    draws = {
        group.key.model: each.rules["last"] for group, each in zip(groups, draw(source, groups, 1000), strict=True)
    }
    assert draws["shuffled"] == pytest.approx(draws["alder_base"], abs=1e-9), "the order of samples plays no part"
    equal = np.isclose(draws["shorter"], draws["alder_base"], atol=1e-9).mean()
    assert 0.2 < equal < 0.55, "equal where the block that one lacks is not drawn, (1 - 1/B)^B of the resamples"
    rows = where(tables(source, "orchard").leaderboard, layer="last")
    assert sorted(rows["standing"]) == ["best", "tie", "tie"]


def test_multilabel_scores_get_intervals():
    row = tables(holding(make(ALDER, LABELS)), "orchard").leaderboard.iloc[0]
    assert row["metric"] == "map"
    assert row["low"] < row["score"] < row["high"]


def test_a_metric_without_bootstrap_is_a_row_without_interval():
    record, arrays = make(ALDER, BIOMASS)
    scores = {"test": {rule: {"spearman": 0.5} for rule in record.scores["test"]}}
    odd = replace(record, facts=dict(record.facts) | {"metric": "spearman", "direction": "max"}, scores=scores)
    row = tables(holding((odd, arrays)), "orchard").leaderboard.iloc[0]
    assert row["score"] == 0.5
    assert "none is defined for spearman" in row["notes"]


def test_a_profile_has_a_row_a_layer_and_marks_the_choice_made_on_validation(source, orchard_tables):
    assert list(orchard_tables.layers.columns) == list(LAYERS)
    held = {record.digest: record for record in source.records()}
    rows = where(orchard_tables.layers, task="landcover", model="alder_base", protocol="probe", fraction=1.0)
    record = held[rows["record"].iloc[0]]
    assert rows["layer"].tolist() == [row["layer"] for row in record.curves]
    assert rows["test"].tolist() == [row["test"] for row in record.curves]
    assert where(rows, chosen=True)["layer"].tolist() == [record.choices["best-on-val"]["layer"]]
    assert where(rows, last=True)["layer"].tolist() == ["norm"]
    assert ((rows["low"] < rows["test"]) & (rows["test"] < rows["high"])).all()


def test_final_layer_regret_is_the_paired_difference_between_chosen_and_last_layer(orchard_tables):
    for (task, model, protocol, fraction), rows in orchard_tables.layers.groupby(
        ["task", "model", "protocol", "fraction"]
    ):
        first = rows.iloc[0]
        if len(rows) == 1:
            assert np.isnan(first["final_layer_regret"])
            continue
        board = where(orchard_tables.leaderboard, task=task, model=model, protocol=protocol, fraction=fraction)
        scores = dict(zip(board["layer"], board["score"], strict=True))
        sign = -1 if task == "biomass" else 1
        assert first["final_layer_regret"] == pytest.approx(sign * (scores["best-on-val"] - scores["last"]))
        assert first["regret_low"] <= first["final_layer_regret"] <= first["regret_high"]
        assert first["regret_p_holm"] >= first["regret_p"]


def test_a_planted_peak_is_found_with_a_regret_that_excludes_zero_and_a_flat_profile_with_none(orchard_tables):
    # birch peaks at depth 0.5 and loses over a fifth of its skill to the end; the biomass noise is small.
    peaked = where(orchard_tables.layers, task="biomass", model="birch_small", fraction=1.0, chosen=True).iloc[0]
    assert abs(peaked["depth"] - 0.5) < 0.2
    assert peaked["regret_low"] > 0
    record, arrays = make(ALDER, LANDCOVER)
    flat = np.repeat(arrays["test.prediction"][:1], len(record.curves), 0)
    score = record.curves[0]["test"]
    even = replace(
        record,
        curves=[row | {"test": score} for row in record.curves],
        scores={"test": {rule: {"accuracy": score} for rule in record.choices}},
    )
    row = tables(holding((even, arrays | {"test.prediction": flat})), "orchard").layers.iloc[0]
    assert (row["final_layer_regret"], row["regret_low"], row["regret_high"], row["regret_p"]) == (0, 0, 0, 1)


def test_a_suite_without_records_gives_empty_tables_with_their_columns():
    empty = tables(MemorySource(), "nothing")
    assert list(empty.leaderboard.columns) == list(LEADERBOARD)
    assert isinstance(empty.failures, pd.DataFrame)
    assert not len(empty.layers)


def test_the_peak_of_a_profile_is_where_it_was_planted(orchard_tables):
    """The fixtures' models are best at a depth of their own; their random twins near the first layer."""
    rows = where(orchard_tables.layers, task=LANDCOVER.name, protocol="probe", fraction=1.0)
    for model in (ALDER, BIRCH):
        own = where(rows, model=model.name)
        assert own["peak_depth"].nunique() == own["peak_low"].nunique() == 1
        assert own["peak_chance"].sum() == pytest.approx(1)
        assert own["peak_depth"].iloc[0] == own["depth"][own["test"].idxmax()]
        assert own["peak_low"].iloc[0] <= own["peak_depth"].iloc[0] <= own["peak_high"].iloc[0]
        assert own["peak_low"].iloc[0] - 0.1 <= model.peak <= own["peak_high"].iloc[0] + 0.1
    assert where(orchard_tables.layers, model="image_stats")["peak_depth"].isna().all()
