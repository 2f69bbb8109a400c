"""GEO-Bench-2 BioMassters: above-ground biomass of Finnish forests from a year of Sentinel-1 and Sentinel-2.

7,000 of the 11,462 patches of `BioMassters <https://nascetti-a.github.io/BioMasster/>`__, chosen by GEO-Bench-2.

Dataset format, per sample of the three ``geobench_biomassters.<n>.part.tortilla``:

* ``<chip>_S1_<Month>``: float32 (4, 256, 256) in dB: VV and VH ascending, VV and VH descending; -9999 is no data (NaN)
* ``<chip>_S2_<Month>``: uint16 (11, 256, 256): B02 ... B08, B8A, B11, B12, surface reflectance x 10000, and a cloud
  probability, not read; 0 in all ten bands is read as no data
* ``<chip>_AGBM``: float32, tonnes per hectare; GEO-Bench-2's own errors refer to this divided by 289.89

Twelve months from September on; a month without an image (Sentinel-2 lacks some) is NaN throughout. Neither year nor
place is stated.

Dataset classes: none, one value per pixel.

Splits: 4,000 / 1,000 / 2,000; validation is a part of the original training patches.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://doi.org/10.57967/hf/1009. Licence: CC
BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.geobench2._container import Entry, Parts
from suites.geobench2._reader import CITATION, Stored, as_float, fetch_containers, open_container
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_biomassters.0000.part.tortilla": "52bdd8f76107ef14498c54c751c0cddb9ab073fc03cff0102b05406af127b747",
    "geobench_biomassters.0001.part.tortilla": "52b3217ad7b44667f147fc2033769e42f2c47b502126f3ff9413c7f75b2de82f",
    "geobench_biomassters.0002.part.tortilla": "7da0898b25ff4ca23a8bbe06dcf383ae70068b78c95132ae26abdabbba4c13d4",
}
SIZE = (256, 256)
MONTHS = (
    *("September", "October", "November", "December", "January", "February"),
    *("March", "April", "May", "June", "July", "August"),
)
NO_DATA = -9999
DESCENDING = (Band(name="s1.vv_desc", unit="db", gsd_m=10.0), Band(name="s1.vh_desc", unit="db", gsd_m=10.0))
SENTINEL1 = (*sentinel1_bands(), *DESCENDING)
SENTINEL2 = sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12")


def _series(sensor: str, order: tuple[Band, ...], count: int) -> Stored:
    def read(parts: Parts) -> np.ndarray:
        import numpy as np

        series = np.full((len(MONTHS), len(order), *SIZE), np.nan, np.float32)
        for part in parts:
            if part.fact("modality") != sensor:
                continue
            month = part.fact("month")
            if month not in MONTHS:
                raise MissingData(f"{part.label} is of the month {month!r}; replace it")
            values = part.image(SIZE, count)[: len(order)]
            missing = values == NO_DATA if sensor == "S1" else (values == 0).all(axis=0)
            series[MONTHS.index(month)] = as_float(values, missing)[0]
        return series

    return Stored(order=[band.name for band in order], read=read)


def _biomass(entry: Entry, parts: Parts | None) -> np.ndarray:
    label = next((part for part in parts or entry.parts() if part.fact("modality") == "AGBM"), None)
    if label is None:
        raise MissingData(f"{entry.file}: {entry.name} has no part AGBM; replace the file")
    values: np.ndarray = as_float(label.image(SIZE, 1))[0, 0]
    return values


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"s1": _series("S1", SENTINEL1, 4), "s2": _series("S2", SENTINEL2, 11)},
        target=_biomass,
        when=lambda entry, parts: [(-1, (month + 8) % 12 + 1, -1) for month in range(len(MONTHS))],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's containers below ``root/geobenchv2/biomassters``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_biomassters",
    version=1,
    title="GEO-Bench-2 BioMassters: above-ground biomass, twelve months of Sentinel-1 and -2",
    bands=(*SENTINEL2, *SENTINEL1),
    default_bands=("s2.*", "s1.vv", "s1.vh"),
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L2A", "s1:GRD"),
    dates=12,
    tasks=(Task(name="biomass", kind="dense_regression", quantity="above-ground biomass", unit="t/ha", metric="rmse"),),
    splits={"train": 4000, "val": 1000, "test": 2000},
    dataset="biomassters",
    licence="CC BY 4.0",
    citation=f"{CITATION}; Nascetti et al., BioMassters, NeurIPS 2023, doi:10.57967/hf/1009",
    url="https://hf.co/datasets/aialliance/biomassters",
    folder="geobenchv2/biomassters",
    notes="In t/ha: the leaderboard of GEO-Bench-2 divides by 289.89. Months without an image are NaN; intervals "
    "resample patches, which may be neighbours. Counts are those that the generating script requests.",
    open=open_split,
    download=download,
)
