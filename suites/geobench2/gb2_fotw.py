"""GEO-Bench-2 Fields of The World: fields and their boundaries from two Sentinel-2 images of a season.

7,000 patches of `Fields of The World <https://fieldsofthe.world/>`__ of 24 countries, chosen by GEO-Bench-2.

Dataset format, per sample of ``geobench_fotw.tortilla``:

* ``win_a``, ``win_b``: (4, 256, 256), surface reflectance x 10000 at 10 m: red, green, blue, near infrared; at
  planting and at harvest; 0 in all four is read as no data
* ``semantic_3class_mask``: 0 background, 1 field, 2 boundary, 3 unknown (in countries where only some fields were
  drawn)
* ``instance_mask``: not read
* the index: country, aoi_id, lon, lat, year

Dataset classes: background, field, boundary. Unknown is neither trained on nor scored.

Splits: 4,000 / 1,000 / 2,000. Intervals resample countries.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2409.16252. Licence:
varies by country.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.geobench2._reader import CITATION, day_of, fetch_containers, mask_in, open_container, rasters
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_fotw.tortilla": "2584cdada3dd3c275792d2376c8bbca782a7b1faea54924c9627906f0296854c",
}
SIZE = (256, 256)
BANDS = sentinel2_bands("b04 b03 b02 b08")
WINDOWS = ("win_a", "win_b")
CODES = {0: 0, 1: 1, 2: 2, 3: 3}


def _missing(values: np.ndarray) -> np.ndarray:
    nothing: np.ndarray = (values == 0).all(axis=0)
    return nothing


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"s2": rasters(WINDOWS, BANDS, SIZE, missing=_missing)},
        target=mask_in("semantic_3class_mask", SIZE, CODES, "win_a"),
        block=lambda entry: str(entry.fact("country")),
        when=lambda entry, parts: [day_of(entry.fact("stac:time_start"))] * 2,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/fotw``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_fotw",
    version=1,
    title="GEO-Bench-2 Fields of The World: fields and their boundaries",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L2A",),
    dates=2,
    tasks=(
        Task(name="fields", kind="segmentation", classes=("background", "field", "boundary"), metric="miou", ignore=3),
    ),
    splits={"train": 4000, "val": 1000, "test": 2000},
    dataset="fields_of_the_world",
    licence="various, by country",
    citation=f"{CITATION}; Kerner et al., Fields of The World, AAAI 2025, arXiv:2409.16252",
    url="https://hf.co/datasets/aialliance/fotw",
    folder="geobenchv2/fotw",
    notes="Only the year of the dates is stated. Intervals resample countries; 3, unknown, is ignored.",
    open=open_split,
    download=download,
)
