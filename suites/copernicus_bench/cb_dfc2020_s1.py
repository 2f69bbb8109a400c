"""Copernicus-Bench DFC2020-S1: land cover from Sentinel-1, in torchgeo's layout.

The labelled patches of the `2020 Data Fusion Contest <https://doi.org/10.21227/rha7-m332>`__, as
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__ publishes and splits them.

Dataset format, below ``copernicus_bench/dfc2020_s1s2/``:

* ``s1/ROIs0000_<role>_s1_0_p<n>.tif``: VV, VH backscatter in dB, 256 x 256 at 10 m
* ``dfc/ROIs0000_<role>_dfc_0_p<n>.tif``: simplified IGBP codes
* ``dfc-{train,val,test}-new.csv``: names of the label files, one per line

Dataset classes: forest (1), shrubland (2), grassland (4), wetland (5), cropland (6), urban (7), barren (9), water (10).
Savanna (3), snow and ice (8) and 0 are neither trained on nor scored, as in the benchmark (torchgeo keeps all codes).

The benchmark's own splits: 3,156 / 986 / 986. They differ from those of suite dfc2020.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849 and https://doi.org/10.21227/rha7-m332. Licence:
CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel1_bands
from suites.copernicus_bench._pairs import dfc2020
from suites.copernicus_bench._reader import FOLDER, HOST, IGNORED, PAPER, fetched, opened
from suites.reading import Samples
from suites.reading.class_names import DFC2020 as CLASSES

BANDS = sentinel1_bands()
LAYOUT = dfc2020("s1", BANDS)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return opened(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/copernicus_bench`` and unpack it."""
    fetched(LAYOUT, root, fetch)


SUITE = Suite(
    name="cb_dfc2020_s1",
    version=1,
    title="Copernicus-Bench DFC2020-S1: land cover from Sentinel-1",
    bands=BANDS,
    image_size=(256, 256),
    gsd_m=10.0,
    levels=("s1:GRD",),
    tasks=(
        Task(name="landcover", kind="segmentation", classes=tuple(CLASSES.values()), metric="miou", ignore=IGNORED),
    ),
    splits={"train": 3156, "val": 986, "test": 986},
    dataset="dfc2020",
    licence="CC BY 4.0",
    citation=f"{PAPER}; Schmitt et al., 2020 IEEE GRSS Data Fusion Contest, doi:10.21227/rha7-m332",
    url=HOST,
    folder=FOLDER,
    notes="The benchmark's own split, not the contest's (suite dfc2020): neighbouring patches may be in different "
    "splits. Savanna, snow and 0 are ignored; intervals resample runs of 64 patches; the images carry no place.",
    open=open_split,
    download=download,
)
