"""What the two suites of GEO-Bench-2's PASTIS share: the containers, and the reading of series and masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Suite
from bench.core.errors import MissingData
from bench.core.sensors import sentinel2_bands
from suites.geobench2._container import Entry, Part, Parts
from suites.geobench2._reader import Stored, as_float, codes_of, open_container
from suites.reading import Samples, read_dataset, reading

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_pastis.0000.part.tortilla": "56b1490c6dc7345fdff79e94d9132753ee28d8504bb061d8db39d19e888f7ca3",
    "geobench_pastis.0001.part.tortilla": "7d0463a695a0822a1f25638598b2d54daf28f387d6a80d353be7c323069060db",
    "geobench_pastis.0002.part.tortilla": "22d27389b1ccee4f250f4a187d034d12dbf15c5610a5dd8d502ee8783e94c81e",
}
SIZE = (128, 128)
BANDS = sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12")
VOID, NO_DATA = 19, -10000


def read_array(part: Part, *shape: int) -> np.ndarray:
    """Return the array of a part.

    Args:
        part: an HDF5 part with the array ``data``.
        shape: the shape it must have, which an axis of dates may precede.

    Raises:
        MissingData: with file, sample and part if the array is absent, damaged or of another shape.
    """
    values: np.ndarray = part.hdf5(lambda file: read_dataset(file, "data", label=part.label))
    if values.shape[-len(shape) :] != shape or values.ndim - len(shape) not in (0, 1):
        raise MissingData(f"{part.label} has shape {values.shape}, expected {shape}; replace it by the published file")
    return values


def read_classes(part: Part) -> np.ndarray:
    """Return the crop codes of a patch as int64 (H, W).

    Raises:
        MissingData: see `read_array`; also if a code is unknown.
    """
    return codes_of(part, read_array(part, *SIZE)[0], {code: code for code in range(VOID + 1)})


def _days(entry: Entry) -> list[tuple[int, int, int]]:
    """Return year, month and day of 20180917, 20180922, ..."""
    with reading(f"{entry.file}: dates of {entry.name}", "numbers like 20180917"):
        return [(int(day) // 10000, int(day) // 100 % 100, int(day) % 100) for day in entry.fact("dates")]


def _series(parts: Parts) -> np.ndarray:
    part = parts["s2"]
    values = read_array(part, len(BANDS), *SIZE)
    dates = len(part.fact("dates"))
    if values.ndim != 4 or len(values) != dates:
        raise MissingData(f"{part.label} has shape {values.shape}, and {dates} dates; replace it")
    return as_float(values, values == NO_DATA)


def open_series(
    suite: Suite,
    request: tuple[Path, str, str, tuple[Band, ...]],
    target: Callable[[Entry, Parts | None], object],
) -> Samples:
    """Return an opened split of Sentinel-2 series; see `bench.core.Suite.open` for the request."""
    return open_container(
        suite,
        FILES,
        request,
        images={"s2": Stored(order=[band.name for band in BANDS], read=_series)},
        target=target,
        block=lambda entry: str(entry.fact("tile")),
        when=lambda entry, parts: _days(entry),
    )
