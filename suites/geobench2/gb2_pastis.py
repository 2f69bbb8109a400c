"""GEO-Bench-2 PASTIS: crops of French agricultural parcels from Sentinel-2 time series, pixel by pixel.

The 2,433 patches of `PASTIS-R <https://github.com/VSainteuf/pastis-benchmark>`__.

Dataset format, per sample of the three ``geobench_pastis.<n>.part.tortilla``, HDF5 with one array ``data`` each:

* ``s2``: int16 (T, 10, 128, 128), surface reflectance x 10000 at 10 m: B02 ... B08, B8A, B11, B12; -10000 is no data
  (NaN here)
* ``s1a``, ``s1d``: Sentinel-1 series of both orbits, with days of their own; not read
* ``semantic``: uint8 (3, 128, 128), of which the first layer holds the classes
* ``instance``: (128, 128), the number of the parcel, 0 outside
* the index: dates of ``s2``, tile, patch_id, lon, lat

Dataset classes: background and 18 crops. Void (19), parcels mostly outside their patch, is neither trained on nor
scored.

Splits: 1,455 / 482 / 496, as many as the publisher's folds 1 to 3, 4, and 5. Intervals resample Sentinel-2 tiles.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2112.07558. Licence: CC
BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from suites.geobench2._container import Entry, Parts
from suites.geobench2._pastis import BANDS, FILES, SIZE, VOID, open_series, read_classes
from suites.geobench2._reader import CITATION, fetch_containers
from suites.reading import Samples
from suites.reading.class_names import CROPS

if TYPE_CHECKING:
    import numpy as np

CLASSES = ("background", *CROPS)


def _mask(entry: Entry, parts: Parts | None) -> np.ndarray:
    return read_classes((parts or entry.parts())["semantic"])


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_series(SUITE, (root, task, split, bands), _mask)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's containers below ``root/geobenchv2/pastis``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_pastis",
    version=1,
    title="GEO-Bench-2 PASTIS: crops from Sentinel-2 series",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L2A",),
    dates=0,
    tasks=(Task(name="crops", kind="segmentation", classes=CLASSES, metric="miou", ignore=VOID),),
    splits={"train": 1455, "val": 482, "test": 496},
    dataset="pastis",
    licence="CC BY 4.0",
    citation=f"{CITATION}; Sainte Fare Garnot et al., PASTIS-R, 2022, arXiv:2112.07558",
    url="https://hf.co/datasets/aialliance/pastis",
    folder="geobenchv2/pastis",
    notes="The complete series, while the geobench_v2 package takes some of its dates; Sentinel-1 is not read. Void is "
    "ignored; intervals resample the four tiles.",
    open=open_split,
    download=download,
)
