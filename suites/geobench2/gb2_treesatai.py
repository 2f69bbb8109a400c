"""GEO-Bench-2 TreeSatAI: which of 15 tree genera a forest patch holds, from an aerial image, Sentinel-1 and -2.

7,000 patches with sides of 60 m of the `TreeSatAI archive <https://doi.org/10.5281/zenodo.6598390>`__ in Lower Saxony,
chosen by GEO-Bench-2.

Dataset format, per sample of ``geobench_treesatai.tortilla``; GEO-Bench-2 repeated the 6 x 6 pixels of the Sentinels to
304 x 304:

* ``aerial``: uint8 (4, 304, 304) at 20 cm: near infrared, green, blue, red, as in the archive and as the pixels show;
  the ``geobench_v2`` package calls the first red and the last nir
* ``s1``: uint16 (3, 304, 304): VV, VH and their ratio. The decibels were written as unsigned numbers: -9.7 became
  65527, which the ``geobench_v2`` package returns. Here they are converted back to whole decibels; the fraction is
  lost, and of the ratio everything, so the ratio is not read
* ``s2``: uint16 (12, 304, 304), surface reflectance x 10000: B02, B03, B04, B08, B05, B06, B07, B8A, B11, B12, B01, B09
* the index: species_labels, dist_labels (their shares), year of the aerial image, lon, lat

Dataset classes: see `CLASSES`; a patch has one or more, however small their share.

Splits: 4,000 / 1,000 / 2,000.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://doi.org/10.5194/essd-15-681-2023.
Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import AIRBORNE, rgb_bands, sentinel1_bands, sentinel2_bands
from suites.geobench2._container import Parts
from suites.geobench2._reader import (
    CITATION,
    Stored,
    as_float,
    classes_of,
    day_of,
    fetch_containers,
    open_container,
    rasters,
)
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_treesatai.tortilla": "0ddb8068720242ad4f5931ea91f3459ed695ad490bbaa48905afe72dd9623aee",
}
SIZE = (304, 304)
AERIAL = rgb_bands(0.2, names="nir green blue red", wavelengths=AIRBORNE)
SENTINEL1, SENTINEL2 = sentinel1_bands(), sentinel2_bands("b02 b03 b04 b08 b05 b06 b07 b8a b11 b12 b01 b09")
CLASSES = (
    *("Abies", "Acer", "Alnus", "Betula", "Cleared", "Fagus", "Fraxinus", "Larix", "Picea", "Pinus", "Populus"),
    *("Prunus", "Pseudotsuga", "Quercus", "Tilia"),
)


def _decibels(parts: Parts) -> np.ndarray:
    return as_float(parts["s1"].raster(SIZE, 3)[:2].astype("uint16").view("int16"))


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={
            "rgb": rasters(["aerial"], AERIAL, SIZE),
            "s1": Stored(order=[band.name for band in SENTINEL1], read=_decibels),
            "s2": rasters(["s2"], SENTINEL2, SIZE),
        },
        target=lambda entry, parts: classes_of(entry, "species_labels", CLASSES),
        when=lambda entry, parts: [day_of(entry.fact("year"))],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/treesatai``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_treesatai",
    version=1,
    title="GEO-Bench-2 TreeSatAI: tree genera of forest patches",
    bands=(*AERIAL, *SENTINEL2, *SENTINEL1),
    default_bands=("rgb.*",),
    image_size=SIZE,
    gsd_m=0.2,
    levels=("s2:L2A", "s1:GRD"),
    tasks=(Task(name="genera", kind="multilabel", classes=CLASSES, metric="macro_f1"),),
    splits={"train": 4000, "val": 1000, "test": 2000},
    dataset="treesatai",
    licence="CC BY 4.0",
    citation=f"{CITATION}; Ahlswede et al., TreeSatAI, ESSD 15, 2023, doi:10.5194/essd-15-681-2023",
    url="https://hf.co/datasets/aialliance/treesatai",
    folder="geobenchv2/treesatai",
    notes="The geobench_v2 package exchanges red and near infrared of the aerial image: its results on RGB refer to "
    "NIR-G-B. Sentinel pixels are repeated to those of the aerial image; Sentinel-1 has whole decibels, which are out "
    "of range in the package. Only the year of the aerial image is stated. Intervals resample patches, which may be "
    "neighbours.",
    open=open_split,
    download=download,
)
