"""GEO-Bench-2 CaFFe: zones of calving glaciers in radar images of seven sensors.

7,000 patches of `CaFFe <https://doi.org/10.1594/PANGAEA.940950>`__, cut and chosen by GEO-Bench-2 from 681 images of
seven glaciers, 1995 to 2020.

Dataset format, per sample of ``geobench_caffe.tortilla``:

* ``img``: uint8 (1, 512, 512), grey values of backscatter as the publisher scaled them, 6 to 20 m
* ``mask``: 0 N/A, 1 rock, 2 glacier, 3 ocean and ice melange
* the index: glacier_name, sensor, lon, lat, time

Dataset classes: see `CLASSES`. N/A (radar shadow, layover, outside the swath) is a class and is scored, as in CaFFe and
in GEO-Bench-2.

Splits: 4,000 / 1,000 / 2,000; the test glaciers are in no other split.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://doi.org/10.5194/essd-14-4287-2022.
Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from suites.geobench2._reader import CITATION, day_of, fetch_containers, mask_in, open_container, rasters
from suites.reading import Samples

FILES = {
    "geobench_caffe.tortilla": "8b2a2e1020a26a2e62080c96646c9c1f1cb35a54722739f8cef6f11122c4161e",
}
SIZE = (512, 512)
BANDS = (Band(name="sar.gray", unit="uint8"),)
CLASSES = ("N/A", "rock", "glacier", "ocean and ice melange")


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"sar": rasters(["img"], BANDS, SIZE)},
        target=mask_in("mask", SIZE, {code: code for code in range(4)}, "img"),
        block=lambda entry: f"{entry.fact('glacier_name')} {entry.fact('sensor')} {entry.fact('stac:time_start')}",
        when=lambda entry, parts: [day_of(entry.fact("stac:time_start"))],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/caffe``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_caffe",
    version=1,
    title="GEO-Bench-2 CaFFe: glacier zones in radar images",
    bands=BANDS,
    image_size=SIZE,
    tasks=(Task(name="zones", kind="segmentation", classes=CLASSES, metric="miou"),),
    splits={"train": 4000, "val": 1000, "test": 2000},
    dataset="caffe",
    licence="CC BY 4.0",
    citation=f"{CITATION}; Gourmelon et al., CaFFe, ESSD 14, 2022, doi:10.5194/essd-14-4287-2022",
    url="https://hf.co/datasets/aialliance/caffe",
    folder="geobenchv2/caffe",
    notes="Grey values of radar, not reflectance: uint8 states their range only. Intervals resample images (glacier, "
    "sensor and day); the test glaciers are few. Ground size varies, 6 to 20 m.",
    open=open_split,
    download=download,
)
