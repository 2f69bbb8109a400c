"""Copernicus-Bench Biomass-S3: above-ground biomass from Sentinel-3 OLCI images, in torchgeo's layout.

OLCI images with the `ESA CCI biomass <https://catalogue.ceda.ac.uk/uuid/02e1b18071ad45a19b4d3e8adafa2817/>`__ map of
2020 as labels, new in
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__.

Dataset format, below ``copernicus_bench/biomass_s3/``:

* ``s3_olci/<place>/S3{A,B}_<start>_<end>.tif``: one to four images per place, 21 bands Oa01 to Oa21, float32 counts,
  about 96 x 96 at 300 m, NaN where there is no data
* ``biomass/<place>.tif``: above-ground biomass in t/ha, uint16, about 288 x 288 at 100 m
* ``static_fnames-{train,val,test}.csv``: place and the file of the one image that the benchmark uses, no header

Both are resized to 288 x 288: images by cubic interpolation as by the publisher, biomass by the nearest pixel (the
publisher: cubic). Counts times the publisher's factor of each band are radiance in W m-2 sr-1 um-1.

Dataset classes: none; the target is a map of values.

The publisher's splits: 3,000 / 1,000 / 1,000 places.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849 and
https://catalogue.ceda.ac.uk/uuid/02e1b18071ad45a19b4d3e8adafa2817/. Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from suites.copernicus_bench._olci import COUNTS, SENTINEL3
from suites.copernicus_bench._reader import DAY, FOLDER, HOST, PAPER, Entry, Layout, fetched, opened, static_entries
from suites.reading import Samples


def _entries(directory: Path, split: str, task: str) -> list[Entry]:
    # Places are patches of the map's ten-degree tiles: S30E140_ESACCI-BIOMASS-..._<row>_<column>.
    return static_entries(directory, split, "biomass", lambda place: place.partition("_")[0])


LAYOUT = Layout(
    directory="biomass_s3",
    lists="static_fnames-{}.csv",
    archive=("l3_biomass_s3/biomass_s3.zip", "4769ab8c2c23cd8957b99e15e071931c"),
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
    name="cb_biomass_s3",
    version=1,
    title="Copernicus-Bench Biomass-S3: above-ground biomass, 21 OLCI bands",
    bands=SENTINEL3,
    image_size=(288, 288),
    gsd_m=100.0,
    levels=("s3:L1",),
    tasks=(Task(name="biomass", kind="dense_regression", quantity="above-ground biomass", unit="t/ha", metric="rmse"),),
    splits={"train": 3000, "val": 1000, "test": 1000},
    dataset="copernicus_biomass_s3",
    licence="CC BY 4.0",
    citation=f"{PAPER}; ESA CCI biomass, https://catalogue.ceda.ac.uk/uuid/02e1b18071ad45a19b4d3e8adafa2817",
    url=HOST,
    folder=FOLDER,
    notes="Labels are a map product at 100 m. Of one to four images per place the one the benchmark uses is read, "
    "resampled to 100 m; biomass is resized by the nearest pixel, by the publisher cubically; intervals resample map "
    "tiles.",
    open=open_split,
    download=download,
)
