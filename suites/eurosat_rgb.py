"""EuroSAT RGB: land use from 8-bit true-colour Sentinel-2 images.

The true-colour edition of `EuroSAT <https://github.com/phelber/EuroSAT>`__: Sentinel-2 level-1C scenes over 34
European countries, cut into 64 x 64 pixels at 10 m, reflectance 0..0.275 shown as 0..255.

Dataset format:

* ``EuroSAT_RGB/<Class>/<Class>_<n>.jpg``, 64 x 64 pixels, uint8, red green blue
* splits from ``split.csv`` (class,file,split) where there is one, else from torchgeo's lists
  ``eurosat-{train,val,test}.txt``

Dataset classes: AnnualCrop, Forest, HerbaceousVegetation, Highway, Industrial, Pasture, PermanentCrop, Residential,
River, SeaLake.

The lists are those of "In-domain representation learning for remote sensing" (arXiv 1911.06721), 16,200 / 5,400 /
5,400 images. A ``split.csv`` is somebody's own split: its ids are part of every result's identity.

If you use this dataset, please cite https://doi.org/10.1109/JSTARS.2019.2918242. Licence: MIT.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.errors import MissingData
from suites._read import (
    Samples,
    by_sensor,
    check_request,
    fetch_archive,
    locate,
    read_lines,
    read_picture,
    require_all,
    require_distinct,
    sentinel2_bands,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = sentinel2_bands("b04 b03 b02", unit="uint8")
CLASSES = (
    *("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop"),
    *("Residential", "River", "SeaLake"),
)
IMAGES = "EuroSAT_RGB"
HOST = "https://hf.co/datasets/torchgeo/eurosat/resolve/1ce6f1bfb56db63fd91b6ecc466ea67f2509774c/"
LISTS = {
    "train": ("eurosat-train.txt", "908f142e73d6acdf3f482c5e80d851b1"),
    "val": ("eurosat-val.txt", "95de90f2aa998f70a3b2416bfe0687b4"),
    "test": ("eurosat-test.txt", "7ae5ab94471417b6e315763121e67c5f"),
}


def read_splits(folder: Path) -> dict[str, list[str]]:
    """Return split -> ids such as ``"River_12"``, in listed order.

    Raises:
        MissingData: a list is absent or damaged, names an unknown class or split, or one image twice.
    """
    splits: dict[str, list[str]] = {name: [] for name in LISTS}
    own = folder / "split.csv"
    if own.exists():
        for row in csv.DictReader(read_lines(own)):
            if row.get("class") not in CLASSES or row.get("split") not in splits or not row.get("file"):
                raise MissingData(f"{own}: cannot use the row {dict(row)}; it needs class, file, split as in EuroSAT")
            splits[row["split"]].append(Path(row["file"]).stem)
    else:
        for name, (file, _) in LISTS.items():
            splits[name] = [Path(line).stem for line in read_lines(folder / file)]
    require_distinct("eurosat_rgb", splits)
    return splits


def class_of(name: str, source: Path) -> int:
    """Return the class code of an id.

    Raises:
        MissingData: its class is none of EuroSAT's.
    """
    found = name.rpartition("_")[0]
    if found not in CLASSES:
        raise MissingData(f"{source}: {name} is of no class of EuroSAT ({', '.join(CLASSES)})")
    return CLASSES.index(found)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    check_request(SUITE, task, split, bands)
    how = "get it with download=true"
    folder = locate(SUITE.name, root, SUITE.folder, ("split.csv", LISTS["train"][0]), how)
    ids = read_splits(folder)[split]
    labels = [class_of(name, folder) for name in ids]
    paths = [folder / IMAGES / CLASSES[label] / f"{name}.jpg" for name, label in zip(ids, labels, strict=True)]
    require_all(paths, SUITE.name, "its split lists")
    columns = by_sensor(bands, [band.name for band in BANDS])["s2"]

    def read(index: int) -> Sample:
        picture = read_picture(paths[index], (3, *SUITE.image_size))
        return Sample(images={"s2": picture[columns][None].astype("float32")}, target=labels[index])

    def read_targets() -> np.ndarray:
        import numpy as np

        return np.array(labels)

    return Samples(ids=ids, blocks=ids, read=read, read_targets=read_targets)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's images and torchgeo's split lists below ``root/eurosat_rgb``."""
    folder = root / SUITE.folder
    for name, md5 in LISTS.values():
        fetch(HOST + name, folder / name, md5=md5)
    if not (folder / IMAGES).exists():
        fetch_archive(fetch, SUITE.url, folder / "EuroSAT_RGB.zip", folder, md5="f46e308c4d50d4bf32fedad2d3d62f3b")


SUITE = Suite(
    name="eurosat_rgb",
    version=1,
    title="EuroSAT RGB: land use, 8-bit true colour",
    bands=BANDS,
    image_size=(64, 64),
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="landuse", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 16200, "val": 5400, "test": 5400},
    dataset="eurosat",
    licence="MIT",
    citation="Helber et al., EuroSAT, IEEE JSTARS 2019, doi:10.1109/JSTARS.2019.2918242",
    url="https://zenodo.org/records/7711810/files/EuroSAT_RGB.zip",
    folder="eurosat_rgb",
    notes="8-bit preview: reflectance 0..0.275 as 0..255. A split.csv beside the images is its maker's own split.",
    open=open_split,
    download=download,
)
