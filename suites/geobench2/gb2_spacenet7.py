"""GEO-Bench-2 SpaceNet 7: buildings in monthly PlanetScope mosaics.

5,304 patches of `SpaceNet 7 <https://spacenet.ai/sn7-challenge/>`__, the quarters of its images, chosen by
GEO-Bench-2.

Dataset format, per sample of ``geobench_spacenet7.tortilla``:

* ``images``: uint8 (4, 512, 512) at about 4 m: red, green, blue, and a mask of valid data (0: NaN here)
* ``mask``: 1 building, 0 not
* the index: aoi, year, month, patch_id, lon, lat

Dataset classes: background, building. The ``geobench_v2`` package has a further class 0, which no pixel has.

Splits: 3,500 / 652 / 1,152. Intervals resample areas.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2102.04420. Licence: CC
BY-SA 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from suites.geobench2._container import Entry, Parts
from suites.geobench2._reader import CITATION, Stored, as_float, fetch_containers, mask_in, open_container
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_spacenet7.tortilla": "f202abe270b729f7f2651de64cb5c6b41c5f9915109ec12b6c467afa2abcb5b6",
}
SIZE = (512, 512)
BANDS = tuple(Band(name=f"rgb.{name}", unit="uint8", gsd_m=4.0) for name in ("red", "green", "blue"))


def _mosaic(parts: Parts) -> np.ndarray:
    values = parts["images"].image(SIZE, 4)
    return as_float(values[:3], values[3] == 0)


def _month(entry: Entry) -> tuple[int, int, int]:
    return (int(entry.fact("year")), int(entry.fact("month")), -1)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"rgb": Stored(order=[band.name for band in BANDS], read=_mosaic)},
        target=mask_in("mask", SIZE, {0: 0, 1: 1}, "images"),
        block=lambda entry: str(entry.fact("aoi")),
        when=lambda entry, parts: [_month(entry)],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/spacenet7``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_spacenet7",
    version=1,
    title="GEO-Bench-2 SpaceNet 7: buildings in PlanetScope mosaics",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=4.0,
    tasks=(Task(name="buildings", kind="segmentation", classes=("background", "building"), metric="miou"),),
    splits={"train": 3500, "val": 652, "test": 1152},
    dataset="spacenet7",
    licence="CC BY-SA 4.0",
    citation=f"{CITATION}; Van Etten et al., SpaceNet 7, CVPR 2021, arXiv:2102.04420",
    url="https://hf.co/datasets/aialliance/spacenet7",
    folder="geobenchv2/spacenet7",
    notes="Single months, no series. Intervals resample areas of interest. mIoU here has two classes, in the "
    "geobench_v2 package three.",
    open=open_split,
    download=download,
)
