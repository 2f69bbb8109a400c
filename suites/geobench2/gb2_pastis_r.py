"""GEO-Bench-2 PASTIS, instances: agricultural parcels and their crops from Sentinel-2 time series, as boxes.

The 2,433 patches of `PASTIS-R <https://github.com/VSainteuf/pastis-benchmark>`__, in the files of ``gb2_pastis``. In
GEO-Bench-2 this is a task of instance segmentation; here the targets are the boxes around the instances.

Dataset format, per sample of the three ``geobench_pastis.<n>.part.tortilla``, HDF5 with one array ``data`` each:

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
from suites.geobench2._container import Entry, Parts
from suites.geobench2._pastis import BANDS, FILES, SIZE, VOID, open_series, read_array, read_classes
from suites.geobench2._reader import CITATION, boxes_of, fetch_containers
from suites.reading import Samples
from suites.reading.class_names import CROPS as CLASSES

if TYPE_CHECKING:
    import numpy as np


def _parcels(entry: Entry, parts: Parts | None) -> dict[str, np.ndarray]:
    import numpy as np

    held = parts or entry.parts()
    classes, parcels = read_classes(held["semantic"]), read_array(held["instance"], *SIZE)
    boxes: list[tuple[list[float], int]] = []
    for number in np.unique(parcels[parcels != 0]):
        rows, columns = np.nonzero(parcels == number)
        code = int(classes[rows[0], columns[0]])
        if code not in (0, VOID):
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            boxes.append(([float(side) for side in box], code - 1))
    return boxes_of(held["instance"], boxes, SIZE)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_series(SUITE, (root, task, split, bands), _parcels)


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
    notes="Boxes around what GEO-Bench-2 scores as instance masks: not comparable with its leaderboard. Void parcels "
    "are not objects; Sentinel-1 is not read; intervals resample the four tiles.",
    open=open_split,
    download=download,
)
