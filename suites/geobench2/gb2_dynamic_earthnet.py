"""GEO-Bench-2 DynamicEarthNet: land cover of a month from daily PlanetScope images, pixel by pixel.

1,000 patches of `DynamicEarthNet <https://mediatum.ub.tum.de/1650201>`__, each 512 x 512 pixels of one area in one
month of 2018 and 2019, cut and chosen by GEO-Bench-2.

Dataset format, per sample of the three ``geobench_dynamic_earthnet.<n>.part.tortilla``:

* ``planet_0`` ... ``planet_27`` up to ``planet_30``: int16 (4, 512, 512), one per day: blue, green, red, near infrared,
  surface reflectance x 10000 at 3 m; 0 in all four is read as no data
* ``s1``, ``s2``: one image of the month each, not read (see below)
* ``label``: uint8, the month's land cover

Dataset classes: see `CLASSES`.

Splits: 700 / 100 / 200. Of the days, the six of the "weekly" setting of the original paper are read: the 1st, 5th,
10th, 15th, 20th and 25th. ``s2`` is not offered: the names that the ``geobench_v2`` package gives its twelve bands do
not fit their values (its "B04" is as bright as near infrared), and the publisher's order was not found.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2203.12560. Licence:
not verified, see the dataset's page.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from suites.geobench2._reader import CITATION, day_of, fetch_containers, mask_in, open_container, rasters
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_dynamic_earthnet.0000.part.tortilla": "3459ed6e7b528a6356f2ac8249d75c7c199230c4df28ec60e19f67684c4fefe5",
    "geobench_dynamic_earthnet.0001.part.tortilla": "31b757804a687c2761fa991de48d98312f0b35140c5d54a5074b4267da1aaf8c",
    "geobench_dynamic_earthnet.0002.part.tortilla": "b8e3bc71aaf0422564e91117ca6192fa441ab9405b115c84a5e32b586b41d8c2",
}
SIZE = (512, 512)
DAYS = (0, 4, 9, 14, 19, 24)
BANDS = tuple(
    Band(name=f"planet.{name}", unit="dn", wavelength_um=wavelength, gsd_m=3.0)
    for name, wavelength in (("blue", 0.490), ("green", 0.565), ("red", 0.665), ("nir", 0.865))
)
NAMES = [f"planet_{day}" for day in DAYS]
CLASSES = (
    *("Impervious surfaces", "Agriculture", "Forest and other vegetation", "Wetlands", "Soil", "Water", "Snow and ice"),
)


def _missing(values: np.ndarray) -> np.ndarray:
    nothing: np.ndarray = (values == 0).all(axis=0)
    return nothing


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"planet": rasters(NAMES, BANDS, SIZE, missing=_missing)},
        target=mask_in("label", SIZE, {code: code for code in range(7)}, "planet_0"),
        block=lambda entry: str(entry.fact("area_id")),
        when=lambda entry, parts: [day_of(parts[name].fact("stac:time_start")) for name in NAMES],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's containers below ``root/geobenchv2/dynamic_earthnet``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_dynamic_earthnet",
    version=1,
    title="GEO-Bench-2 DynamicEarthNet: land cover from a month of PlanetScope",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=3.0,
    dates=6,
    tasks=(Task(name="landcover", kind="segmentation", classes=CLASSES, metric="miou"),),
    splits={"train": 700, "val": 100, "test": 200},
    dataset="dynamic_earthnet",
    licence="not verified",
    citation=f"{CITATION}; Toker et al., DynamicEarthNet, CVPR 2022, arXiv:2203.12560",
    url="https://hf.co/datasets/aialliance/dynamic_earthnet",
    folder="geobenchv2/dynamic_earthnet",
    notes="Six days per month, PlanetScope only: the band order of the Sentinel-2 image is in doubt. Intervals "
    "resample areas. Pixels without a class have the first one, as in the containers.",
    open=open_split,
    download=download,
)
