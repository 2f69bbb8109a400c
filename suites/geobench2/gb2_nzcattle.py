"""GEO-Bench-2 NZ Cattle: cattle in aerial images of New Zealand.

The 655 images of m-nz-cattle of the first GEO-Bench (`Abuaiadah and Switzer 2022
<https://doi.org/10.5281/zenodo.5908869>`__), as boxes.

Dataset format, per sample of ``geobench_nzcattle.tortilla``:

* ``image``: uint8 (3, 500, 500), red, green, blue at 10 cm
* ``annotations``: HDF5, whose attribute ``annotation`` is JSON: boxes of x, y, width, height in pixels, category 1

Dataset classes: cattle.

Splits: 524 / 66 / 65, those of the first GEO-Bench.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2306.03831. Licence: CC
BY 4.0, as stated by the first GEO-Bench.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from suites.geobench2._container import Entry, Parts
from suites.geobench2._reader import CITATION, boxes_in, fetch_containers, open_container, rasters
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_nzcattle.tortilla": "70ca3b78af3f5b17868dd856b8e31b102a03e74439d58960a69c77b1efcd31c1",
}
SIZE = (500, 500)
BANDS = tuple(Band(name=f"rgb.{name}", unit="uint8", gsd_m=0.1) for name in ("red", "green", "blue"))
CATEGORIES = {1: 0}


def _boxes(entry: Entry, parts: Parts | None) -> dict[str, np.ndarray]:
    part = (parts or entry.parts())["annotations"]
    return boxes_in(part, "boxes", CATEGORIES, SIZE)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"rgb": rasters(["image"], BANDS, SIZE)},
        target=_boxes,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/nzcattle``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_nzcattle",
    version=1,
    title="GEO-Bench-2 NZ Cattle: cattle in aerial images",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=0.1,
    tasks=(Task(name="cattle", kind="detection", classes=("cattle",), metric="box_map"),),
    splits={"train": 524, "val": 66, "test": 65},
    dataset="nz_cattle",
    licence="CC BY 4.0, as stated by the first GEO-Bench",
    citation=f"{CITATION}; Lacoste et al., GEO-Bench, NeurIPS 2023, arXiv:2306.03831",
    url="https://hf.co/datasets/aialliance/nzcattle",
    folder="geobenchv2/nzcattle",
    notes="The dates of the containers are placeholders and are not read; intervals resample images, which may be "
    "neighbours. Boxes are clipped to the image. Counts are those of m-nz-cattle of the first GEO-Bench.",
    open=open_split,
    download=download,
)
