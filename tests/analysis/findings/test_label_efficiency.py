"""Areas under label-efficiency curves: by hand, over shared fractions, with draws of the same resamples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.findings.label_efficiency import label_areas
from analysis.report.statistics_text import statistics
from analysis.report.write import build
from analysis.tables.breakdowns import RowDraws
from analysis.tables.columns import row_name
from tests.builders.records import LABELS, MODELS, MemorySource, make


def row(model, fraction, score, **changes):
    facts = dict(
        task="water", model=model, origin="pretrained", protocol="probe", decoder="", tuning="", layer="best-on-val",
        fraction=fraction, variant="", twins="",
        protocol_settings="", score=score, direction="max", metric_label="IoU", unit="",
    )  # fmt: skip
    return facts | changes


def test_the_area_is_the_mean_over_doublings_and_shots_play_no_part():
    rows = [row("one", 1.0, 0.9), row("one", 0.01, 0.5), row("one", 0.1, 0.7), row("one", -5.0, 0.1)]
    areas = label_areas(pd.DataFrame(rows), {})
    assert len(areas) == 1 and areas["fractions"][0] == "0.01 0.1 1"
    assert areas["area"][0] == pytest.approx((0.6 + 0.8) / 2) and np.isnan(areas["low"][0])


def test_models_compare_over_the_fractions_all_of_them_have():
    rows = [row("one", fraction, 0.8) for fraction in (0.01, 0.1, 1.0)]
    rows += [row("two", 0.1, 0.7), row("two", 1.0, 0.95), row("alone", 1.0, 0.99)]
    areas = label_areas(pd.DataFrame(rows), {}).set_index("model")
    assert list(areas.index) == ["two", "one"] and set(areas["fractions"]) == {"0.1 1"}
    assert areas.loc["two", "area"] == pytest.approx(0.825)
    apart = [row("one", 0.01, 0.8), row("one", 0.1, 0.8), row("two", 0.5, 0.8), row("two", 1.0, 0.8)]
    assert label_areas(pd.DataFrame(apart), {}).empty
    errors = [score_row | {"direction": "min"} for score_row in rows]
    assert list(label_areas(pd.DataFrame(errors), {})["model"]) == ["one", "two"]


def test_the_interval_is_that_of_the_mean_of_shared_resamples():
    rng = np.random.default_rng(0)
    rows = [row("one", 0.1, 0.6), row("one", 1.0, 0.8)]
    noise = rng.normal(0, 0.05, 4000)  # the same at both: nothing averages out
    drawn = {
        row_name(score_row): RowDraws(scores=score_row["score"] + noise, halves=np.zeros((2, 2))) for score_row in rows
    }
    areas = label_areas(pd.DataFrame(rows), drawn)
    assert areas["high"][0] - areas["low"][0] == pytest.approx(2 * 1.96 * 0.05, rel=0.05)
    assert areas["low"][0] < 0.7 < areas["high"][0]
    del drawn[row_name(rows[0])]
    assert np.isnan(label_areas(pd.DataFrame(rows), drawn)["low"][0])


def test_a_report_says_it_in_a_table_and_a_file():
    source = MemorySource()
    for model in MODELS[:3]:
        for fraction in (0.1, 1.0):
            source.put(*make(model, LABELS, fraction=fraction))
    report = build(source, "orchard")
    lines = report.files["label_efficiency.csv"].decode().splitlines()
    assert len(lines) == 1 + 3 * 2  # three models under two layer rules
    text = report.files["leaderboard.md"].decode()
    assert f"### label efficiency: {LABELS.name}" in text and "(0.1, 1; probe, best-on-val)" in text
    part = next(part for part in report.contents.sections if part.heading.startswith("label efficiency"))
    assert [cells[0] for cells in part.rows][-1] == "alder_base.random"
    assert statistics(None, areas=label_areas(report.tables.leaderboard.iloc[:0], {})) == []
