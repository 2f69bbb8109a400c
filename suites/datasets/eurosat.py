"""EuroSAT: land use from Sentinel-2 images with all 13 bands, in torchgeo's layout.

The `EuroSAT <https://github.com/phelber/EuroSAT>`__ dataset: 27,000 labelled, geo-referenced Sentinel-2 level-1C
images of 34 European countries.

Dataset format:

* ``ds/images/remote_sensing/otherDatasets/sentinel_2/tif/<Class>/<Class>_<n>.tif``: 13 x 64 x 64 uint16,
  top-of-atmosphere reflectance x 10000, at 10 m; bands B01 ... B08, B09, B10, B11, B12, B8A in that order
* splits ``eurosat-{train,val,test}.txt``, one file name per line

Dataset classes: AnnualCrop, Forest, HerbaceousVegetation, Highway, Industrial, Pasture, PermanentCrop, Residential,
River, SeaLake.

The splits are those of "In-domain representation learning for remote sensing" (arXiv 1911.06721): 16,200 / 5,400 /
5,400.

If you use this dataset, please cite https://doi.org/10.1109/JSTARS.2019.2918242. Licence: MIT.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.reading import ClassFolders, Samples, download_class_folders, open_class_folders, read_image
from suites.reading.class_names import EUROSAT as CLASSES

# As stored: band 8A comes last.
ON_DISK = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b09 b10 b11 b12 b8a")
BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b10 b11 b12")
HOST = "https://hf.co/datasets/torchgeo/eurosat/resolve/1ce6f1bfb56db63fd91b6ecc466ea67f2509774c/"
IMAGES = Path("ds", "images", "remote_sensing", "otherDatasets", "sentinel_2", "tif")
LISTS = {
    "train": ("eurosat-train.txt", "908f142e73d6acdf3f482c5e80d851b1"),
    "val": ("eurosat-val.txt", "95de90f2aa998f70a3b2416bfe0687b4"),
    "test": ("eurosat-test.txt", "7ae5ab94471417b6e315763121e67c5f"),
}
ARCHIVE = ("EuroSATallBands.zip", "5ac12b3b2557aa56e1826e981e8e200e")
SIZE = (64, 64)
LAYOUT = ClassFolders(
    title="EuroSAT",
    images=IMAGES,
    ending=".tif",
    lists=LISTS,
    read=lambda path: read_image(path, (len(ON_DISK), *SIZE), "uint16"),
    stored=ON_DISK,
    lists_at=HOST,
    archive=(f"{HOST}{ARCHIVE[0]}", *ARCHIVE),
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_class_folders(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the archive and torchgeo's split lists below ``root/eurosat``."""
    download_class_folders(SUITE, LAYOUT, root, fetch)


SUITE = Suite(
    name="eurosat",
    version=1,
    title="EuroSAT: land use, 13 Sentinel-2 bands",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="landuse", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 16200, "val": 5400, "test": 5400},
    dataset="eurosat",
    licence="MIT",
    citation="Helber et al., EuroSAT, IEEE JSTARS 2019, doi:10.1109/JSTARS.2019.2918242",
    url=HOST,
    folder="eurosat",
    notes="Top-of-atmosphere reflectance (level 1C) x 10000. Splits are random, not spatially blocked.",
    open=open_split,
    download=download,
)
