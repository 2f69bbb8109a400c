"""GEO-Bench-2 BigEarthNet v2: which of 19 land-cover classes a Sentinel-1 and Sentinel-2 patch holds.

28,000 of the 480,038 patches of `BigEarthNet v2.0 <https://bigearth.net/>`__, chosen by GEO-Bench-2 at random within
each of the publisher's splits.

Dataset format, per sample of ``geobench_benv2.tortilla``:

* ``s1``: float32 (2, 120, 120), backscatter in dB, **VH then VV**, as the pixel values and the generating script show.
  The ``geobench_v2`` package calls the first VV and the second VH; here the names follow the pixels
* ``s2``: uint16 (12, 120, 120), bottom-of-atmosphere reflectance x 10000 without offset, B01 ... B09, B11, B12,
  coarser bands interpolated bilinearly
* the index: labels, patch_id, lon, lat, time

Dataset classes: see `CLASSES`; a patch has one or more.

Splits: 20,000 / 4,000 / 4,000. Intervals resample Sentinel-2 tiles.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2407.03653. Licence:
CDLA-Permissive-1.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.geobench2._container import Entry
from suites.geobench2._reader import CITATION, classes_of, day_of, fetch_containers, open_container, rasters
from suites.reading import Samples
from suites.reading.class_names import BIGEARTHNET as CLASSES

FILES = {
    "geobench_benv2.tortilla": "821c2f429c3e85c158c758bbb215bf61170a2451a11284efaf0f89cef97e468a",
}
SIZE = (120, 120)
SENTINEL1, SENTINEL2 = sentinel1_bands()[::-1], sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12")


def _tile(entry: Entry) -> str:
    """Return the tile of a patch: T29UNB of S2A_MSIL2A_20180529T115401_N9999_R023_T29UNB_88_44."""
    words = str(entry.fact("patch_id")).split("_")
    return words[5] if len(words) > 5 else entry.name


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"s1": rasters(["s1"], SENTINEL1, SIZE), "s2": rasters(["s2"], SENTINEL2, SIZE)},
        target=lambda entry, parts: classes_of(entry, "labels", CLASSES),
        block=_tile,
        when=lambda entry, parts: [day_of(entry.fact("stac:time_start"))],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/benv2``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_benv2",
    version=1,
    title="GEO-Bench-2 BigEarthNet v2: land cover of Sentinel-1 and -2 patches",
    bands=(*SENTINEL2, *SENTINEL1),
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L2A", "s1:GRD"),
    tasks=(Task(name="landcover", kind="multilabel", classes=CLASSES, metric="macro_f1"),),
    splits={"train": 20000, "val": 4000, "test": 4000},
    dataset="bigearthnet_v2",
    licence="CDLA-Permissive-1.0",
    citation=f"{CITATION}; Clasen et al., reBEN, 2024, arXiv:2407.03653",
    url="https://hf.co/datasets/aialliance/benv2",
    folder="geobenchv2/benv2",
    notes="A random subset of each official split. Sentinel-1 is stored as VH, VV, which the geobench_v2 package "
    "names the other way round: its results on one polarisation belong to the other.",
    open=open_split,
    download=download,
)
