"""GEO-Bench-2 PASTIS, instances: agricultural parcels and their crops from Sentinel-2 time series, as boxes.

The 2,433 patches of `PASTIS-R <https://github.com/VSainteuf/pastis-benchmark>`__, the files of ``gb2_pastis``; in
GEO-Bench-2 a task of instance segmentation, here the boxes around the instances.

Dataset format, a sample of the three ``geobench_pastis.<n>.part.tortilla``, HDF5 with one array ``data`` each:

* ``s2``: int16 (T, 10, 128, 128), surface reflectance x 10000 at 10 m: B02 ... B08, B8A, B11, B12; -10000 is no data
  (NaN here)
* ``s1a``, ``s1d``: Sentinel-1 series of both orbits, with days of their own; not read
* ``semantic``: uint8 (3, 128, 128), of which the first layer holds the classes
* ``instance``: (128, 128), the number of the parcel, 0 outside
* the index: dates of ``s2``, tile, patch_id, lon, lat

Dataset classes: 18 crops. A parcel's class is that of its first pixel; the parcels of void (19), mostly outside their
patch, and of background are no objects.

Splits: 1,455 / 482 / 496, as many as the publisher's folds 1 to 3, 4, and 5. Intervals resample Sentinel-2 tiles.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2112.07558. Licence: CC
BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.errors import MissingData
from suites._geobench2 import CITATION, Stored, as_float, boxes_of, codes_of, fetch_containers, open_container
from suites._geobench2_container import Entry, Part, Parts
from suites._read import Samples, sentinel2_bands

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_pastis.0000.part.tortilla": "56b1490c6dc7345fdff79e94d9132753ee28d8504bb061d8db39d19e888f7ca3",
    "geobench_pastis.0001.part.tortilla": "7d0463a695a0822a1f25638598b2d54daf28f387d6a80d353be7c323069060db",
    "geobench_pastis.0002.part.tortilla": "22d27389b1ccee4f250f4a187d034d12dbf15c5610a5dd8d502ee8783e94c81e",
}
SIZE = (128, 128)
BANDS = sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12")
CLASSES = (
    *("meadow", "soft winter wheat", "corn", "winter barley", "winter rapeseed", "spring barley"),
    *("sunflower", "grapevine", "beet", "winter triticale", "winter durum wheat", "fruits, vegetables, flowers"),
    *("potatoes", "leguminous fodder", "soybeans", "orchard", "mixed cereal", "sorghum"),
)
VOID, NO_DATA = 19, -10000


def _array(part: Part, *shape: int) -> np.ndarray:
    values: np.ndarray = part.hdf5(lambda file: file["data"][:])
    if values.shape[-len(shape) :] != shape or values.ndim - len(shape) not in (0, 1):
        raise MissingData(f"{part.label} has shape {values.shape}, expected {shape}; replace it by the published file")
    return values


def _days(entry: Entry) -> list[tuple[int, int, int]]:
    """Return the days of 20180917, 20180922, ..."""
    return [(int(day) // 10000, int(day) // 100 % 100, int(day) % 100) for day in entry.facts["dates"]]


def _series(parts: Parts) -> np.ndarray:
    part = parts["s2"]
    values = _array(part, len(BANDS), *SIZE)
    if values.ndim != 4 or len(values) != len(part.facts["dates"]):
        raise MissingData(f"{part.label} has shape {values.shape}, and {len(part.facts['dates'])} dates; replace it")
    return as_float(values, values == NO_DATA)


def _classes(part: Part) -> np.ndarray:
    return codes_of(part, _array(part, *SIZE)[0], {code: code for code in range(VOID + 1)})


def _parcels(entry: Entry, parts: Parts | None) -> dict[str, np.ndarray]:
    import numpy as np

    held = parts or entry.parts()
    classes, parcels = _classes(held["semantic"]), _array(held["instance"], *SIZE)
    found = []
    for number in np.unique(parcels[parcels != 0]):
        rows, columns = np.nonzero(parcels == number)
        code = int(classes[rows[0], columns[0]])
        if code not in (0, VOID):
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            found.append(([float(side) for side in box], code - 1))
    return boxes_of(held["instance"], found, SIZE)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"s2": Stored(order=[band.name for band in BANDS], read=_series)},
        target=_parcels,
        block=lambda entry: str(entry.facts["tile"]),
        when=lambda entry, parts: _days(entry),
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's containers below ``root/geobenchv2/pastis``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_pastis_r",
    version=1,
    title="GEO-Bench-2 PASTIS, instances: parcels from Sentinel-2 series",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L2A",),
    dates=0,
    tasks=(Task(name="parcels", kind="detection", classes=CLASSES, metric="box_map"),),
    splits={"train": 1455, "val": 482, "test": 496},
    dataset="pastis",
    licence="CC BY 4.0",
    citation=f"{CITATION}; Sainte Fare Garnot et al., PASTIS-R, 2022, arXiv:2112.07558",
    url="https://hf.co/datasets/aialliance/pastis",
    folder="geobenchv2/pastis",
    notes="Boxes around what GEO-Bench-2 scores as instance masks: no score of its leaderboard compares. Void parcels "
    "are no objects; Sentinel-1 is not read; intervals resample the four tiles.",
    open=open_split,
    download=download,
)
