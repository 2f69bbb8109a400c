"""So2Sat LCZ42: 17 local climate zones from Sentinel-1 and Sentinel-2 patches, version 2 in torchgeo's layout.

The `So2Sat LCZ42 <https://github.com/zhu-xlab/So2Sat-LCZ42>`__ dataset: 400,673 pairs of patches with sides of 320 m,
in 42 cities and ten smaller areas, labelled by experts.

Dataset format:

* ``training.h5``, ``validation.h5``, ``testing.h5``, each with

  * ``sen1`` (N, 32, 32, 8), float64: real and imaginary part of VH and of VV, unfiltered; then refined-Lee filtered the
    intensity of VH, the intensity of VV, and the real and imaginary part of the off-diagonal of the covariance. Of
    these the filtered intensities are read, as ``s1.vh`` and ``s1.vv`` in linear power
  * ``sen2`` (N, 32, 32, 10), float64: top-of-atmosphere reflectance, B02 B03 B04 B05 B06 B07 B08 B8A B11 B12, at 10 m
  * ``label`` (N, 17), one-hot

Dataset classes: see `CLASSES`, in the order of the one-hot code (LCZ 1 to 10, A to G).

The publisher's splits of version 2: 352,366 / 24,119 / 24,188. Training patches are from 42 cities, validation and test
patches from the western and eastern half of ten others.

If you use this dataset, please cite https://doi.org/10.1109/MGRS.2020.2964708. Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.reading import Samples, check_request, locate, one_hot_codes, open_hdf5, require
from suites.reading.class_names import CLIMATE_ZONES as CLASSES

SENTINEL1 = sentinel1_bands("power")
SENTINEL2 = sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12", unit="reflectance")
# Names of the channels on the last axis of each sensor's array.
STORED = {
    "s1": [
        "vh.real",
        "vh.imaginary",
        "vv.real",
        "vv.imaginary",
        "s1.vh",
        "s1.vv",
        "covariance.real",
        "covariance.imag",
    ],
    "s2": [band.name for band in SENTINEL2],
}
ARRAYS = {"s1": "sen1", "s2": "sen2"}
FILES = {
    "train": ("training.h5", "702bc6a9368ebff4542d791e53469244"),
    "val": ("validation.h5", "71cfa6795de3e22207229d06d6f8775d"),
    "test": ("testing.h5", "e81426102b488623a723beab52b31a8a"),
}
SIDE = 32


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, [file for file, _ in FILES.values()], "get it with download=true")
    path = require(folder / FILES[split][0], SUITE.name, f"the {split} split")
    sensors = tuple(dict.fromkeys(band.sensor for band in bands))
    columns = {
        sensor: [STORED[sensor].index(band.name) for band in bands if band.sensor == sensor] for sensor in sensors
    }
    shapes = {ARRAYS[sensor]: (SIDE, SIDE, len(STORED[sensor])) for sensor in sensors}
    labels = one_hot_codes(path, len(CLASSES), shapes)

    def read(index: int) -> Sample:
        # Opened for each sample: an open file cannot be handed to another process.
        with open_hdf5(path) as file:
            patches = {sensor: np.asarray(file[ARRAYS[sensor]][index]) for sensor in sensors}
        images = {
            sensor: np.ascontiguousarray(patch[..., columns[sensor]].transpose(2, 0, 1)[None], dtype=np.float32)
            for sensor, patch in patches.items()
        }
        return Sample(images=images, target=int(labels[index]))

    ids = [f"{path.stem}_{index:06}" for index in range(len(labels))]
    return Samples(ids=ids, blocks=ids, read=read, read_targets=lambda: labels)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's three files (some 56 GB) below ``root/so2sat``."""
    for file, md5 in FILES.values():
        fetch(f"{SUITE.url}{file}", root / SUITE.folder / file, md5=md5)


SUITE = Suite(
    name="so2sat",
    version=1,
    title="So2Sat LCZ42: 17 local climate zones, S1 and S2",
    bands=(*SENTINEL1, *SENTINEL2),
    default_bands=("s2.*",),
    image_size=(SIDE, SIDE),
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="climatezone", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 352366, "val": 24119, "test": 24188},
    dataset="so2sat",
    licence="CC BY 4.0",
    citation="Zhu et al., So2Sat LCZ42, IEEE Geoscience and Remote Sensing Magazine 2020, "
    "doi:10.1109/MGRS.2020.2964708",
    url="https://dataserv.ub.tum.de/s/m1483140/download?path=%2F&files=",
    folder="so2sat",
    notes="Version 2; S2 unless bands= selects otherwise. Of the eight S1 channels only the refined-Lee filtered VV "
    "and VH intensities are read, in linear power: they are smoother than ground-range detected backscatter. The files "
    "name no city: intervals resample patches and are too narrow. GEO-Bench's m-so2sat is a different, smaller sample.",
    open=open_split,
    download=download,
)
