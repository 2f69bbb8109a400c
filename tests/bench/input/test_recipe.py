"""Bands, units and sizes are matched as declared, or refused with the reason."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from bench.core import Band, Normalise
from bench.core.errors import Incompatible
from bench.input.prepare import prepare
from bench.input.recipe import match
from tests.builders.suite_and_model import BANDS, toy_entry, toy_suite

SUITE = toy_suite()
TASK, _, MASK = SUITE.tasks


def bands(*names: str, unit: str = "dn") -> tuple[Band, ...]:
    return tuple(Band(name=name, unit=unit) for name in names)


def test_missing_band_is_refused_by_name_filled_or_masked():
    wanted = bands("s2.b04", "s2.b08", "s2.b11")
    affine = Normalise(kind="affine", shift=(1000.0,) * 3, scale=(500.0,) * 3)
    with pytest.raises(Incompatible, match=r"needs s2\.b11; toy has s2\.b04 s2\.b08"):
        match(toy_entry(bands=wanted, normalise=affine), SUITE, TASK, BANDS)
    raw = {"s2": torch.full((1, 1, 2, 16, 16), 1500.0)}
    mean = match(toy_entry(bands=wanted, normalise=affine, absent=("mean",)), SUITE, TASK, BANDS)
    assert prepare(raw, mean, {})["s2"][0, 0, 2].unique().tolist() == [0.0]
    zero = match(toy_entry(bands=wanted, normalise=affine, absent=("zero",)), SUITE, TASK, BANDS)
    assert prepare(raw, zero, {})["s2"][0, 0, 2].unique().tolist() == [-2.0]
    mask = match(toy_entry(bands=wanted, normalise=affine, absent=("mask",)), SUITE, TASK, BANDS)
    assert mask.masked == ("s2.b11",) and prepare(raw, mask, {})["s2"].shape[2] == 2
    assert len({str(recipe.facts()) for recipe in (mean, zero, mask)}) == 3


def test_a_sensor_that_is_absent_altogether_is_no_missing_band():
    entry = toy_entry(bands=(*BANDS, *bands("s1.vv", unit="db")), normalise=Normalise(kind="none"))
    assert [band.name for band in match(entry, SUITE, TASK, BANDS).bands] == ["s2.b04", "s2.b08"]
    with pytest.raises(Incompatible, match=r"needs s1\.vv"):
        match(toy_entry(bands=bands("s1.vv", unit="db")), SUITE, TASK, BANDS)


def test_units_of_another_quantity_are_refused():
    with pytest.raises(Incompatible, match="another quantity"):
        match(toy_entry(bands=bands("s2.b04", unit="db"), normalise=Normalise()), SUITE, TASK, BANDS)


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

    suite = dataclasses.replace(SUITE, gsd_m=10.0)
    assert {band.gsd_m for band in match(toy_entry(image_size=32), suite, TASK, BANDS).bands} == {5.0}
    assert {band.gsd_m for band in match(toy_entry(image_size=8), suite, SUITE.tasks[2], BANDS).bands} == {10.0}
    assert match(toy_entry(), suite, TASK, BANDS).facts() == match(toy_entry(), SUITE, TASK, BANDS).facts()


def test_photographs_stand_for_true_colour_bands_only_where_asked():
    entry = toy_entry(bands=tuple(Band(name=f"s2.b0{i}", unit="dn") for i in (4, 3, 2)), normalise=Normalise())
    photos = tuple(Band(name=f"rgb.{colour}", unit="uint8") for colour in ("red", "green", "blue"))
    suite = toy_suite(bands=photos)
    with pytest.raises(Incompatible, match=r"needs s2\.b04 s2\.b03 s2\.b02"):
        match(entry, suite, suite.tasks[0], photos)
    recipe = match(entry, suite, suite.tasks[0], photos, rgb_as="s2")
    assert recipe.reads == photos
    assert recipe.facts()["bands"][0] == "s2.b04<rgb.red:uint8>dn"
