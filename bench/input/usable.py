"""Which samples can be used, and why others cannot."""

from __future__ import annotations

import numpy as np

from bench.core import Band, Sample, Split
from bench.core.errors import MissingData
from bench.input.content import band_values

NO_PIXEL = "no valid pixel of"  # begins the reason of a sample that lacks whole bands


def usable(sample: Sample, bands: tuple[Band, ...]) -> bool:
    """Return whether a sample has a date, and every band of it one finite pixel."""
    return not why_unusable(sample, bands)


def why_unusable(sample: Sample, bands: tuple[Band, ...]) -> str:
    """Return why a sample cannot be used, or ``""``.

    Args:
        sample: opened with `bands`; what is not finite is missing.
        bands: that are read.
    """
    values = band_values(sample, bands)
    if any(not len(band) for band in values.values()):
        return "no date"
    missing = [name for name, band in values.items() if not np.isfinite(band).any()]
    return f"{NO_PIXEL} {' '.join(missing)}" if missing else ""


def first_usable(split: Split, bands: tuple[Band, ...], where: str) -> tuple[int, Sample]:
    """Return the first usable sample of a split with its position.

    Raises:
        MissingData: there is none.
    """
    for index in range(len(split)):
        sample = split[index]
        if usable(sample, bands):
            return index, sample
    lack = "each lacks a date, or all pixels of a band"
    raise MissingData(f"{where}: none of {len(split)} samples is usable: {lack}")


def blank_sample(sample: Sample) -> Sample:
    """Return a sample of zeros with at least one date, in place of one that cannot be used."""
    images = {
        sensor: np.zeros((max(1, len(values)), *values.shape[1:]), np.float32)
        for sensor, values in sample.images.items()
    }
    when = None if sample.when is None else np.full((len(next(iter(images.values()))), 3), -1, np.int32)
    return sample._replace(images=images, when=when)
