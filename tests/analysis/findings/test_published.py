"""Published numbers: every row fit to stand beside ours, and none of them unmarked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.findings.published import (
    MARK,
    check_marked,
    check_published,
    compare,
    read_published,
    with_copied,
)
from analysis.tables.columns import COMPARISON, LEADERBOARD, PUBLISHED
from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.core.errors import BadSetting, Incompatible, MissingData

FILE = Path(__file__).parents[3] / "results" / "published" / "published.csv"


@pytest.fixture(scope="module")
def published():
    return read_published(FILE)


@pytest.fixture
def board():
    """Two rows of ours: Presto on fuel moisture, by two layer rules."""
    rows = [
        {"suite": "fuel_moisture", "task": "lfmc", "model": "presto", "metric": "r2", "direction": "max", "rmse": rmse}
        | {"score": score, "low": score - 0.05, "high": score + 0.05, "protocol": "probe", "layer": layer}
        | {"fraction": 1.0, "variant": "", "record": "abc", "recipe": "", "standing": "best"}
        for layer, score, rmse in (("last", 0.54, 24.9), ("best-on-val", 0.50, 28.1))
    ]
    return pd.DataFrame(rows).reindex(columns=[*LEADERBOARD, "rmse"])


def test_the_file_is_fit_and_documented(published):
    assert len(published) > 300 and set(published["status"]) == {"copied"}
    readme = (FILE.parent / "README.md").read_text(encoding="utf-8")
    for name in PUBLISHED:
        assert f"`{name}`" in readme
    for source in published["source"]:
        assert source.split(" (")[0].split(" 0.4")[0].split("'")[0] in readme or "model card" in source


def test_its_names_are_ours(published):
    for model in set(published["model"]) - {""}:
        assert [entry.name for entry in model_catalogue.select([model])[0]] == [model]
    for suite, task in set(zip(published["suite"], published["task"], strict=True)) - {("", "")}:
        tasks = {task.name for task in suite_catalogue.load(suite).tasks}
        assert task.split("@")[0] in tasks, (suite, task)


def test_a_pair_says_what_differs(board, published):
    pairs_and_rest = compare(board, published)
    assert tuple(pairs_and_rest.columns) == COMPARISON
    pairs = pairs_and_rest[pairs_and_rest["status"] == "rerun"]
    # Two rows of ours beside two of Presto's, fine-tuned and a forest on frozen features.
    assert len(pairs) == 4 and set(pairs["published"]) == {25.28, 25.98}
    tuned = pairs[(pairs["published"] == 25.28) & (pairs["layer"] == "last")].iloc[0]
    assert tuned["difference"] == pytest.approx(24.9 - 25.28) and tuned["direction"] == "min"
    assert "protocol: ours probe, published finetune" in tuned["differences"]
    assert "possibly other test samples" in tuned["differences"]
    # Ours has an interval of r2 alone, so nothing is said of rmse.
    assert np.isnan(tuned["low"]) and np.isnan(tuned["within"])
    assert np.isnan(pairs_and_rest[pairs_and_rest["status"] == "copied"]["ours"].astype(float)).all()


def test_a_headline_metric_brings_its_interval_and_other_labels_are_named(published):
    board = pd.DataFrame(
        [
            {"suite": "sen1floods11", "task": "water", "model": "prithvi_v1_100", "metric": "miou", "score": 0.88}
            | {"direction": "max", "low": 0.86, "high": 0.90, "protocol": "probe", "layer": "best-on-val"}
            | {"fraction": 0.1, "recipe": "s2: six bands", "variant": "size=224"}
        ]
    )
    pairs = compare(board, published)
    card = pairs[(pairs["status"] == "rerun") & (pairs["published"] == 0.8868)].iloc[0]
    assert card["within"] and card["ours"] == 0.88
    assert "labels: ours 0.1, published 1 of the training set" in card["differences"]
    assert "input: ours s2: six bands" in card["differences"] and "ours with size=224" in card["differences"]
    second = pairs[(pairs["status"] == "rerun") & (pairs["seen"] == "second-hand")]
    assert len(second) and second["differences"].str.contains("quoted from a secondary source").all()
    assert not pairs[pairs["status"] == "rerun"]["task"].str.contains("bolivia").any()


def test_copied_rows_stay_marked(board, published):
    board = board.assign(metric="rmse", score=board["rmse"])
    mixed = with_copied(board, published)
    copied = mixed[mixed["status"] == "copied"]
    assert len(copied) == 6 and copied["model"].str.endswith(MARK).all() and (copied["standing"] == "").all()
    assert copied["notes"].str.startswith("copied from Presto").all()
    assert (mixed["status"] == "rerun").sum() == 2
    with pytest.raises(Incompatible, match="has neither status"):
        check_marked(board)
    with pytest.raises(Incompatible, match="copied rows, and only those"):
        check_marked(mixed.assign(model=mixed["model"].str.removesuffix(f" {MARK}")))
    with pytest.raises(Incompatible, match="with themselves"):
        compare(mixed, published)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "miou", "value": 88.7}, "per cent"),
        ({"metric": "mAP"}, "not a known metric"),
        ({"status": "rerun"}, "status is 'rerun'"),
        ({"where": ""}, "where is empty"),
        ({"value": np.nan}, "value is empty"),
        ({"suite": "eurosat", "task": ""}, "needs task"),
        ({"low": 2.0}, "outside its interval"),
        ({"seen": "heard"}, "known: read, second-hand"),
    ],
)
def test_unfit_rows_are_refused_by_line(published, change, message):
    frame = published.head(3).copy()
    for name, value in change.items():
        frame[name] = frame[name].astype(object)
        frame.loc[frame.index[1], name] = value
    with pytest.raises(BadSetting, match=message) as error:
        check_published(frame)
    assert "line 3" in str(error.value)


def test_a_row_twice_and_a_damaged_file_are_refused(published, tmp_path):
    with pytest.raises(BadSetting, match="is repeated"):
        check_published(pd.concat([published.head(2), published.head(1)]))
    with pytest.raises(MissingData, match="no published numbers"):
        read_published(tmp_path / "published.csv")
    path = tmp_path / "published.csv"
    published.head(2).drop(columns="seen").to_csv(path, index=False)
    with pytest.raises(BadSetting, match="seen"):
        read_published(path)
    published.head(2).astype({"value": object}).assign(value="high").to_csv(path, index=False)
    with pytest.raises(BadSetting, match="a value is not a number"):
        read_published(path)


@pytest.mark.shared
def test_every_anchor_is_in_the_file(shared, published):
    anchors = pd.read_csv(shared / "anchors" / "published.csv")
    printed = published["printed"].round(3).to_numpy()
    for _, row in anchors.iterrows():
        assert (np.abs(printed - row["value"]) < 6e-4).any(), (row["model"], row["dataset"], row["value"])
