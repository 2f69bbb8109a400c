"""Copernicus-Bench Cloud-S2: clouds and their shadows in Sentinel-2 images, in torchgeo's layout.

A quarter of the expert-labelled patches of high quality of `CloudSEN12+ <https://cloudsen12.github.io/>`__, as
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__ publishes them.

Dataset format, below ``copernicus_bench/cloud_s2/``:

* ``s2_toa/ROI_<roi>__<product>.tif``: 13 bands, uint16, top-of-atmosphere reflectance x 10000, 512 x 512 at 10 m; 0 in
  every band is no data (NaN here)
* ``cloud/ROI_<roi>__<product>.tif``: uint8; 0 clear, 1 thick cloud, 2 thin cloud, 3 cloud shadow
* ``{train,val,test}.csv``: names without ``.tif``, one per line

Dataset classes: clear, thick cloud, thin cloud, cloud shadow.

The publisher's splits: 1,699 / 567 / 551.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849 and https://doi.org/10.1016/j.dib.2024.110852.
Licence: CC0 1.0, as the publisher's table states.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.copernicus_bench._reader import DAY, FOLDER, HOST, PAPER, Entry, Layout, fetched, opened
from suites.reading import Samples, listed_path, read_lines
from suites.reading.class_names import CLOUDS as CLASSES

BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b10 b11 b12")


def _entries(directory: Path, split: str, task: str) -> list[Entry]:
    listed = directory / f"{split}.csv"
    return [
        Entry(
            id=name,
            block=name.partition("__")[0],
            images=((listed_path(directory / "s2_toa", f"{name}.tif", listed),),),
            target=listed_path(directory / "cloud", f"{name}.tif", listed),
        )
        for name in read_lines(listed)
    ]


LAYOUT = Layout(
    directory="cloud_s2",
    lists="{}.csv",
    archive=("l1_cloud_s2/cloud_s2.zip", "39a1f966e76455549a3e6c209ba751c1"),
    stored=BANDS,
    entries=_entries,
    codes={"cloud": dict(enumerate(range(len(CLASSES))))},
    day=DAY,
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return opened(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/copernicus_bench`` and unpack it."""
    fetched(LAYOUT, root, fetch)


SUITE = Suite(
    name="cb_cloud_s2",
    version=1,
    title="Copernicus-Bench Cloud-S2: clouds and shadows, expert-labelled",
    bands=BANDS,
    image_size=(512, 512),
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="cloud", kind="segmentation", classes=CLASSES, metric="miou"),),
    splits={"train": 1699, "val": 567, "test": 551},
    dataset="cloudsen12",
    licence="CC0 1.0",
    citation=f"{PAPER}; Aybar et al., CloudSEN12+, Data in Brief 2024, doi:10.1016/j.dib.2024.110852",
    url=HOST,
    folder=FOLDER,
    notes="A quarter of CloudSEN12+'s high-quality labels, in the benchmark's own splits; intervals resample regions.",
    open=open_split,
    download=download,
)
