"""Images in colours: which bands are shown as red, green and blue, and values stretched to what a screen shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PRIMARIES = (("red", "b04"), ("green", "b03"), ("blue", "b02"))
"""Names of the red, green and blue band of a sensor."""
PREFERRED = ("s2", "rgb", "naip", "hls", "landsat")
"""Sensors in order of preference where several have natural colours."""
RADAR = ("s1.vv", "s1.vh")
"""Bands of the radar composite VV, VH and their difference."""


def natural_bands(names: Sequence[str]) -> tuple[str, str, str] | None:
    """Return the names of the bands shown as red, green and blue; None if no sensor has all three.

    Args:
        names: of the bands at hand, ``sensor.band``.

    >>> natural_bands(["s2.b02", "s2.b03", "s2.b04", "s2.b08"])
    ('s2.b04', 's2.b03', 's2.b02')
    >>> natural_bands(["s1.vv", "s1.vh"]) is None
    True
    """
    sensors = dict.fromkeys([*PREFERRED, *(name.partition(".")[0] for name in names)])
    for sensor in sensors:
        red, green, blue = (
            next((f"{sensor}.{band}" for band in bands if f"{sensor}.{band}" in names), "") for bands in PRIMARIES
        )
        if red and green and blue:
            return red, green, blue
    return None


def stretched(values: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Return values with a range mapped to 0..1, clipped; values that are not finite stay NaN.

    Args:
        values: (..., C).
        low: value that becomes 0, one or one per channel.
        high: value that becomes 1, likewise.

    >>> import numpy as np
    >>> stretched(np.array([0.0, 5.0, 20.0, np.nan]), 0.0, 10.0)
    array([0. , 0.5, 1. , nan])
    """
    import numpy as np

    with np.errstate(invalid="ignore"):
        shown = np.clip((values - low) / np.maximum(np.asarray(high, dtype=np.float64) - low, 1e-9), 0, 1)
    return np.where(np.isfinite(values), shown, np.nan)
