"""m-cashew-plant of GEO-Bench: cashew plantations of Benin in Sentinel-2 images.

`Smallholder Cashew Plantations in Benin <https://doi.org/10.34911/rdnt.hfv20i>`__ in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0, with each date as a separate sample.

Dataset format, below ``segmentation_v1.0/m-cashew-plant/`` (see `suites.geobench._reader`):

* ``sample_<n>.hdf5``: 12 arrays ``<band>_<date>`` of 256 x 256 float32, reflectance x 10000, at 10 m (the publisher's
  facts state 0.5 m, the pixel size of the imagery on which the labels were drawn); a cloud probability, not read; and
  the mask ``label``

Dataset classes: no data, well-managed plantation, poorly-managed plantation, non-plantation, residential, background,
uncertain.

The publisher's splits (``default_partition.json``): 1,350 / 400 / 50: 72 places, each on the 25 dates with the least
cloud between November 2019 and October 2020, all dates of a place in one split. Places are windows of 256 pixels set
128 apart in one scene and split at random: most test pixels also lie in a training window.

If you use this dataset, please cite https://doi.org/10.34911/rdnt.hfv20i and
https://doi.org/10.48550/arXiv.2306.03831. Licence: CC BY 4.0 according to the GEO-Bench paper, not verified.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.geobench._reader import CITATION, FOLDER, URL, Layout, download_files, open_files, sentinel2_names
from suites.reading import Samples

NAMES = "b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12"
DATES = 25
CLASSES = (
    *("no data", "well-managed plantation", "poorly-managed plantation", "non-plantation", "residential"),
    *("background", "uncertain"),
)


def block(name: str) -> str:
    """Return the place of a sample: the publisher numbered the samples place by place, with 25 dates each."""
    number = name.rpartition("_")[2]
    return f"place_{int(number) // DATES}" if number.isdecimal() else name


LAYOUT = Layout(part="segmentation", dataset="m-cashew-plant", stored=sentinel2_names(NAMES), block=block)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_cashew_plant",
    version=1,
    title="GEO-Bench m-cashew-plant: cashew plantations, 12 Sentinel-2 bands",
    bands=sentinel2_bands(NAMES),
    image_size=(256, 256),
    gsd_m=10.0,
    levels=("s2:L2A",),
    tasks=(Task(name="plantation", kind="segmentation", classes=CLASSES, metric="miou"),),
    splits={"train": 1350, "val": 400, "test": 50},
    dataset="cashew_benin",
    licence="CC BY 4.0, according to the GEO-Bench paper (not verified)",
    citation=f"TechnoServe, Smallholder Cashew Plantations in Benin, doi:10.34911/rdnt.hfv20i{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="The counts are expected ones. Windows of one scene that overlap by half, split at random: the test measures "
    "memory of the place as much as skill. The 50 test samples are 25 dates of two places; intervals resample places. "
    "As in GEO-Bench all seven codes are scored, including 'no data'. Level inferred from the bands (no b10, a cloud "
    "layer).",
    open=open_split,
    download=download,
)
