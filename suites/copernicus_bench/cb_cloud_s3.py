"""Copernicus-Bench Cloud-S3: clouds, shadows and snow in Sentinel-3 OLCI images, in torchgeo's layout.

Chips of raw OLCI scenes with labels of the IdePix algorithm, new in
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__.

Dataset format, below ``copernicus_bench/cloud_s3/``:

* ``s3_olci/<product>_<row>_<column>.tif``: 21 bands Oa01 to Oa21, float32 counts, 256 x 256 at 300 m, NaN where there
  is no data; multiplied here by the publisher's factor of each band, which gives radiance in W m-2 sr-1 um-1
* ``cloud_multi/<same name>``: uint8; 0 invalid, 1 clear, 2 cloud ambiguous, 3 cloud sure, 4 cloud shadow, 5 snow or ice
* ``cloud_binary/<same name>``: uint8; 0 invalid, 1 clear, 2 cloud
* ``{train,val,test}.csv``: file names, one per line

Dataset classes: task ``cloud`` has five, task ``cloud_binary`` two. Invalid pixels (0, or 255 in torchgeo's own
samples) are neither trained on nor scored. The meaning of 2 and 3 follows torchgeo; the publisher's reader names them
the other way round.

The publisher's splits: 1,197 / 399 / 399.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849. Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from suites.copernicus_bench._olci import COUNTS, SENTINEL3
from suites.copernicus_bench._reader import DAY, FOLDER, HOST, IGNORED, PAPER, Entry, Layout, fetched, opened
from suites.reading import Samples, listed_path, read_lines

CLASSES = {
    "cloud": ("clear", "cloud ambiguous", "cloud sure", "cloud shadow", "snow or ice"),
    "cloud_binary": ("clear", "cloud"),
}
LABELS = {"cloud": "cloud_multi", "cloud_binary": "cloud_binary"}


def _entries(directory: Path, split: str, task: str) -> list[Entry]:
    listed = directory / f"{split}.csv"
    return [
        Entry(
            id=name.removesuffix(".tif"),
            # The scene is the name without row and column.
            block=name.removesuffix(".tif").rsplit("_", 2)[0],
            images=((listed_path(directory / "s3_olci", name, listed),),),
            target=listed_path(directory / LABELS[task], name, listed),
        )
        for name in read_lines(listed)
    ]


LAYOUT = Layout(
    directory="cloud_s3",
    lists="{}.csv",
    archive=("l1_cloud_s3/cloud_s3.zip", "1f82a8ccf16a0c44f0b1729e523e343a"),
    stored=SENTINEL3,
    scale=COUNTS,
    entries=_entries,
    codes={
        task: {0: IGNORED, 255: IGNORED, **{code + 1: code for code in range(len(names))}}
        for task, names in CLASSES.items()
    },
    day=DAY,
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return opened(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/copernicus_bench`` and unpack it."""
    fetched(LAYOUT, root, fetch)


SUITE = Suite(
    name="cb_cloud_s3",
    version=1,
    title="Copernicus-Bench Cloud-S3: clouds, shadows and snow, 21 OLCI bands",
    bands=SENTINEL3,
    image_size=(256, 256),
    gsd_m=300.0,
    levels=("s3:L1",),
    tasks=tuple(
        Task(name=task, kind="segmentation", classes=names, metric="miou", ignore=IGNORED)
        for task, names in CLASSES.items()
    ),
    splits={"train": 1197, "val": 399, "test": 399},
    dataset="copernicus_cloud_s3",
    licence="CC BY 4.0",
    citation=PAPER,
    url=HOST,
    folder=FOLDER,
    notes="Labels are made by an algorithm (IdePix), not by people. Counts become radiance by the publisher's factors. "
    "Sources disagree on which of codes 2 and 3 is the sure cloud; invalid pixels are ignored; intervals resample "
    "scenes.",
    open=open_split,
    download=download,
)
