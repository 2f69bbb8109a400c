"""The input contract: bands, units, sizes and windows are matched as declared, once, or refused with the reason."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from bench.core import Band, Normalise
from bench.core.errors import Incompatible
from bench.input.prepare import prepare
from bench.input.recipe import match
from bench.input.windows import window_grid, window_offsets
from bench.preflight.units import check_units
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


def test_missing_band_is_refused_by_name_filled_or_masked():
    wanted = bands("s2.b04", "s2.b08", "s2.b11")
    one = Normalise(kind="affine", shift=(1000.0,) * 3, scale=(500.0,) * 3)
    with pytest.raises(Incompatible, match=r"needs s2\.b11; toy has s2\.b04 s2\.b08"):
        match(toy_entry(bands=wanted, normalise=one), SUITE, TASK, BANDS)
    raw = {"s2": torch.full((1, 1, 2, 16, 16), 1500.0)}
    mean = match(toy_entry(bands=wanted, normalise=one, absent=("mean",)), SUITE, TASK, BANDS)
    assert prepare(raw, mean, {})["s2"][0, 0, 2].unique().tolist() == [0.0]
    zero = match(toy_entry(bands=wanted, normalise=one, absent=("zero",)), SUITE, TASK, BANDS)
    assert prepare(raw, zero, {})["s2"][0, 0, 2].unique().tolist() == [-2.0]
    mask = match(toy_entry(bands=wanted, normalise=one, absent=("mask",)), SUITE, TASK, BANDS)
    assert mask.masked == ("s2.b11",) and prepare(raw, mask, {})["s2"].shape[2] == 2
    assert len({str(recipe.facts()) for recipe in (mean, zero, mask)}) == 3


def test_a_sensor_that_is_absent_altogether_is_no_missing_band():
    entry = toy_entry(bands=(*BANDS, *bands("s1.vv", unit="db")), normalise=Normalise(kind="none"))
    assert [band.name for band in match(entry, SUITE, TASK, BANDS).bands] == ["s2.b04", "s2.b08"]
    with pytest.raises(Incompatible, match=r"needs s1\.vv"):
        match(toy_entry(bands=bands("s1.vv", unit="db")), SUITE, TASK, BANDS)


def test_photographs_may_be_true_colour_satellite_and_are_clipped():
    entry = toy_entry(bands=bands("rgb.red", unit="uint8"), normalise=Normalise(kind="none"))
    recipe = match(entry, SUITE, TASK, BANDS)
    raw = {"s2": torch.tensor([275.0, 2750.0, 9999.0, -50.0]).reshape(1, 1, 1, 2, 2)}
    values = prepare(raw, dataclasses.replace(recipe, size=(2, 2)), {})["rgb"]
    torch.testing.assert_close(values.flatten(), torch.tensor([25.5, 255.0, 255.0, 0.0]))


def test_units_of_another_quantity_are_refused():
    with pytest.raises(Incompatible, match="another quantity"):
        match(toy_entry(bands=bands("s2.b04", unit="db"), normalise=Normalise()), SUITE, TASK, BANDS)


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
    two = prepare(raw, match(toy_entry(normalise=Normalise(kind="image_2sd")), SUITE, TASK, BANDS), {})["s2"]
    assert float(two.min()) == 0 and float(two.max()) == 1
    assert abs(float(two.mean()) - 0.5) < 0.01


def test_no_data_takes_the_mean_of_its_image():
    raw = torch.full((1, 1, 2, 16, 16), 1000.0)
    raw[..., :8, :] = 2000.0
    raw[0, 0, 0, 0, 0] = float("nan")
    ready = prepare({"s2": raw}, match(toy_entry(normalise=Normalise()), SUITE, TASK, BANDS), {})["s2"]
    assert float(ready[0, 0, 0, 0, 0]) == pytest.approx(float(torch.nanmean(raw[0, 0, 0])), rel=1e-6)
    assert bool(torch.isfinite(ready).all())


@pytest.mark.parametrize(
    ("side", "task", "entry", "size", "windows"),
    [
        (16, TASK, {"image_size": 64}, 64, False),  # fixed size: a small image is enlarged
        (18, TASK, {"image_size": 64, "any_size": True}, 20, False),  # any size: up to whole tokens
        (200, TASK, {"image_size": 64}, 64, False),  # a large image is shrunk as a whole
        (200, MASK, {"image_size": 64}, 64, True),  # unless pixels are predicted
    ],
)
def test_geometry(side, task, entry, size, windows):
    recipe = match(toy_entry(**entry), toy_suite(image_size=(side, side)), task, BANDS)
    assert (recipe.size, recipe.windows) == ((size, size), windows)


def test_pixels_and_images_do_not_mix():
    with pytest.raises(Incompatible, match="pixel time series"):
        match(toy_entry(image_size=1, patch=1), SUITE, TASK, BANDS)
    with pytest.raises(Incompatible, match="single pixels"):
        match(toy_entry(), toy_suite(image_size=(1, 1)), TASK, BANDS)


@pytest.mark.parametrize(("tokens", "window"), [(14, 14), (15, 14), (32, 14), (64, 12), (100, 12), (13, 14), (29, 2)])
def test_windows_cover_every_token_and_overlap(tokens, window):
    starts = window_offsets(tokens, window)
    covered = set().union(*(range(start, start + window) for start in starts))
    assert covered >= set(range(tokens))
    assert max(starts) + window == max(tokens, window)
    assert all(b - a < window for a, b in itertools.pairwise(starts))


def test_window_grid_of_an_image():
    recipe = match(toy_entry(image_size=64), toy_suite(image_size=(200, 100)), MASK, BANDS)
    corners = window_grid(recipe, (200, 100))
    assert max(top for top, _ in corners) == 136 and max(left for _, left in corners) == 36


@pytest.mark.parametrize(
    ("unit", "values", "fault"),
    [
        ("dn", [0.0, 1.2], "look like reflectance"),
        ("uint8", [0.0, 1.0], "look like 0..1"),
        ("db", [0.01, 2.0], "linear power"),
        ("reflectance", [100.0, 9000.0], "outside"),
        ("dn", [5.0, 5.0], "constant"),
        ("dn", [], "no finite"),
        ("dn", [100.0, 9000.0], ""),
        ("db", [-30.0, 5.0], ""),
        ("uint8", [0.0, 255.0], ""),
    ],
)
def test_units_are_checked_against_values(unit, values, fault):
    found = check_units(Band(name="s2.b04", unit=unit), values)
    assert fault in found and bool(found) == bool(fault)


def test_each_image_and_band_is_mapped_from_its_own_range():
    entry = toy_entry(normalise=Normalise(kind="image_minmax", neutral=0.5), absent=("mean", "nearest"))
    raw = torch.stack([torch.rand(1, 2, 16, 16) * 100 + 50, torch.full((1, 2, 16, 16), 7.0)])
    ready = prepare({"s2": raw}, match(entry, SUITE, TASK, BANDS), {})["s2"]
    assert ready[0].amin((-2, -1)).flatten().tolist() == [0.0, 0.0]
    torch.testing.assert_close(ready[0].amax((-2, -1)).flatten(), torch.ones(2))
    assert (ready[1] == 0).all()  # a constant band says nothing, and is no NaN


def test_what_stands_in_for_an_absent_band_is_asked_for_and_recorded():
    wanted = tuple(
        Band(name=name, unit="dn", wavelength_um=wave)
        for name, wave in (("s2.b04", 0.665), ("s2.b08", 0.842), ("s2.b8a", 0.865))
    )
    scale = Normalise(kind="affine", shift=(0.0, 100.0, 200.0), scale=(10.0, 20.0, 40.0), neutral=0.25)
    entry = toy_entry(bands=wanted, normalise=scale, absent=("refuse", "zero", "mean", "nearest"))
    raw = {"s2": torch.full((1, 1, 2, 16, 16), 1000.0)}
    values = {}
    for policy in ("zero", "mean", "nearest"):
        recipe = match(entry, SUITE, TASK, BANDS, absent=policy)
        assert recipe.absent == recipe.facts()["absent"] == policy
        assert f"{policy} for s2.b8a" in recipe.summary()
        values[policy] = float(prepare(raw, recipe, {})["s2"][0, 0, 2, 0, 0])
    assert values == {"zero": (0 - 200) / 40, "mean": 0.25, "nearest": (1000 - 200) / 40}
    with pytest.raises(Incompatible, match=r"needs s2\.b8a; .*absent=zero would stand in"):
        match(entry, SUITE, TASK, BANDS)
    # Where nothing is absent the recipe is one and the same, whatever was asked for.
    whole = toy_entry(absent=("refuse", "zero"))
    assert match(whole, SUITE, TASK, BANDS, absent="zero") == match(whole, SUITE, TASK, BANDS)


def test_pixels_as_fed_have_their_ground_size():
    import dataclasses

    suite = dataclasses.replace(SUITE, gsd_m=10.0)
    assert {band.gsd_m for band in match(toy_entry(image_size=32), suite, TASK, BANDS).bands} == {5.0}
    assert {band.gsd_m for band in match(toy_entry(image_size=8), suite, SUITE.tasks[2], BANDS).bands} == {10.0}
    assert match(toy_entry(), suite, TASK, BANDS).facts() == match(toy_entry(), SUITE, TASK, BANDS).facts()


def test_the_offset_of_later_sentinel_2_products_is_taken_off():
    late = tuple(Band(name=band.name, unit="dn_offset") for band in BANDS)
    recipe = match(toy_entry(normalise=Normalise(kind="none")), SUITE, TASK, late)
    ready = prepare({"s2": torch.full((1, 1, 2, 16, 16), 3000.0)}, recipe, {})["s2"]
    torch.testing.assert_close(ready, torch.full_like(ready, 2000.0))


def test_photographs_stand_for_true_colour_bands_only_where_asked():
    entry = toy_entry(bands=tuple(Band(name=f"s2.b0{i}", unit="dn") for i in (4, 3, 2)), normalise=Normalise())
    photos = tuple(Band(name=f"rgb.{colour}", unit="uint8") for colour in ("red", "green", "blue"))
    suite = toy_suite(bands=photos)
    with pytest.raises(Incompatible, match=r"needs s2\.b04 s2\.b03 s2\.b02"):
        match(entry, suite, suite.tasks[0], photos)
    recipe = match(entry, suite, suite.tasks[0], photos, rgb_as="s2")
    assert recipe.reads == photos
    assert recipe.facts()["bands"][0] == "s2.b04<rgb.red:uint8>dn"
