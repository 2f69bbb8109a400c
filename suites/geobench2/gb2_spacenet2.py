"""GEO-Bench-2 SpaceNet 2: buildings of four cities in WorldView-3 images.

9,608 of the 10,593 images of `SpaceNet 2 <https://spacenet.ai/spacenet-buildings-dataset-v2/>`__, in the splits of
GEO-Bench-2, a checkerboard over each city.

Dataset format, per sample of ``geobench_spacenet2.tortilla``:

* ``ps-ms``: uint16 (8, 650, 650), pan-sharpened, digital numbers of 11 bits at 30 cm: coastal, blue, green, yellow,
  red, red edge, two of near infrared; 0 in all eight is read as no data
* ``pan``: uint16 (1, 650, 650)
* ``semantic_mask``: 1 building, 0 not; ``instance_mask``: not read
* the index: city, lon, lat

Dataset classes: background, building. The ``geobench_v2`` package has a further class 0, which no pixel has.

Splits: 5,186 / 1,461 / 2,961.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/1807.01232. Licence: CC
BY-SA 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from suites.geobench2._reader import CITATION, fetch_containers, mask_in, open_container, rasters
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_spacenet2.tortilla": "e48e57654c1755a6b1c79bcfe172035a27b815ebe1738d1ce95d96d5c37214b6",
}
SIZE = (650, 650)
MULTI = tuple(
    Band(name=f"worldview.{name}", unit="dn", wavelength_um=wavelength, gsd_m=0.3)
    for name, wavelength in (
        *(("coastal", 0.425), ("blue", 0.480), ("green", 0.545), ("yellow", 0.605)),
        *(("red", 0.660), ("rededge", 0.725), ("nir1", 0.833), ("nir2", 0.950)),
    )
)
PAN = (Band(name="pan.pan", unit="dn", wavelength_um=0.625, gsd_m=0.3),)


def _missing(values: np.ndarray) -> np.ndarray:
    nothing: np.ndarray = (values == 0).all(axis=0)
    return nothing


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={
            "worldview": rasters(["ps-ms"], MULTI, SIZE, missing=_missing),
            "pan": rasters(["pan"], PAN, SIZE, missing=_missing),
        },
        target=mask_in("semantic_mask", SIZE, {0: 0, 1: 1}, "ps-ms"),
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/spacenet2``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_spacenet2",
    version=1,
    title="GEO-Bench-2 SpaceNet 2: buildings in WorldView-3 images",
    bands=(*MULTI, *PAN),
    default_bands=("worldview.*",),
    image_size=SIZE,
    gsd_m=0.3,
    tasks=(Task(name="buildings", kind="segmentation", classes=("background", "building"), metric="miou"),),
    splits={"train": 5186, "val": 1461, "test": 2961},
    dataset="spacenet2",
    licence="CC BY-SA 4.0",
    citation=f"{CITATION}; Van Etten et al., SpaceNet, 2018, arXiv:1807.01232",
    url="https://hf.co/datasets/aialliance/spacenet2",
    folder="geobenchv2/spacenet2",
    notes="Digital numbers of the sensor, not calibrated: dn states their range only. Splits share cities; intervals "
    "resample images. mIoU here has two classes, in the geobench_v2 package three.",
    open=open_split,
    download=download,
)
