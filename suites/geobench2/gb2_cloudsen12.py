"""GEO-Bench-2 CloudSEN12: clouds and their shadows in Sentinel-2 scenes, pixel by pixel.

The expert-labelled patches of 512 x 512 pixels of `CloudSEN12+ <https://cloudsen12.github.io/>`__, of which
GEO-Bench-2 keeps 4,000 of the training patches and all others; the level-2A images.

Dataset format, per sample of ``geobench_cloudsen12.tortilla``, two parts in this order:

* image: (12 or more, 512, 512), surface reflectance x 10000 at 10 m: B01 ... B8A, B09, B11, B12; further bands are not
  read; 0 in all twelve is read as no data
* label: 0 clear, 1 thick cloud, 2 thin cloud, 3 cloud shadow

Dataset classes: see `CLASSES`.

Splits: 4,000 / 535 / 975.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://doi.org/10.1016/j.dib.2024.110852.
Licence: stated as CC0 by secondary sources.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel2_bands
from suites.geobench2._container import Entry, Part, Parts
from suites.geobench2._reader import (
    CITATION,
    Stored,
    as_float,
    codes_of,
    day_of,
    fetch_containers,
    open_container,
    require_same_crs,
)
from suites.reading import Samples
from suites.reading.class_names import CLOUDS as CLASSES

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_cloudsen12.tortilla": "16b3c03d7b15cf42f6ef0cee6d453b6ad8ebbe7744674c4b58657511f7f5d0c0",
}
SIZE = (512, 512)
BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12")
CODES = {code: code for code in range(len(CLASSES))}


def _image(parts: Parts) -> np.ndarray:
    values = _two(parts)[0].image(SIZE, len(BANDS), more=True)
    return as_float(values, (values == 0).all(axis=0))


def _two(parts: Parts) -> list[Part]:
    """Return the parts, image and label first: their position identifies them, since their names are undocumented."""
    held = list(parts)
    if len(held) < 2:
        raise MissingData(f"{parts.label} has {len(held)} parts, an image and a label are expected; replace the file")
    return held


def _mask(entry: Entry, parts: Parts | None) -> np.ndarray:
    image, label = _two(parts or entry.parts())[:2]
    require_same_crs(label, image)
    return codes_of(label, label.raster(SIZE, 1)[0], CODES)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"s2": Stored(order=[band.name for band in BANDS], read=_image)},
        target=_mask,
        block=lambda entry: entry.name.partition("__")[0],
        when=lambda entry, parts: [day_of(entry.facts.get("stac:time_start"))],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/cloudsen12``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_cloudsen12",
    version=1,
    title="GEO-Bench-2 CloudSEN12: clouds and shadows in Sentinel-2",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L2A",),
    tasks=(Task(name="clouds", kind="segmentation", classes=CLASSES, metric="miou"),),
    splits={"train": 4000, "val": 535, "test": 975},
    dataset="cloudsen12",
    licence="CC0, according to secondary sources",
    citation=f"{CITATION}; Aybar et al., CloudSEN12+, Data in Brief 56, 2024, doi:10.1016/j.dib.2024.110852",
    url="https://hf.co/datasets/aialliance/cloudsen12",
    folder="geobenchv2/cloudsen12",
    notes="Validation and test are complete, train is a random part. Intervals resample places where the id names "
    "them.",
    open=open_split,
    download=download,
)
