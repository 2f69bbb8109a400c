"""Copernicus-Bench EuroSAT-S1: land use from Sentinel-1 backscatter, in torchgeo's layout.

`EuroSAT-SAR <https://huggingface.co/datasets/wangyi111/EuroSAT-SAR>`__, the Sentinel-1 image of each EuroSAT patch, as
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__ publishes it.

Dataset format, below ``copernicus_bench/eurosat_s1/``:

* ``all_imgs/<Class>/<Class>_<n>.tif``: VV, VH backscatter in dB, float32, 64 x 64 at 10 m
* ``eurosat-{train,val,test}.txt``: names ending in ``.jpg``, one per line

Dataset classes: AnnualCrop, Forest, HerbaceousVegetation, Highway, Industrial, Pasture, PermanentCrop, Residential,
River, SeaLake (in alphabetical order, as the publisher codes them; torchgeo's order differs).

The splits are those of "In-domain representation learning for remote sensing" (arXiv 1911.06721): 16,200 / 5,400 /
5,400.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849 and
https://doi.org/10.1109/JSTARS.2024.3493237. Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel1_bands
from suites.copernicus_bench._pairs import eurosat
from suites.copernicus_bench._reader import FOLDER, HOST, PAPER, fetched, opened
from suites.reading import Samples
from suites.reading.class_names import EUROSAT as CLASSES

BANDS = sentinel1_bands()
LAYOUT = eurosat("s1", BANDS)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return opened(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/copernicus_bench`` and unpack it."""
    fetched(LAYOUT, root, fetch)


SUITE = Suite(
    name="cb_eurosat_s1",
    version=1,
    title="Copernicus-Bench EuroSAT-S1: land use from Sentinel-1",
    bands=BANDS,
    image_size=(64, 64),
    gsd_m=10.0,
    levels=("s1:GRD",),
    tasks=(Task(name="landuse", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 16200, "val": 5400, "test": 5400},
    dataset="eurosat",
    licence="CC BY 4.0",
    citation=f"{PAPER}; Wang et al., EuroSAT-SAR, IEEE JSTARS 2024, doi:10.1109/JSTARS.2024.3493237",
    url=HOST,
    folder=FOLDER,
    notes="That values are in dB is inferred from the publisher's statistics (means -12.5 and -20.2). Splits are "
    "random, not spatially blocked.",
    open=open_split,
    download=download,
)
