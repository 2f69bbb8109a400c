"""EuroSAT RGB: land use from 8-bit true-colour Sentinel-2 images.

The true-colour edition of `EuroSAT <https://github.com/phelber/EuroSAT>`__: Sentinel-2 level-1C scenes over 34
European countries, cut into 64 x 64 pixels at 10 m, reflectance 0..0.275 shown as 0..255.

Dataset format:

* ``EuroSAT_RGB/<Class>/<Class>_<n>.jpg``, 64 x 64 pixels, uint8, red green blue
* splits from ``split.csv`` (columns class, file, split) if there is one, otherwise from torchgeo's lists
  ``eurosat-{train,val,test}.txt``

Dataset classes: AnnualCrop, Forest, HerbaceousVegetation, Highway, Industrial, Pasture, PermanentCrop, Residential,
River, SeaLake.

The lists are those of "In-domain representation learning for remote sensing" (arXiv 1911.06721), 16,200 / 5,400 /
5,400 images. A ``split.csv`` is a split by whoever wrote it: its ids are part of every result's identity.

If you use this dataset, please cite https://doi.org/10.1109/JSTARS.2019.2918242. Licence: MIT.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.reading import ClassFolders, Samples, download_class_folders, open_class_folders, read_picture
from suites.reading.class_names import EUROSAT as CLASSES

BANDS = sentinel2_bands("b04 b03 b02", unit="uint8")
IMAGES = Path("EuroSAT_RGB")
HOST = "https://hf.co/datasets/torchgeo/eurosat/resolve/1ce6f1bfb56db63fd91b6ecc466ea67f2509774c/"
LISTS = {
    "train": ("eurosat-train.txt", "908f142e73d6acdf3f482c5e80d851b1"),
    "val": ("eurosat-val.txt", "95de90f2aa998f70a3b2416bfe0687b4"),
    "test": ("eurosat-test.txt", "7ae5ab94471417b6e315763121e67c5f"),
}
ARCHIVE = "https://zenodo.org/records/7711810/files/EuroSAT_RGB.zip"
SIZE = (64, 64)
LAYOUT = ClassFolders(
    title="EuroSAT",
    images=IMAGES,
    ending=".jpg",
    lists=LISTS,
    table="split.csv",
    read=lambda path: read_picture(path, (3, *SIZE)),
    stored=BANDS,
    lists_at=HOST,
    archive=(ARCHIVE, "EuroSAT_RGB.zip", "f46e308c4d50d4bf32fedad2d3d62f3b"),
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_class_folders(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's images and torchgeo's split lists below ``root/eurosat_rgb``."""
    download_class_folders(SUITE, LAYOUT, root, fetch)


SUITE = Suite(
    name="eurosat_rgb",
    version=1,
    title="EuroSAT RGB: land use, 8-bit true colour",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="landuse", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 16200, "val": 5400, "test": 5400},
    dataset="eurosat",
    licence="MIT",
    citation="Helber et al., EuroSAT, IEEE JSTARS 2019, doi:10.1109/JSTARS.2019.2918242",
    url=ARCHIVE,
    folder="eurosat_rgb",
    notes="8-bit preview: reflectance 0..0.275 as 0..255. A split.csv in the folder replaces the published split.",
    open=open_split,
    download=download,
)
