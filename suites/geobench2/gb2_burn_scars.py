"""GEO-Bench-2 burn scars: burned area in Harmonized Landsat Sentinel-2 scenes of the United States, 2018 to 2021.

The 804 scenes of the `HLS burn scar dataset <https://huggingface.co/datasets/ibm-nasa-geospatial/hls_burn_scars>`__ in
the splits of GEO-Bench-2.

Dataset format, per sample of ``geobench_burn_scars.tortilla``:

* ``image``: float32 (6, 512, 512), surface reflectance at 30 m: B02, B03, B04, B8A, B11, B12 of HLS S30; 9999 and
  -9999 are no data (NaN here)
* ``label``: 1 burned, 0 not, -1 no data

Dataset classes: not burned, burned. -1 is neither trained on nor scored (the ``geobench_v2`` package makes it class
2).

Splits: 524 / 160 / 120.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://doi.org/10.57967/hf/0956. Licence: CC
BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import hls_bands
from suites.geobench2._reader import CITATION, day_of, fetch_containers, mask_in, open_container, rasters
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_burn_scars.tortilla": "9f865e72bc4aeb657ee03be167a093f80ee92403ccb2c23b4d19be1189e442aa",
}
SIZE = (512, 512)
NO_DATA = (9999.0, -9999.0)
BANDS = hls_bands("reflectance")


def _missing(values: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.isin(values, NO_DATA)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"hls": rasters(["image"], BANDS, SIZE, missing=_missing)},
        target=mask_in("label", SIZE, {0: 0, 1: 1, -1: -1}, "image"),
        when=lambda entry, parts: [day_of(parts["image"].fact("stac:time_start"))],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/burn_scars``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_burn_scars",
    version=1,
    title="GEO-Bench-2 burn scars: burned area in HLS scenes",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=30.0,
    levels=("hls:S30",),
    tasks=(Task(name="burned", kind="segmentation", classes=("not burned", "burned"), metric="miou", ignore=-1),),
    splits={"train": 524, "val": 160, "test": 120},
    dataset="hls_burn_scars",
    licence="CC BY 4.0",
    citation=f"{CITATION}; Phillips et al., HLS Foundation Burnscars, 2023, doi:10.57967/hf/0956",
    url="https://hf.co/datasets/aialliance/burn_scars",
    folder="geobenchv2/burn_scars",
    notes="The splits differ from those of suite hls_burn_scars. -1 ignored; intervals resample scenes.",
    open=open_split,
    download=download,
)
