"""Units are converted and values normalised once, as the recipe says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench.core import Band, Normalise
from bench.input.prepare import prepare
from bench.input.recipe import match
from tests.builders.suite_and_model import BANDS, toy_entry, toy_suite

SUITE = toy_suite()
TASK, _, MASK = SUITE.tasks


def bands(*names: str, unit: str = "dn") -> tuple[Band, ...]:
    return tuple(Band(name=name, unit=unit) for name in names)


def test_order_units_and_normalisation_once():
    entry = toy_entry(
        bands=bands("s2.b08", "s2.b04", unit="reflectance"),
        normalise=Normalise(kind="affine", shift=(0.1, 0.2), scale=(0.5, 2.0)),
    )
    recipe = match(entry, SUITE, TASK, BANDS)
    raw = torch.full((1, 1, 2, 16, 16), 0.0)
    raw[:, :, 0], raw[:, :, 1] = 3000.0, 6000.0  # read in the order of recipe.reads: b08, b04
    assert [band.name for band in recipe.reads] == ["s2.b08", "s2.b04"]
    ready = prepare({"s2": raw}, recipe, {})["s2"]
    torch.testing.assert_close(ready[0, 0, :, 0, 0], torch.tensor([(0.3 - 0.1) / 0.5, (0.6 - 0.2) / 2.0]))


def test_photographs_may_be_true_colour_satellite_and_are_clipped():
    entry = toy_entry(bands=bands("rgb.red", unit="uint8"), normalise=Normalise(kind="none"))
    recipe = match(entry, SUITE, TASK, BANDS)
    raw = {"s2": torch.tensor([275.0, 2750.0, 9999.0, -50.0]).reshape(1, 1, 1, 2, 2)}
    values = prepare(raw, dataclasses.replace(recipe, size=(2, 2)), {})["rgb"]
    torch.testing.assert_close(values.flatten(), torch.tensor([25.5, 255.0, 255.0, 0.0]))


def test_decibel_and_power():
    band, power = Band(name="s1.vv", unit="db"), Band(name="s1.vv", unit="power")
    suite = toy_suite(bands=(band,))
    recipe = match(toy_entry(bands=(power,), normalise=Normalise()), suite, TASK, (band,))
    ready = prepare({"s1": torch.full((1, 1, 1, 16, 16), -10.0)}, recipe, {})["s1"]
    torch.testing.assert_close(ready.unique(), torch.tensor([0.1]))


def test_ndvi_is_derived_before_any_conversion():
    entry = toy_entry(bands=(Band(name="s2.ndvi", unit="index"),), normalise=Normalise(kind="none"))
    recipe = match(entry, SUITE, TASK, BANDS)
    assert [band.name for band in recipe.reads] == ["s2.b08", "s2.b04"]
    raw = torch.tensor([[3000.0, 0.0], [1000.0, 0.0]]).reshape(1, 1, 2, 1, 2)
    ready = prepare({"s2": raw}, dataclasses.replace(recipe, size=(1, 2)), {})["s2"]
    torch.testing.assert_close(ready.flatten(), torch.tensor([0.5, 0.0]))


def test_dataset_statistics_and_two_sd():
    rng = np.random.default_rng(0)
    raw = {"s2": torch.from_numpy(rng.normal(1500, 300, (4, 1, 2, 16, 16)).astype(np.float32))}
    entry = toy_entry(any_bands=True, sensors=("*",), bands=(), normalise=Normalise(kind="dataset"))
    ready = prepare(raw, match(entry, SUITE, TASK, BANDS), {"s2.b04": (1500, 300), "s2.b08": (1500, 300)})["s2"]
    assert abs(float(ready.mean())) < 0.05 and abs(float(ready.std()) - 1) < 0.05
    scaled = prepare(raw, match(toy_entry(normalise=Normalise(kind="image_2sd")), SUITE, TASK, BANDS), {})["s2"]
    assert float(scaled.min()) == 0 and float(scaled.max()) == 1
    assert abs(float(scaled.mean()) - 0.5) < 0.01


def test_no_data_takes_the_mean_of_its_image():
    raw = torch.full((1, 1, 2, 16, 16), 1000.0)
    raw[..., :8, :] = 2000.0
    raw[0, 0, 0, 0, 0] = float("nan")
    ready = prepare({"s2": raw}, match(toy_entry(normalise=Normalise()), SUITE, TASK, BANDS), {})["s2"]
    assert float(ready[0, 0, 0, 0, 0]) == pytest.approx(float(torch.nanmean(raw[0, 0, 0])), rel=1e-6)
    assert bool(torch.isfinite(ready).all())


def test_each_image_and_band_is_mapped_from_its_own_range():
    entry = toy_entry(normalise=Normalise(kind="image_minmax", neutral=0.5), absent=("mean", "nearest"))
    raw = torch.stack([torch.rand(1, 2, 16, 16) * 100 + 50, torch.full((1, 2, 16, 16), 7.0)])
    ready = prepare({"s2": raw}, match(entry, SUITE, TASK, BANDS), {})["s2"]
    assert ready[0].amin((-2, -1)).flatten().tolist() == [0.0, 0.0]
    torch.testing.assert_close(ready[0].amax((-2, -1)).flatten(), torch.ones(2))
    assert (ready[1] == 0).all()  # a constant band says nothing, and is no NaN


def test_the_offset_of_later_sentinel_2_products_is_taken_off():
    late = tuple(Band(name=band.name, unit="dn_offset") for band in BANDS)
    recipe = match(toy_entry(normalise=Normalise(kind="none")), SUITE, TASK, late)
    ready = prepare({"s2": torch.full((1, 1, 2, 16, 16), 3000.0)}, recipe, {})["s2"]
    torch.testing.assert_close(ready, torch.full_like(ready, 2000.0))
