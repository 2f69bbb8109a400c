"""GEO-Bench-2 FLAIR 2: land cover of France in aerial images of 20 cm.

Patches of `FLAIR #2 <https://ignf.github.io/FLAIR/>`__, chosen by GEO-Bench-2; the aerial images, without the
Sentinel-2 series.

Dataset format, per sample of ``geobench_flair2.tortilla``:

* ``aerial``: uint8 (5, 512, 512): red, green, blue, near infrared, and the height above ground x 5, read
  in metres here (51 m and more are stored as 255)
* ``mask``: uint8, 1 to 19; 13 and above are read as "other", as in FLAIR's baseline and in the ``geobench_v2`` package
* the index: domain (department and year), zone, image_id, camera, lon, lat, time

Dataset classes: see `CLASSES`.

Splits: 4,049 / 1,022 / 3,022 as published, while the generating script requests 4,000 / 1,000 / 2,000. Intervals
resample zones.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2305.14467. Licence:
Etalab 2.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import AIRBORNE, rgb_bands
from suites.geobench2._container import Parts
from suites.geobench2._reader import CITATION, Stored, as_float, day_of, fetch_containers, mask_in, open_container
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_flair2.tortilla": "f446098513d85591b8abae03e8d98447d2ab5173271f85c11f40edcdb1e2e1a9",
}
SIZE = (512, 512)
AERIAL = rgb_bands(0.2, names="red green blue nir", wavelengths=AIRBORNE)
HEIGHT = Band(name="dem.height", unit="metre", gsd_m=0.2)
STEPS = 5  # stored height per metre
CLASSES = (
    *("building", "pervious surface", "impervious surface", "bare soil", "water", "coniferous", "deciduous"),
    *("brushwood", "vineyard", "herbaceous vegetation", "agricultural land", "plowed land", "other"),
)
CODES = {code: min(code, 13) - 1 for code in range(1, 20)}


def _aerial(parts: Parts) -> np.ndarray:
    return as_float(parts["aerial"].raster(SIZE, 5)[:4])


def _height(parts: Parts) -> np.ndarray:
    return as_float(parts["aerial"].raster(SIZE, 5)[4:]) / STEPS


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={
            "rgb": Stored(order=[band.name for band in AERIAL], read=_aerial),
            "dem": Stored(order=[HEIGHT.name], read=_height),
        },
        target=mask_in("mask", SIZE, CODES, "aerial"),
        block=lambda entry: f"{entry.fact('domain')}/{entry.fact('zone')}",
        when=lambda entry, parts: [day_of(entry.fact("stac:time_start"))],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/flair2``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_flair2",
    version=1,
    title="GEO-Bench-2 FLAIR 2: land cover in aerial images",
    bands=(*AERIAL, HEIGHT),
    default_bands=("rgb.*",),
    image_size=SIZE,
    gsd_m=0.2,
    tasks=(Task(name="landcover", kind="segmentation", classes=CLASSES, metric="miou"),),
    splits={"train": 4049, "val": 1022, "test": 3022},
    dataset="flair2",
    licence="Etalab 2.0",
    citation=f"{CITATION}; Garioud et al., FLAIR #2, 2023, arXiv:2305.14467",
    url="https://hf.co/datasets/aialliance/flair2",
    folder="geobenchv2/flair2",
    notes="Heights above ground have steps of 20 cm and end at 51 m. Intervals resample zones.",
    open=open_split,
    download=download,
)
