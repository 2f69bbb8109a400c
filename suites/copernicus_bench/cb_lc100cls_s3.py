"""Copernicus-Bench LC100Cls-S3: which of 23 land-cover classes a Sentinel-3 OLCI image holds, in torchgeo's layout.

OLCI images with the classes of the `CGLS-LC100 <https://doi.org/10.5281/zenodo.3939049>`__ map as labels, new in
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__.

Dataset format, below ``copernicus_bench/lc100_s3/``:

* ``s3_olci/<place>/S3{A,B}_<start>_<end>.tif``: one to four images per place, 21 bands Oa01 to Oa21, float32 counts,
  about 96 x 96 at 300 m, NaN where there is no data; resized to 96 x 96 (cubic), and multiplied by the publisher's
  factor of each band, which gives radiance in W m-2 sr-1 um-1
* ``multilabel-{train,val,test}.csv``: a header; per row the place and 23 flags
* ``static_fnames-{train,val,test}.csv``: place and the file of the one image that the benchmark uses, no header

Dataset classes: see `suites.copernicus_bench._olci.LC100`, in this order; "unknown" is one of them, as in the
benchmark.

The publisher's splits: 5,181 / 1,727 / 1,727 places.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849 and https://doi.org/10.5281/zenodo.3939049.
Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.errors import MissingData
from suites.copernicus_bench._olci import COUNTS, LC100, SENTINEL3
from suites.copernicus_bench._reader import (
    DAY,
    FOLDER,
    HOST,
    PAPER,
    Entry,
    Layout,
    fetched,
    opened,
    read_flags,
    static_entries,
)
from suites.reading import Samples


def _entries(directory: Path, split: str, task: str) -> list[Entry]:
    table = directory / f"multilabel-{split}.csv"
    images = {entry.id: entry.images for entry in static_entries(directory, split, "lc100", str)}
    entries = []
    for (place,), flags in read_flags(table, 1, len(LC100)).items():
        if place not in images:
            raise MissingData(f"{table} lists {place}, static_fnames-{split}.csv does not; replace them")
        entries.append(Entry(id=place, block=place, images=images[place], target=flags))
    return entries


LAYOUT = Layout(
    directory="lc100_s3",
    lists="multilabel-{}.csv",
    images_in="static_fnames-{}.csv",
    archive=("l2_lc100_s3/lc100_s3.zip", "967d1da6286e0d0e346e425a8f3800e9"),
    stored=SENTINEL3,
    scale=COUNTS,
    entries=_entries,
    varies=True,
    day=DAY,
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return opened(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/copernicus_bench`` and unpack it."""
    fetched(LAYOUT, root, fetch)


SUITE = Suite(
    name="cb_lc100cls_s3",
    version=1,
    title="Copernicus-Bench LC100Cls-S3: 23 land-cover labels, 21 OLCI bands",
    bands=SENTINEL3,
    image_size=(96, 96),
    gsd_m=300.0,
    levels=("s3:L1",),
    tasks=(Task(name="landcover", kind="multilabel", classes=tuple(LC100.values()), metric="map"),),
    splits={"train": 5181, "val": 1727, "test": 1727},
    dataset="copernicus_lc100",
    licence="CC BY 4.0",
    citation=f"{PAPER}; Buchhorn et al., CGLS-LC100, doi:10.5281/zenodo.3939049",
    url=HOST,
    folder=FOLDER,
    notes="Labels are a map product at 100 m. Of one to four images per place the one the benchmark uses is read. "
    "Images vary a little in size and are resized to 96 x 96, as the publisher does; counts become radiance by its "
    "factors.",
    open=open_split,
    download=download,
)
