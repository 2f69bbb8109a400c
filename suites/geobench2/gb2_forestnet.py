"""GEO-Bench-2 ForestNet: why a forest of Indonesia was cleared, from Landsat 8.

The 8,446 images of `ForestNet <https://stanfordmlgroup.github.io/projects/forestnet/>`__ as the first GEO-Bench
published them.

Dataset format, per sample of ``geobench_forestnet.tortilla``:

* ``image``: uint8 (6, 332, 332), pan-sharpened Landsat 8 at 15 m, grey values: blue, green, red, near infrared, two of
  short-wave infrared. Rows and columns are exchanged compared with the first GEO-Bench
* the index: labels, patch_id, lon, lat, time

Dataset classes: see `CLASSES`.

Splits: 6,464 / 989 / 993, those of the publisher.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2011.05479. Licence: CC
BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import LANDSAT
from suites.geobench2._reader import CITATION, class_of, day_of, fetch_containers, open_container, rasters
from suites.reading import Samples

FILES = {
    "geobench_forestnet.tortilla": "6ee7cb7135b4ca5d0cde52e781f5960ed0e648dcceab598982fa612802cd3ad1",
}
SIZE = (332, 332)
BANDS = tuple(
    Band(name=f"landsat.{name}", unit="uint8", wavelength_um=LANDSAT["oli"][name], gsd_m=30.0)
    for name in ("blue", "green", "red", "nir", "swir1", "swir2")
)
CLASSES = (
    *("Oil palm plantation", "Timber plantation", "Other large-scale plantations", "Grassland/shrubland"),
    *("Small-scale agriculture", "Small-scale mixed plantation", "Small-scale oil palm plantation", "Mining"),
    *("Fish pond", "Logging road", "Secondary forest", "Other"),
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"landsat": rasters(["image"], BANDS, SIZE)},
        target=lambda entry, parts: class_of(entry, entry.fact("labels"), CLASSES),
        when=lambda entry, parts: [day_of(entry.fact("stac:time_start"))],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/forestnet``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_forestnet",
    version=1,
    title="GEO-Bench-2 ForestNet: drivers of deforestation, Landsat 8",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=15.0,
    tasks=(Task(name="driver", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 6464, "val": 989, "test": 993},
    dataset="forestnet",
    licence="CC BY 4.0",
    citation=f"{CITATION}; Irvin et al., ForestNet, 2020, arXiv:2011.05479",
    url="https://hf.co/datasets/aialliance/forestnet",
    folder="geobenchv2/forestnet",
    notes="Grey values whose scale to reflectance is not published: uint8 states their range only. The geobench_v2 "
    "package gives the bands of Landsat the names of Sentinel-2.",
    open=open_split,
    download=download,
)
