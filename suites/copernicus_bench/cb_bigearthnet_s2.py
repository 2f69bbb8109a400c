"""Copernicus-Bench BigEarthNet-S2: which of 19 land-cover classes a Sentinel-2 patch holds, in torchgeo's layout.

A twentieth of `BigEarthNet v2.0 <https://bigearth.net/>`__, as
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__ publishes it.

Dataset format, below ``copernicus_bench/bigearthnet_s1s2/``:

* ``BigEarthNet-S2-5%/<scene>/<patch>/<patch>_allbands.tif``: 12 bands B01 ... B08, B8A, B09, B11, B12, uint16,
  bottom-of-atmosphere reflectance x 10000, all at 120 x 120 and 10 m; 0 in every band is no data (NaN here)
* ``multilabel-{train,val,test}.csv``: a header; per row the path of the Sentinel-1 file, that of the Sentinel-2 file,
  and 19 flags

Dataset classes: see `CLASSES`, in torchgeo's order; a patch has one or more.

The publisher's splits: 11,894 / 6,117 / 5,991.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849 and https://arxiv.org/abs/2407.03653. Licence:
CDLA-Permissive-1.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.copernicus_bench._pairs import bigearthnet
from suites.copernicus_bench._reader import FOLDER, HOST, PAPER, fetched, opened
from suites.reading import Samples
from suites.reading.class_names import BIGEARTHNET as CLASSES

BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12")
LAYOUT = bigearthnet("s2", BANDS)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return opened(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/copernicus_bench`` and unpack it."""
    fetched(LAYOUT, root, fetch)


SUITE = Suite(
    name="cb_bigearthnet_s2",
    version=1,
    title="Copernicus-Bench BigEarthNet-S2: 19 land-cover labels, 5 % of v2",
    bands=BANDS,
    image_size=(120, 120),
    gsd_m=10.0,
    levels=("s2:L2A",),
    tasks=(Task(name="landcover", kind="multilabel", classes=CLASSES, metric="map"),),
    splits={"train": 11894, "val": 6117, "test": 5991},
    dataset="bigearthnet",
    licence="CDLA-Permissive-1.0",
    citation=f"{PAPER}; Clasen et al., reBEN: Refined BigEarthNet, arXiv 2407.03653",
    url=HOST,
    folder=FOLDER,
    notes="A twentieth of BigEarthNet v2 (suite bigearthnet_v2 has all of it); intervals resample Sentinel-2 tiles.",
    open=open_split,
    download=download,
)
