"""NWPU-RESISC45: 45 kinds of scene in Google Earth pictures, in torchgeo's layout.

The `RESISC45 <https://doi.org/10.1109/JPROC.2017.2675998>`__ dataset: 31,500 pictures of more than 100 countries, 700
of each class, at 0.2 to 30 m per pixel.

Dataset format:

* ``NWPU-RESISC45/<class>/<class>_<nnn>.jpg``: 256 x 256 pixels, uint8, red green blue, not geo-referenced
* splits ``resisc45-{train,val,test}.txt``, one file name per line

Dataset classes: see `CLASSES`, in the alphabetical order that torchgeo numbers them in.

The publisher states no split. These are the lists of "In-domain representation learning for remote sensing" (arXiv
1911.06721) that torchgeo uses: 18,900 / 6,300 / 6,300.

If you use this dataset, please cite https://doi.org/10.1109/JPROC.2017.2675998. Licence: none is stated by the
publisher; the pictures are from Google Earth.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import rgb_bands
from suites.reading import ClassFolders, Samples, download_class_folders, open_class_folders, read_picture

BANDS = rgb_bands()
CLASSES = (
    *("airplane", "airport", "baseball_diamond", "basketball_court", "beach", "bridge", "chaparral", "church"),
    *("circular_farmland", "cloud", "commercial_area", "dense_residential", "desert", "forest", "freeway"),
    *("golf_course", "ground_track_field", "harbor", "industrial_area", "intersection", "island", "lake", "meadow"),
    *("medium_residential", "mobile_home_park", "mountain", "overpass", "palace", "parking_lot", "railway"),
    *("railway_station", "rectangular_farmland", "river", "roundabout", "runway", "sea_ice", "ship", "snowberg"),
    *("sparse_residential", "stadium", "storage_tank", "tennis_court", "terrace", "thermal_power_station", "wetland"),
)
HOST = "https://hf.co/datasets/isaaccorley/resisc45/resolve/883edc0eee77b2c84225472f10f126e3ed83fa6e/"
IMAGES = Path("NWPU-RESISC45")
LISTS = {
    "train": ("resisc45-train.txt", "b5a4c05a37de15e4ca886696a85c403e"),
    "val": ("resisc45-val.txt", "a0770cee4c5ca20b8c32bbd61e114805"),
    "test": ("resisc45-test.txt", "3dda9e4988b47eb1de9f07993653eb08"),
}
ARCHIVE = ("NWPU-RESISC45.zip", "75206b2e16446591afa88e2628744886")
SIZE = (256, 256)
LAYOUT = ClassFolders(
    title="RESISC45",
    images=IMAGES,
    ending=".jpg",
    lists=LISTS,
    read=lambda path: read_picture(path, (3, *SIZE)),
    stored=BANDS,
    lists_at=HOST,
    archive=(f"{HOST}{ARCHIVE[0]}", *ARCHIVE),
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_class_folders(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put torchgeo's copy of the archive and its split lists below ``root/resisc45``."""
    download_class_folders(SUITE, LAYOUT, root, fetch)


SUITE = Suite(
    name="resisc45",
    version=1,
    title="NWPU-RESISC45: 45 kinds of scene, true colour",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=None,
    tasks=(Task(name="scene", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 18900, "val": 6300, "test": 6300},
    dataset="resisc45",
    licence="none stated by the publisher (Google Earth pictures)",
    citation="Cheng et al., NWPU-RESISC45, Proceedings of the IEEE 2017, doi:10.1109/JPROC.2017.2675998",
    url=HOST,
    folder="resisc45",
    notes="Random split of arXiv:1911.06721, as in torchgeo; papers that train on 10 or 20 % use other splits. GSD "
    "varies from 0.2 to 30 m; pictures are display values, not reflectance.",
    open=open_split,
    download=download,
)
