"""m-brick-kiln of GEO-Bench: whether a Sentinel-2 image of Bangladesh shows a brick kiln.

A sample of the brick kilns of `SustainBench <https://sustainlab-group.github.io/sustainbench/>`__ in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0.

Dataset format, below ``classification_v1.0/m-brick-kiln/`` (see `suites.geobench._reader`):

* ``examples_<file>_<n>.hdf5``: 13 arrays of 64 x 64 float64, surface reflectance x 10000 (composites of October 2018 to
  May 2019), at 10 m

The arrays from the ninth on have wrong names: the publisher took the images for B1 ... B12. In samples published with
its code, the arrays called 10, 11 and 12 stay within 0 ... 255 and correlate with red, green and blue at 0.98 and more:
they are the true-colour picture of the level-2A product. Those called 08A and 09 correlate with each other (0.91) and
not with the near infrared (0.4 and 0.1): they are the short-wave infrared, B11 and B12. Bands 8A, 9 and 10 are absent.
Here the ten bands are read by their content, and the picture, which repeats three of them, is left out. No document of
the publisher states this: it is inferred from the values.

Dataset classes: not brick kiln, brick kiln.

The publisher's splits (``default_partition.json``): 15,063 / 999 / 999.

If you use this dataset, please cite https://doi.org/10.1073/pnas.2018863118, https://doi.org/10.48550/arXiv.2111.04724
and https://doi.org/10.48550/arXiv.2306.03831. Licence: CC BY-SA 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.geobench._reader import CITATION, FOLDER, URL, Layout, download_files, open_files, sentinel2_names
from suites.reading import Samples

NAMES = "b01 b02 b03 b04 b05 b06 b07 b08 b11 b12"
# Canonical band -> name of the array that holds it.
MISNAMED = {"s2.b11": "08A - Vegetation Red Edge", "s2.b12": "09 - Water vapour"}
LAYOUT = Layout(part="classification", dataset="m-brick-kiln", stored=sentinel2_names(NAMES) | MISNAMED)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_brick_kiln",
    version=1,
    title="GEO-Bench m-brick-kiln: brick kilns of Bangladesh, Sentinel-2",
    bands=sentinel2_bands(NAMES),
    image_size=(64, 64),
    gsd_m=10.0,
    levels=("s2:L2A",),
    tasks=(Task(name="kiln", kind="classification", classes=("not brick kiln", "brick kiln"), metric="accuracy"),),
    splits={"train": 15063, "val": 999, "test": 999},
    dataset="brick_kiln",
    licence="CC BY-SA 4.0",
    citation="Lee et al., Scalable deep learning to identify brick kilns, PNAS 2021, doi:10.1073/pnas.2018863118; "
    f"SustainBench: Yeh et al., arXiv:2111.04724{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="Ten bands: the arrays 08A and 09 of the files hold b11 and b12, and 10, 11 and 12 a true-colour picture "
    "(left out), as the values show; readers that trust the names differ. Composites without a date. No place is read: "
    "intervals resample images and may be too narrow. The smaller partitions of GEO-Bench are not read.",
    open=open_split,
    download=download,
)
