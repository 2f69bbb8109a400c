"""Copernicus-Bench EuroSAT-S2: land use from all 13 Sentinel-2 bands, in torchgeo's layout.

`EuroSAT <https://github.com/phelber/EuroSAT>`__ as
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__ publishes it: the images and
splits of `suites.datasets.eurosat` in other folders.

Dataset format, below ``copernicus_bench/eurosat_s2/``:

* ``all_imgs/<Class>/<Class>_<n>.tif``: 13 x 64 x 64 uint16, top-of-atmosphere reflectance x 10000, at 10 m; bands B01
  ... B08, B09, B10, B11, B12, B8A in that order
* ``eurosat-{train,val,test}.txt``: names ending in ``.jpg``, one per line

Dataset classes: AnnualCrop, Forest, HerbaceousVegetation, Highway, Industrial, Pasture, PermanentCrop, Residential,
River, SeaLake (in alphabetical order, as the publisher codes them; torchgeo's order differs).

The splits are those of "In-domain representation learning for remote sensing" (arXiv 1911.06721): 16,200 / 5,400 /
5,400.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849 and https://doi.org/10.1109/JSTARS.2019.2918242.
Licence: MIT.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.copernicus_bench._pairs import eurosat
from suites.copernicus_bench._reader import FOLDER, HOST, PAPER, fetched, opened
from suites.reading import Samples
from suites.reading.class_names import EUROSAT as CLASSES

# As stored: band 8A comes last.
ON_DISK = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b09 b10 b11 b12 b8a")
BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b10 b11 b12")
LAYOUT = eurosat("s2", ON_DISK)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return opened(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/copernicus_bench`` and unpack it."""
    fetched(LAYOUT, root, fetch)


SUITE = Suite(
    name="cb_eurosat_s2",
    version=1,
    title="Copernicus-Bench EuroSAT-S2: land use, 13 Sentinel-2 bands",
    bands=BANDS,
    image_size=(64, 64),
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="landuse", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 16200, "val": 5400, "test": 5400},
    dataset="eurosat",
    licence="MIT",
    citation=f"{PAPER}; Helber et al., EuroSAT, IEEE JSTARS 2019, doi:10.1109/JSTARS.2019.2918242",
    url=HOST,
    folder=FOLDER,
    notes="The images and splits of suite eurosat, packed by Copernicus-Bench. Splits are random, not spatially "
    "blocked.",
    open=open_split,
    download=download,
)
