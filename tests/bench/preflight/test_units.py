"""A unit is held against the values: bounds, and the scales it is mistaken for, each with right and wrong data."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core import Band, Sample
from bench.preflight.checks import examine_samples
from bench.preflight.units import check_units

RNG = np.random.default_rng(0)
LAND = RNG.gamma(4, 0.05, 20_000).clip(0.001, 1.4)  # reflectance
RADAR = RNG.normal(-12, 4, 20_000)  # decibel


def band(unit, name="s2.b04", wave=None):
    return Band(name=name, unit=unit, wavelength_um=wave)


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        ("dn", LAND * 1e4),
        ("dn", LAND * 1e4 - 150),  # a little below 0 over water
        ("dn", LAND * 300),  # a dark band, up to 420
        ("dn_offset", LAND * 1e4 + 1000),
        ("reflectance", LAND),
        ("reflectance", LAND * 0.01),
        ("uint8", (LAND * 255 / 1.4).round()),
        ("uint8", (LAND * 90).round()),
        ("db", RADAR),
        ("db", RADAR + 8),
        ("power", 10 ** (RADAR / 10)),
        ("kelvin", 285 + RNG.normal(0, 10, 100)),
        ("celsius", RNG.normal(12, 10, 100)),
        ("celsius", np.array([-40.0, 55.0])),
        ("metre", RNG.uniform(-5, 4000, 100)),
        ("metre", RNG.uniform(0, 0.1, 100)),  # rain
        ("degree", RNG.uniform(0, 60, 100)),
        ("index", RNG.uniform(-1, 1, 100)),
        ("class", RNG.integers(0, 12, 100)),
        ("radiance", RNG.uniform(1, 300, 100)),
        ("mol_m2", RNG.uniform(0, 1e-3, 100)),
    ],
)
def test_right_values_pass(unit, values):
    assert check_units(band(unit), values) == ""


@pytest.mark.parametrize(
    ("unit", "values", "seen"),
    [
        ("dn", LAND, "reflectance, not dn"),
        ("dn", LAND.clip(0, 1), "reflectance, not dn"),
        ("dn", LAND * 2, "reflectance, not dn"),
        ("dn", LAND.clip(0, 1) * 100, "per cent, not dn"),
        ("dn", (LAND.clip(0, 1) * 255).round(), "uint8, not dn"),
        ("dn_offset", LAND, "reflectance, not dn_offset"),
        ("dn_offset", LAND.clip(0, 1) * 255, "uint8, not dn_offset"),
        ("dn_offset", LAND * 3e3, "dn, not dn_offset: half of them are below 1000"),
        ("reflectance", LAND * 1e4, r"outside reflectance .*like dn \(reflectance x 10000\)"),
        ("reflectance", LAND.clip(0, 1) * 255, "outside reflectance .*like uint8"),
        ("reflectance", LAND.clip(0, 1) * 100, "outside reflectance .*like per cent"),
        ("reflectance", LAND * 1e-4, "reflectance divided by 10000 once more"),
        ("uint8", LAND.clip(0, 1), "0..1, not uint8"),
        ("uint8", LAND * 1e4, r"outside uint8 .*like dn"),
        ("uint8", RNG.normal(0, 1, 1000), "outside uint8 .*like normalised values"),
        ("db", 10 ** (RADAR / 10), "linear power, not dB"),
        ("db", 10 ** (RADAR / 10) - 5e-3, "linear power, not dB: half"),
        ("db", RNG.integers(1, 900, 100), "outside db .*like amplitude or digital numbers"),
        ("db", RADAR * 100, "outside db .*like dB x 100"),
        ("db", np.tanh(RADAR + 12), "normalised values, not dB"),
        ("power", RADAR, "outside power .*like dB"),
        ("power", RNG.integers(1, 900, 100), "amplitude or digital numbers, not linear power"),
        ("kelvin", RNG.normal(12, 10, 100), "outside kelvin .*like celsius"),
        ("kelvin", 2850 + RNG.normal(0, 100, 100), "outside kelvin .*like kelvin x 10"),
        ("celsius", 285 + RNG.normal(0, 10, 100), "outside celsius .*like kelvin"),
        ("index", RNG.uniform(-1, 1, 100) * 1e4, "outside index .*like an index x 10000"),
        ("index", RNG.uniform(-1, 1, 100) * 100, "outside index .*like per cent"),
        ("index", RNG.uniform(110, 255, 100), "outside index .*like uint8"),
        ("class", RNG.uniform(0, 12, 100), "measurements, not class codes"),
        ("metre", RNG.uniform(0, 65535, 100), "outside metre"),
        ("mol_m2", RNG.uniform(0, 900, 100), "outside mol_m2"),
        ("radiance", LAND * 1e4, "outside radiance"),
        ("dn", np.full(9, 1200.0), "constant at 1200"),
        ("db", np.full(9, -12.0), "constant"),
        ("dn", [], "no finite value"),
    ],
)
def test_wrong_values_are_told_with_what_they_look_like(unit, values, seen):
    import re

    findings = check_units(band(unit), values)
    assert findings.startswith("s2.b04: ") and re.search(seen, findings), findings


def test_the_cirrus_band_is_dark_on_every_scale():
    assert check_units(band("dn", "s2.b10", 1.375), [1.0, 14.0, 90.0]) == ""
    assert check_units(band("reflectance", "s2.b10", 1.375), [0.0, 1e-4, 2e-4]) == ""


BANDS = (band("dn"), band("dn", "s2.b08"), band("dn", "s2.b11"))


def samples(*scales):
    """One sample whose bands are land times a scale."""
    return [Sample(images={"s2": np.stack([LAND[:256].reshape(16, 16) * s for s in scales])[None]}, target=0)]


def findings_of(level, given, bands=BANDS):
    return {finding.about: finding.text for finding in examine_samples(given, bands) if finding.level == level}


def test_one_dark_band_among_others_is_worth_a_look_and_a_sensor_off_scale_is_an_error():
    water = findings_of("warning", samples(1e4, 1e4, 150))
    assert set(water) == {"s2.b11"} and "other bands of s2 do not" in water["s2.b11"]
    assert findings_of("error", samples(1e4, 1e4, 150)) == {}
    assert set(findings_of("error", samples(150, 150, 150))) == {"s2.b04", "s2.b08", "s2.b11"}
    assert set(findings_of("error", samples(1e4, 1e4, 1))) == {"s2.b11"}  # no band of digital numbers stays below 3


def test_values_that_look_like_a_fill_are_named():
    given = samples(1e4, 1e4, 1e4)
    assert findings_of("warning", given) == {}
    given[0].images["s2"][:, 1, :4] = 65535
    assert "holds 65535 in 25.0% of the pixels" in findings_of("warning", given)["s2.b08"]
    given = samples(1e4, 1e4, 1e4)
    given[0].images["s2"][..., :2] = 0
    assert "holds 0 in every band in 12.5% of the pixels" in findings_of("warning", given)["s2"]
    given = samples(1e4, 1e4, 1e4)
    given[0].images["s2"][:, 0] = 0  # one band of several
    assert findings_of("warning", given) == {}
    height = (band("metre", "dem.elevation"),)
    sea = [Sample(images={"dem": np.where(np.eye(16), -9999.0, LAND[:256].reshape(16, 16))[None, None]}, target=0)]
    assert "holds -9999 in 6.2% of the pixels" in findings_of("warning", sea, height)["dem.elevation"]


def test_no_samples_and_no_values_are_said():
    assert examine_samples([], BANDS)[0].level == "error"
    empty = [Sample(images={"s2": np.full((1, 3, 4, 4), np.nan)}, target=0)]
    assert findings_of("error", empty)["s2.b04"] == "s2.b04: no finite value"
