"""m-eurosat of GEO-Bench: land use from Sentinel-2 images with all 13 bands, 2,000 of them for training.

A sample of `EuroSAT <https://github.com/phelber/EuroSAT>`__ in `GEO-Bench <https://github.com/ServiceNow/geo-bench>`__
version 1.0.

Dataset format, below ``classification_v1.0/m-eurosat/`` (see `suites.geobench._reader`):

* ``id_<n>.hdf5``: 13 arrays of 64 x 64 int16, top-of-atmosphere reflectance x 10000, at 10 m

The arrays from the ninth on have wrong names. EuroSAT stores band 8A last (B08, B09, B10, B11, B12, B8A); the
publisher named the arrays in that order as if it were ninth (08A, 09, 10, 11, 12). The values show this: the array
called "09 - Water vapour" has a mean of 12, which only the cirrus band has, and "08A - Vegetation Red Edge" a mean of
751, compared with 2,360 for "08 - NIR". Here each band is read from the array that holds it.

Dataset classes: AnnualCrop, Forest, HerbaceousVegetation, Highway, Industrial, Pasture, PermanentCrop, Residential,
River, SeaLake.

The publisher's splits (``default_partition.json``): 2,000 / 1,000 / 1,000, drawn from those of EuroSAT.

If you use this dataset, please cite https://doi.org/10.1109/JSTARS.2019.2918242 and
https://doi.org/10.48550/arXiv.2306.03831. Licence: MIT.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.geobench._reader import CITATION, FOLDER, URL, Layout, download_files, open_files, sentinel2_names
from suites.reading import Samples
from suites.reading.class_names import EUROSAT as CLASSES

NAMES = "b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b10 b11 b12"
# Canonical band -> name of the array that holds it.
MISNAMED = {
    "s2.b09": "08A - Vegetation Red Edge",
    "s2.b10": "09 - Water vapour",
    "s2.b11": "10 - SWIR - Cirrus",
    "s2.b12": "11 - SWIR",
    "s2.b8a": "12 - SWIR",
}
LAYOUT = Layout(part="classification", dataset="m-eurosat", stored=sentinel2_names(NAMES) | MISNAMED)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_eurosat",
    version=1,
    title="GEO-Bench m-eurosat: land use, 13 Sentinel-2 bands",
    bands=sentinel2_bands(NAMES),
    image_size=(64, 64),
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="landuse", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 2000, "val": 1000, "test": 1000},
    dataset="eurosat",
    licence="MIT",
    citation=f"Helber et al., EuroSAT, IEEE JSTARS 2019, doi:10.1109/JSTARS.2019.2918242{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="The publisher's files give bands 9 to 13 wrong names (b09 is called 08A, b10 09, b11 10, b12 11, b8a 12); "
    "here they are read by their content, so results with subsets of bands differ from those of readers that trust the "
    "names. Splits are random, not spatially blocked; the smaller partitions of GEO-Bench are not read.",
    open=open_split,
    download=download,
)
