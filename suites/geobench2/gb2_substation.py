"""GEO-Bench-2 Substation: electrical substations in Sentinel-2 images, as boxes.

5,000 of the images of `the substation dataset <https://github.com/Lindsay-Lab/substation-seg>`__, chosen by
GEO-Bench-2, which averaged the revisits of each place. In GEO-Bench-2 this is a task of instance segmentation; here the
targets are boxes.

Dataset format, per sample of ``geobench_substation.tortilla``:

* ``image``: int16 (13, 228, 228), top-of-atmosphere reflectance x 10000 at 10 m, B01 ... B8A, B09, B10, B11, B12
* ``annotations``: HDF5, whose attribute ``annotation`` is JSON: boxes of x, y, width, height in pixels, polygons,
  category 1

Dataset classes: substation.

Splits: 4,000 / 500 / 500, those that the generating script requests.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2409.17363. Licence: CC
BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.geobench2._container import Entry, Parts
from suites.geobench2._reader import CITATION, boxes_in, fetch_containers, open_container, rasters
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_substation.tortilla": "7f12cd5b510fca4a153b8e77b786d7fc7f7c4e04aece1507121e9c24ff1d47a4",
}
SIZE = (228, 228)
BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b10 b11 b12")
CATEGORIES = {1: 0}


def _boxes(entry: Entry, parts: Parts | None) -> dict[str, np.ndarray]:
    part = (parts or entry.parts())["annotations"]
    return boxes_in(part, "sample_annotations", CATEGORIES, SIZE)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"s2": rasters(["image"], BANDS, SIZE)},
        target=_boxes,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/substation``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_substation",
    version=1,
    title="GEO-Bench-2 Substation: electrical substations in Sentinel-2",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="substations", kind="detection", classes=("substation",), metric="box_map"),),
    splits={"train": 4000, "val": 500, "test": 500},
    dataset="substation",
    licence="CC BY 4.0",
    citation=f"{CITATION}; Jindgar and Lindsay, 2024, arXiv:2409.17363",
    url="https://hf.co/datasets/aialliance/substation",
    folder="geobenchv2/substation",
    notes="Boxes around what GEO-Bench-2 scores as instance masks: not comparable with its leaderboard. Means over "
    "revisits, without days. Boxes are clipped to the image. The places of images without exactly one object may be "
    "wrong: the generating script takes them from another row.",
    open=open_split,
    download=download,
)
