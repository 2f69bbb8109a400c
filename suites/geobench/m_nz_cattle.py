"""m-nz-cattle of GEO-Bench: cattle in aerial pictures of New Zealand.

The `cattle of New Zealand <https://doi.org/10.5281/zenodo.5908869>`__ in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0, each animal a disc.

Dataset format, below ``segmentation_v1.0/m-nz-cattle/`` (see `suites.geobench._reader`):

* ``<n>_<region>_(<years>)_<lon>,<lat>....hdf5``: three arrays ``<colour>_<date>`` of 500 x 500 uint8 at 0.1 m, and the
  mask ``label_<date>``: discs of 6 pixels' radius around the animals. Only the year of the date is known

Dataset classes: no cattle, cattle.

The publisher's splits (``default_partition.json``): 524 / 66 / 65, at random.

If you use this dataset, please cite https://doi.org/10.5281/zenodo.5908869 and
https://doi.org/10.48550/arXiv.2306.03831. Licence: CC BY 4.0 according to the GEO-Bench paper, not verified.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import rgb_bands
from suites.geobench._reader import CITATION, FOLDER, RGB, URL, Layout, download_files, open_files
from suites.reading import Samples

NAME = re.compile(r"[^_]+_(?P<survey>.+?)_(?P<longitude>-?\d+(\.\d+)?),(?P<latitude>-?\d+(\.\d+)?)(_.*)?")


def place(name: str) -> tuple[float, float] | None:
    """Return longitude and latitude from a sample's name, None if it does not state them."""
    match = NAME.fullmatch(name)
    return (float(match["longitude"]), float(match["latitude"])) if match else None


def block(name: str) -> str:
    """Return the survey of a sample, region and years, or its own name if that states none."""
    match = NAME.fullmatch(name)
    return match["survey"] if match else name


LAYOUT = Layout(part="segmentation", dataset="m-nz-cattle", stored=RGB, highest=255, place=place, block=block)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_nz_cattle",
    version=1,
    title="GEO-Bench m-nz-cattle: cattle in aerial pictures",
    bands=rgb_bands(0.1),
    image_size=(500, 500),
    gsd_m=0.1,
    tasks=(Task(name="cattle", kind="segmentation", classes=("no cattle", "cattle"), metric="miou"),),
    splits={"train": 524, "val": 66, "test": 65},
    dataset="nz_cattle",
    licence="CC BY 4.0, according to the GEO-Bench paper (not verified)",
    citation=f"Cattle detection in aerial images of New Zealand, Zenodo 2022, doi:10.5281/zenodo.5908869{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="The counts of val and test are expected ones. Points drawn as discs of 12 pixels, not outlines. Splits are "
    "random, not spatially blocked; intervals resample surveys (region and years). Only the year is known.",
    open=open_split,
    download=download,
)
