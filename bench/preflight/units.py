"""Check of raw values against the unit that a band declares: bounds, and scales that are often confused with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.core import UNITS, Band

CIRRUS = (1.34, 1.41)  # micrometres; water vapour absorbs nearly all light there, so that small values are expected
MEDIAN_OF = 100_000  # largest number of values that a median is computed from


class Spread(NamedTuple):
    """Smallest, median and largest of the finite values of a band, and whether all are whole numbers."""

    low: float
    median: float
    high: float
    whole: bool

    def text(self) -> str:
        """Return the range in words."""
        return f"values {self.low:g}..{self.high:g}"

    def within(self, low: float, high: float) -> bool:
        """Return whether every value lies between two bounds."""
        return low <= self.low and self.high <= high


def spread_of(values: Sequence[float] | np.ndarray) -> Spread:
    """Return the spread of some finite values, at least one."""
    array = np.asarray(values, np.float64).ravel()
    some = array[:: max(1, len(array) // MEDIAN_OF)]
    return Spread(float(array.min()), float(np.median(some)), float(array.max()), bool((some == np.rint(some)).all()))


def check_units(band: Band, values: Sequence[float] | np.ndarray) -> str:
    """Return what is wrong with raw values for the unit declared, or ``""``.

    Args:
        band: its unit declares the bounds.
        values: finite raw values of some samples.

    >>> check_units(Band(name="s2.b04", unit="dn"), [0.0, 0.4, 1.2])
    's2.b04: values 0..1.2 look like reflectance, not dn (reflectance x 10000)'
    >>> check_units(Band(name="s2.b04", unit="dn"), [12.0, 800.0, 9000.0])
    ''
    """
    if not len(values):
        return f"{band.name}: no finite value"
    spread, unit = spread_of(values), UNITS[band.unit]
    if not spread.within(unit.low, unit.high):
        hint = _outside(band, spread)
        text = f"{band.name}: {spread.text()} lie outside {band.unit} ({unit.low:g}..{unit.high:g})"
        return f"{text}: they look like {hint}" if hint else text
    if (
        band.unit in ("dn", "dn_offset", "reflectance", "uint8", "db", "power", "radiance")
        and spread.high == spread.low
    ):
        return f"{band.name}: constant at {spread.low:g}"
    hint = other_scale(band, spread)
    return f"{band.name}: {spread.text()} look like {hint}" if hint else ""


def other_scale(band: Band, spread: Spread) -> str:
    """Return the scale that values look like although they lie within the bounds of their unit, or ``""``.

    Args:
        band: the band, with the declared unit.
        spread: spread of its values.
    """
    low, median, high, whole = spread
    dark = band.wavelength_um is not None and CIRRUS[0] <= band.wavelength_um <= CIRRUS[1]
    if band.unit in ("dn", "dn_offset") and high > 0 and not dark:
        of = "dn (reflectance x 10000)" if band.unit == "dn" else "dn_offset (reflectance x 10000 + 1000)"
        if high <= 3:
            return f"reflectance, not {of}"
        if high <= 100:
            return f"per cent, not {of}"
        if high <= 255:
            return f"uint8, not {of}"
        if band.unit == "dn_offset" and median < 1000:
            return "dn, not dn_offset: half of them are below 1000, a reflectance of 0"
    if band.unit == "reflectance" and not dark and 0 < high < 5e-4:
        return "reflectance divided by 10000 once more"
    if band.unit == "uint8" and high <= 1:
        return "0..1, not uint8"
    if band.unit == "db" and low >= 0:
        return "linear power, not dB" if not whole else "amplitude or digital numbers, not dB"
    if band.unit == "db" and median > 0:
        return "linear power, not dB: half of them are above 0"
    if band.unit == "db" and spread.within(-1, 1):
        return "normalised values, not dB"
    if band.unit == "power" and median > 10:
        return "amplitude or digital numbers, not linear power: half of them are above 10"
    if band.unit == "class" and not whole:
        return "measurements, not class codes, which are whole numbers"
    return ""


def _outside(band: Band, spread: Spread) -> str:
    """Return the scale that values outside the bounds of their unit look like, or ``""``."""
    if band.unit == "reflectance":
        if spread.within(0, 100):
            return "per cent"
        if spread.within(0, 255):
            return "uint8"
        return "dn (reflectance x 10000)" if spread.within(-2000, 65535) else ""
    candidates = {
        "uint8": (("normalised values", -10, 10), ("dn (reflectance x 10000)", 0, 65535)),
        "power": (("dB", -100, 60),),
        "db": (("amplitude or digital numbers", 0, 65535), ("dB x 100", -10000, 6000)),
        "kelvin": (("celsius", -100, 100), ("kelvin x 10", 1500, 4000), ("kelvin x 100", 15000, 40000)),
        "celsius": (("kelvin", 150, 400),),
        "index": (("per cent", -100, 100), ("uint8", 0, 255), ("an index x 10000", -10000, 10000)),
        "degree": (("degrees x 100", -36000, 36000),),
    }
    return next((name for name, low, high in candidates.get(band.unit, ()) if spread.within(low, high)), "")
