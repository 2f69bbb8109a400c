"""What is not finite is missing, whichever way; a sample is left out for the reason that holds; fills are named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench.core import Band, Normalise, Sample
from bench.core.errors import MissingData
from bench.input.fills import check_fill
from bench.input.prepare import prepare
from bench.input.recipe import match
from bench.input.usable import blank_sample, first_usable, usable, why_unusable
from bench.protocols import finetune, probe
from bench.runs.carry_out import carry_out
from tests.builders import arms, sessions
from tests.builders.suite_and_model import BANDS, ToySplit, toy_entry, toy_suite

SUITE = toy_suite()
COUNTS = {"train": 24, "val": 12, "test": 12}


def sample(dates=1, **changes):
    values = np.full((dates, 2, 4, 4), 1500.0, np.float32)
    for column, value in changes.items():
        values[:, int(column[1:])] = value
    return Sample(images={"s2": values}, target=0)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_takes_the_mean_of_its_band(missing):
    raw = torch.full((2, 1, 2, 16, 16), 1000.0)
    raw[:, :, :, :4] = 3000.0
    raw[1, 0, 0, 0, :8] = missing
    recipe = match(toy_entry(normalise=Normalise()), SUITE, SUITE.tasks[0], BANDS)
    ready = prepare({"s2": raw}, recipe, {})["s2"]
    kept = raw[1, 0, 0][torch.isfinite(raw[1, 0, 0])]
    assert bool(torch.isfinite(ready).all())
    torch.testing.assert_close(ready[1, 0, 0, 0, :8], kept.mean().expand(8))
    assert torch.equal(ready[0], raw[0]) and torch.equal(ready[1, 0, 1], raw[1, 0, 1])


def test_missing_class_codes_stay_missing():
    codes = (Band(name="dw.class", unit="class"), *BANDS)
    suite = toy_suite(bands=codes)
    recipe = match(toy_entry(bands=codes, normalise=Normalise()), suite, suite.tasks[0], codes)
    raw = {"s2": torch.ones(1, 1, 2, 16, 16), "dw": torch.ones(1, 1, 1, 16, 16)}
    raw["dw"][..., 0, 0], raw["dw"][..., 0, 1] = float("inf"), float("nan")
    ready = prepare(raw, recipe, {})["dw"]
    assert torch.isnan(ready).sum() == 2 and bool((ready[~torch.isnan(ready)] == 1).all())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (sample(), ""),
        (sample(_1=np.nan), "no valid pixel of s2.b08"),
        (sample(_0=np.inf, _1=-np.inf), "no valid pixel of s2.b04 s2.b08"),
        (sample(dates=0), "no date"),
        (Sample(images={"s2": np.where(np.eye(4), 1.0, -np.inf)[None, None].repeat(2, 1)}, target=0), ""),
    ],
)
def test_the_reason_is_the_one_that_holds(given, reason):
    assert why_unusable(given, BANDS) == reason and usable(given, BANDS) is (not reason)


def test_the_first_usable_sample_may_come_late():
    given = [sample(_0=np.nan)] * 90 + [sample()]
    assert first_usable(given, BANDS, "toy train")[0] == 90
    with pytest.raises(MissingData, match="toy train: none of 90 samples is usable"):
        first_usable(given[:90], BANDS, "toy train")


def test_what_stands_in_for_an_unusable_sample_has_a_date():
    given = sample(dates=0)._replace(when=np.zeros((0, 3), np.int32))
    assert blank_sample(given).images["s2"].shape == (1, 2, 4, 4) and blank_sample(given).when.shape == (1, 3)


def broken_suite(change, split="test", row=7, dates=1):
    class Broken(arms.Split):
        def __getitem__(self, index):
            given = super().__getitem__(index)
            if dates == 0:
                series = np.repeat(given.images["s2"], 1 + index % 2, 0)
                given = given._replace(images={"s2": series})
            changed = self.ids[0].startswith(split) and index == row
            return given._replace(images={"s2": change(given.images["s2"].copy())}) if changed else given

    return toy_suite(
        tasks=tuple(arms.TASKS.values()),
        splits=COUNTS,
        dates=dates,
        open=lambda root, task, part, bands: Broken(task, part, COUNTS[part], bands),
    )


def some_infinite(image):
    image[:, 0, 0] = -np.inf  # 6 % of the band, as radar in decibel has it where the power is 0
    return image


def all_infinite(image):
    image[:, 1] = -np.inf
    return image


def no_date(image):
    return image[:0]


def filled(image):
    image[:, 1, :2] = -9999
    return image


@pytest.mark.parametrize("protocol", [probe, finetune])
def test_a_sample_with_some_infinite_pixels_is_used(tmp_path, protocol):
    suite = broken_suite(some_infinite)
    settings = {"steps": 4, "learning_rates": (1e-3,)} if protocol is finetune else {}
    session = sessions.new_session(tmp_path, suite)
    record = carry_out(arms.a_run("kind", protocol=protocol, suite=suite, **settings), session)
    assert record.status == "ok", record.error
    assert record.facts.get("n_test", 12) == 12 and not any("left out" in note for note in record.notes)
    assert "test_2007" in session.store.arrays(record)["test.ids"]


@pytest.mark.parametrize("protocol", [probe, finetune])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("change", "dates", "reason"), [(all_infinite, 1, "no valid pixel of s2.b08"), (no_date, 0, "no date")]
)
def test_a_sample_without_values_is_left_out_for_its_reason(tmp_path, protocol, split, change, dates, reason):
    suite = broken_suite(change, split, dates=dates)
    settings = {"steps": 4, "learning_rates": (1e-3,), "tuning": "full"} if protocol is finetune else {}
    session = sessions.new_session(tmp_path, suite)
    # One image per pass: the sample is alone in its batch.
    session = dataclasses.replace(session, config=session.config.model_copy(update={"batch": 1}))
    record = carry_out(arms.a_run("kind", protocol=protocol, suite=suite, **settings), session)
    assert record.status == "ok", record.error
    name = "train_7" if split == "train" else "test_2007"
    assert f"{split}: left out 1 of {COUNTS[split]}, {reason}: {name}" in record.notes
    other = "test: models that read other bands may be scored on samples that are left out here"
    assert (other in record.notes) is (split == "test" and change is all_infinite)


@pytest.mark.parametrize("protocol", [probe, finetune])
def test_a_fill_value_that_its_unit_rules_out_is_named(tmp_path, protocol):
    suite = broken_suite(filled)
    settings = {"steps": 4, "learning_rates": (1e-3,), "tuning": "full"} if protocol is finetune else {}
    record = carry_out(
        arms.a_run("kind", protocol=protocol, suite=suite, **settings), sessions.new_session(tmp_path, suite)
    )
    assert record.status == "failed"
    assert "test_2007: s2.b08 holds -9999 in 12.5% of its pixels, outside dn (-2000..65535)" in record.error


def test_what_a_unit_allows_is_no_fill():
    height = (Band(name="dem.elevation", unit="metre"),)
    check_fill(Sample(images={"dem": np.full((1, 1, 2, 2), -9999.0, np.float32)}, target=0), height, "chip")
    check_fill(sample(_0=-np.inf), BANDS, "chip")
    check_fill(sample(_0=-3000.0), BANDS, "chip")  # outside, yet no number that stands for nothing
    with pytest.raises(MissingData, match=r"chip: s2\.b04 holds -32768 in 100\.0% of its pixels"):
        check_fill(sample(_0=-32768.0), BANDS, "chip")


def test_the_toy_is_whole():
    assert usable(ToySplit("kind", "train", 1, BANDS)[0], BANDS)
