"""m-pv4ger-seg of GEO-Bench: solar panels outlined in aerial pictures of Germany.

A sample of `PV4GER <https://github.com/kdmayer/3D-PV-Locator>`__ (North Rhine-Westphalia) in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0.

Dataset format, below ``segmentation_v1.0/m-pv4ger-seg/`` (see `suites.geobench._reader`):

* ``<lat>,<lon>.hdf5``: three arrays of 320 x 320 uint8 at 0.1 m, and the mask ``label``: 0 or 1

Many names have latitude and longitude exchanged; in Germany the larger of the two is the latitude.

Dataset classes: no solar pv, solar pv.

The publisher's splits (``default_partition.json``): 3,000 / 403 / 403.

If you use this dataset, please cite https://doi.org/10.1016/j.apenergy.2021.118469 and
https://doi.org/10.48550/arXiv.2306.03831. Licence: MIT according to the GEO-Bench paper, not verified.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import rgb_bands
from suites.geobench._reader import CITATION, FOLDER, RGB, URL, Layout, download_files, open_files
from suites.reading import Samples


def place(name: str) -> tuple[float, float]:
    """Return longitude and latitude from a sample's name, which may have them in either order."""
    longitude, latitude = sorted(float(part) for part in name.split(",")[:2])
    return longitude, latitude


LAYOUT = Layout(part="segmentation", dataset="m-pv4ger-seg", stored=RGB, highest=255, place=place)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_pv4ger_seg",
    version=1,
    title="GEO-Bench m-pv4ger-seg: outlines of solar panels in aerial pictures",
    bands=rgb_bands(0.1),
    image_size=(320, 320),
    gsd_m=0.1,
    tasks=(Task(name="solar", kind="segmentation", classes=("no solar pv", "solar pv"), metric="miou"),),
    splits={"train": 3000, "val": 403, "test": 403},
    dataset="pv4ger",
    licence="MIT, according to the GEO-Bench paper (not verified)",
    citation=f"Mayer et al., 3D-PV-Locator, Applied Energy 2022, doi:10.1016/j.apenergy.2021.118469{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="The counts are expected ones. Pictures without a date; intervals resample pictures. The smaller partitions "
    "of GEO-Bench are not read.",
    open=open_split,
    download=download,
)
