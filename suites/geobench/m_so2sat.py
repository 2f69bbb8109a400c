"""m-so2sat of GEO-Bench: 17 local climate zones from Sentinel-1 and Sentinel-2, 19,992 patches for training.

A sample of `So2Sat LCZ42 <https://github.com/zhu-xlab/So2Sat-LCZ42>`__ in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0, with balanced classes.

Dataset format, below ``classification_v1.0/m-so2sat/`` (see `suites.geobench._reader`):

* ``id_<n>.hdf5``: 18 arrays of 32 x 32 float32, at 10 m

  * ten of Sentinel-2, top-of-atmosphere reflectance
  * eight of Sentinel-1: real and imaginary part of VH and of VV, unfiltered; then refined-Lee filtered the intensity of
    VH and of VV; then the real and imaginary part of the off-diagonal of the covariance (the files call those "07 -
    VH.LEE Filtered.Real" and "08 - VV.LEE Filtered.Imaginary"). Of these the filtered intensities are read, in linear
    power

Dataset classes: see `CLASSES`, LCZ 1 to 10, then A to G.

The publisher's splits (``default_partition.json``): 19,992 / 986 / 986, drawn from those of So2Sat.

If you use this dataset, please cite https://doi.org/10.1109/MGRS.2020.2964708 and
https://doi.org/10.48550/arXiv.2306.03831. Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.geobench._reader import CITATION, FOLDER, URL, Layout, download_files, open_files, sentinel2_names
from suites.reading import Samples
from suites.reading.class_names import CLIMATE_ZONES as CLASSES

NAMES = "b02 b03 b04 b05 b06 b07 b08 b8a b11 b12"
SENTINEL1 = sentinel1_bands("power")
RADAR = {"s1.vv": "06 - VV.LEE Filtered", "s1.vh": "05 - VH.LEE Filtered"}
LAYOUT = Layout(part="classification", dataset="m-so2sat", stored=sentinel2_names(NAMES) | RADAR)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_so2sat",
    version=1,
    title="GEO-Bench m-so2sat: 17 local climate zones, S1 and S2",
    bands=(*SENTINEL1, *sentinel2_bands(NAMES, unit="reflectance")),
    default_bands=("s2.*",),
    image_size=(32, 32),
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="climatezone", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 19992, "val": 986, "test": 986},
    dataset="so2sat",
    licence="CC BY 4.0",
    citation="Zhu et al., So2Sat LCZ42, IEEE Geoscience and Remote Sensing Magazine 2020, "
    f"doi:10.1109/MGRS.2020.2964708{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="S2 unless bands= selects otherwise. Of the eight S1 arrays only the refined-Lee filtered VV and VH "
    "intensities are read, in linear power; complex parts have no unit here. The files name no city: intervals "
    "resample patches and are too narrow. The smaller partitions of GEO-Bench are not read.",
    open=open_split,
    download=download,
)
