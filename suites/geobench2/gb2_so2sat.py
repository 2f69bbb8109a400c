"""GEO-Bench-2 So2Sat: 17 local climate zones from Sentinel-2 patches.

The 21,964 patches of m-so2sat of the first GEO-Bench, of `So2Sat LCZ42 <https://github.com/zhu-xlab/So2Sat-LCZ42>`__.

Dataset format, per sample of ``geobench_so2sat.tortilla``:

* ``s1``: (2, 32, 32), the real parts of the unfiltered VH and VV signal, which are not backscatter and are not read
* ``s2``: (10, 32, 32), top-of-atmosphere reflectance at 10 m: B02 ... B08, B8A, B11, B12
* the index: labels, patch_id

Dataset classes: see `CLASSES`.

Splits: 19,992 / 986 / 986.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://doi.org/10.1109/MGRS.2020.2964708.
Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.geobench2._reader import CITATION, class_of, fetch_containers, open_container, rasters
from suites.reading import Samples

FILES = {
    "geobench_so2sat.tortilla": "2f9aa3a0cbf7f5071d2fafee24156a6041a9c732f0f979881b8db582201aa7bc",
}
SIZE = (32, 32)
BANDS = sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12", unit="reflectance")
CLASSES = (
    *("Compact high-rise", "Compact middle-rise", "Compact low-rise", "Open high-rise", "Open middle-rise"),
    *("Open low-rise", "Lightweight low-rise", "Large low-rise", "Sparsely built", "Heavy industry"),
    *(
        "Dense Trees",
        "Scattered trees",
        "Bush, scrub",
        "Low plants",
        "Bare rock or paved",
        "Bare soil or sand",
        "Water",
    ),
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"s2": rasters(["s2"], BANDS, SIZE)},
        target=lambda entry, parts: class_of(entry, entry.fact("labels"), CLASSES),
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/so2sat``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_so2sat",
    version=1,
    title="GEO-Bench-2 So2Sat: local climate zones of Sentinel-2 patches",
    bands=BANDS,
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="climatezone", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 19992, "val": 986, "test": 986},
    dataset="so2sat",
    licence="CC BY 4.0",
    citation=f"{CITATION}; Zhu et al., So2Sat LCZ42, IEEE GRSM 8, 2020, doi:10.1109/MGRS.2020.2964708",
    url="https://hf.co/datasets/aialliance/so2sat",
    folder="geobenchv2/so2sat",
    notes="Sentinel-2 only: of Sentinel-1 the containers hold only real parts of the complex signal, and the "
    "geobench_v2 package exchanges the names of VV and VH. Places are not stated: intervals resample patches.",
    open=open_split,
    download=download,
)
