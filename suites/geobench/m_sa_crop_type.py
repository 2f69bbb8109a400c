"""m-SA-crop-type of GEO-Bench: crops of the Western Cape, South Africa, in Sentinel-2 images.

A sample of the `South Africa Crop Type <https://doi.org/10.34911/rdnt.j0co8q>`__ competition in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0, with up to five of the clearest dates of a tile as separate
samples.

Dataset format, below ``segmentation_v1.0/m-SA-crop-type/`` (see `suites.geobench._reader`):

* ``ref_south_africa_crops_competition_v1_train_labels_<tile>_<n>.hdf5``: 12 arrays of 256 x 256 int16 with values of 8
  bits, 0 ... 255, at 10 m; a cloud layer, 0 throughout, not read; and the mask ``label``

The meaning of the 8 bits is not stated. They are read as reflectance x 255: with this scale the means over the training
images (0.14 red, 0.27 near infrared, 0.33 and 0.26 short-wave infrared) are those of dry farmland.

Dataset classes: see `CLASSES`; No Data is land that was not surveyed.

The publisher's splits (``default_partition.json``): 3,000 / 1,000 / 1,000; the dates of a tile are in one split.

If you use this dataset, please cite https://doi.org/10.34911/rdnt.j0co8q and
https://doi.org/10.48550/arXiv.2306.03831. Licence: CC BY 4.0, according to secondary sources.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.geobench._reader import CITATION, FOLDER, URL, Layout, download_files, open_files, sentinel2_names
from suites.reading import Samples

NAMES = "b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12"
CLASSES = (
    *("No Data", "Lucerne/Medics", "Planted pastures (perennial)", "Fallow", "Wine grapes", "Weeds"),
    *("Small grain grazing", "Wheat", "Canola", "Rooibos"),
)
LAYOUT = Layout(
    part="segmentation",
    dataset="m-SA-crop-type",
    stored=sentinel2_names(NAMES),
    factor=1 / 255,
    highest=255,
    block=lambda name: name.rpartition("_")[0] or name,
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_sa_crop_type",
    version=1,
    title="GEO-Bench m-SA-crop-type: crops of the Western Cape, 12 Sentinel-2 bands",
    bands=sentinel2_bands(NAMES, unit="reflectance"),
    image_size=(256, 256),
    gsd_m=10.0,
    levels=("s2:L2A",),
    tasks=(Task(name="crop", kind="segmentation", classes=CLASSES, metric="miou"),),
    splits={"train": 3000, "val": 1000, "test": 1000},
    dataset="sa_crop_type",
    licence="CC BY 4.0, according to secondary sources",
    citation="Western Cape Department of Agriculture, Radiant Earth Foundation 2021, "
    f"doi:10.34911/rdnt.j0co8q{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="The counts are expected ones. Stored in 8 bits of unstated scale, read as reflectance x 255 (which the mean "
    "spectrum supports): bright surfaces are cut off at 1. As in GEO-Bench all ten codes are scored, including No Data "
    "(land not surveyed). No dates are stored; intervals resample tiles. Level inferred from the bands (no b10).",
    open=open_split,
    download=download,
)
