"""What several levels gain over one: paired, in the metric's direction, of the arms validation prefers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.findings.multiscale import SINGLE, multi_scale
from analysis.report.statistics_text import statistics
from analysis.tables.breakdowns import RowDraws
from analysis.tables.columns import row_name
from bench.core import lookup


def row(decoder, taps, score, val, **changes):
    facts = dict(
        task="water", model="net", origin="pretrained", protocol="finetune", decoder=decoder, tuning="frozen",
        taps=taps, layer=taps, fraction=1.0, variant="", twins="",
        protocol_settings="", score=score, val=val, direction="max",
    )  # fmt: skip
    return facts | changes


def board(*rows):
    frame = pd.DataFrame(list(rows))
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, 400)  # shared by all: what the test set draws
    drawn = {
        row_name(row): RowDraws(scores=row["score"] + noise + rng.normal(0, 0.002, 400), halves=np.zeros((2, 2)))
        for row in frame.to_dict("records")
    }
    return frame, drawn


def test_the_one_level_decoders_are_those_of_the_folder():
    levels = {
        name: lookup.module("bench.decoders", name, kind="decoder").DECODER.layers_read
        for name in lookup.names("bench.decoders")
    }
    assert set(SINGLE) == {name for name, count in levels.items() if count == 1}


def test_a_gain_is_paired_so_the_noise_of_the_test_set_drops_out():
    frame = multi_scale(*board(row("fcn", "last", 0.7, 0.6), row("upernet", "quarters", 0.72, 0.6)))
    assert frame["gain"].tolist() == [pytest.approx(0.02)] and 0.01 < frame["low"][0] < 0.02 < frame["high"][0] < 0.03
    (section,) = statistics(None, scales=frame)
    text = section.sentences[0]
    assert text.startswith("water, net, frozen, 100 %: upernet (quarters) minus fcn (last): +0.020 [+0.0")
    assert text.endswith(", better.")


def test_validation_chooses_the_arm_of_each_side_and_less_is_better_where_it_is():
    rows = [
        row("fcn", "last", 5.0, 5.0), row("linear", "last", 3.0, 9.0), row("light", "quarters", 5.5, 4.0),
    ]  # fmt: skip
    (gain,) = multi_scale(*board(*(score_row | {"direction": "min"} for score_row in rows))).to_dict("records")
    assert (gain["several"], gain["single"], gain["gain"]) == ("light", "fcn", -0.5) and gain["high"] < 0


def test_one_side_alone_and_controls_say_nothing():
    assert multi_scale(*board(row("fcn", "last", 0.7, 0.6), row("linear", "last", 0.7, 0.6))).empty
    twins = (row("fcn", "last", 0.7, 0.6, origin="random"), row("light", "last", 0.8, 0.6, origin="random"))
    assert multi_scale(*board(*twins)).empty
    frame, _ = board(row("fcn", "last", 0.7, 0.6), row("light", "last", 0.8, 0.6))
    unknown = multi_scale(frame, {})
    assert np.isnan(unknown["low"][0])
    assert statistics(None, scales=unknown)[0].sentences[0].endswith("+0.100 (no interval).")
