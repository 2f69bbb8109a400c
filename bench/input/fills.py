"""Values that stand for missing pixels: those that nothing declares as such, but that cannot be measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.core import UNITS, Band, Sample
from bench.core.errors import MissingData
from bench.input.content import band_values

FILLS = (-9999.0, -99999.0, -999.0, -32768.0, -32767.0, 32767.0, 65535.0, -3.4028234663852886e38, 9.969209968386869e36)
"""What publishers write where nothing was measured: round numbers, the ends of int16 and uint16, and the lowest float32
and the default fill of netCDF."""


def fill_share(values: np.ndarray, fill: float) -> float:
    """Return the share of values that are equal to a fill value, to the precision of float32."""
    return float((values == np.float32(fill)).mean()) if values.size else 0.0


def check_fill(sample: Sample, bands: Sequence[Band], where: str) -> None:
    """Check that no band holds a fill value that its unit rules out.

    Args:
        sample: opened with `bands`.
        bands: with the units declared.
        where: the sample in words, for the message.

    Raises:
        MissingData: a band does; names the value and its share.
    """
    for band, values in zip(bands, band_values(sample, bands).values(), strict=True):
        unit = UNITS[band.unit]
        with np.errstate(invalid="ignore"):
            low, high = (
                np.fmin.reduce(values, axis=None, initial=np.inf),
                np.fmax.reduce(values, axis=None, initial=-np.inf),
            )
        if low >= unit.low and high <= unit.high:
            continue
        for fill in FILLS:
            if not unit.low <= fill <= unit.high and (share := fill_share(values, fill)):
                raise MissingData(
                    f"{where}: {band.name} holds {fill:g} in {share:.1%} of its pixels, outside {band.unit} "
                    f"({unit.low:g}..{unit.high:g}): it looks like a fill value; the suite must give NaN for it"
                )
