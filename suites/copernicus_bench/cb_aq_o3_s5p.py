"""Copernicus-Bench AQ-O3-S5P: ozone near the ground from Sentinel-5P columns, in torchgeo's layout.

Sentinel-5P's total O3 column with the European Environment Agency's air quality maps of 2021 as
labels, new in `Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__.

Dataset format, below ``copernicus_bench/airquality_s5p/o3/``:

* ``s5p_annual/<place>/2021-01-01_2021-12-31.tif``: total O3 column in mol/m2, float32, about 56 x 56 at 1 km, NaN
  where there is none. ``s5p_seasonal``, four images per place, is not read
* ``label_annual/<place>.tif``: SOMO35 ozone, µg/m³·day, float32, the same size; infinite or beyond 1e10 is no
  value (NaN here)
* ``{train,val,test}.csv``: places, one per line

Images and targets vary a little in size and are resized to 56 x 56 as by the publisher: images by cubic interpolation,
targets by the nearest pixel.

Dataset classes: none; the target is a map of values.

The publisher's splits: 1,480 / 493 / 494.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849. Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from suites.copernicus_bench._pairs import air_quality
from suites.copernicus_bench._reader import FOLDER, HOST, PAPER, fetched, opened
from suites.reading import Samples

BANDS = (Band(name="s5p.o3", unit="mol_m2", gsd_m=1000.0),)
LAYOUT = air_quality("o3", BANDS)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return opened(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/copernicus_bench`` and unpack it."""
    fetched(LAYOUT, root, fetch)


SUITE = Suite(
    name="cb_aq_o3_s5p",
    version=1,
    title="Copernicus-Bench AQ-O3-S5P: ozone near the ground from Sentinel-5P",
    bands=BANDS,
    image_size=(56, 56),
    gsd_m=1000.0,
    levels=("s5p:L3",),
    tasks=(Task(name="o3", kind="dense_regression", quantity="SOMO35 ozone", unit="µg/m³·day", metric="rmse"),),
    splits={"train": 1480, "val": 493, "test": 494},
    dataset="copernicus_aq",
    licence="CC BY 4.0",
    citation=f"{PAPER}; Horálek et al., Air quality maps of EEA member and cooperating countries",
    url=HOST,
    folder=FOLDER,
    notes="The mean image of 2021, one band; labels are a map interpolated from stations. That the values are SOMO35 "
    "in µg/m³·day is inferred from torchgeo's description and their mean of 4,654; the publisher states no unit.",
    open=open_split,
    download=download,
)
