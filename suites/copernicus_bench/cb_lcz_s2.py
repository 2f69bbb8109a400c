"""Copernicus-Bench LCZ-S2: 17 local climate zones from Sentinel-2 patches, in torchgeo's layout.

Patches of `So2Sat LCZ42 <https://github.com/zhu-xlab/So2Sat-LCZ42>`__, as
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__ publishes them.

Dataset format, below ``copernicus_bench/``:

* ``lcz_{train,val,test}.h5``, each with

  * ``sen2`` (N, 32, 32, 10): top-of-atmosphere reflectance, B02 B03 B04 B05 B06 B07 B08 B8A B11 B12, at 10 m
  * ``label`` (N, 17), one-hot
  * ``sen1``, which the benchmark does not use, is not read

Dataset classes: see `CLASSES`, in the order of the one-hot code (LCZ 1 to 10, A to G).

The publisher's splits: 15,000 / 5,000 / 5,000.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849 and https://doi.org/10.1109/MGRS.2020.2964708.
Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.copernicus_bench._reader import FOLDER, HOST, PAPER
from suites.reading import Samples, by_sensor, check_request, locate, one_hot_codes, open_hdf5, require
from suites.reading.class_names import CLIMATE_ZONES as CLASSES

BANDS = sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12", unit="reflectance")
FILES = {
    "train": ("lcz_train.h5", "e0b10cdb7f12e053cda8dd3ff12dbd9e"),
    "val": ("lcz_val.h5", "be3b503dba5a1405ec6d5a770c2bee33"),
    "test": ("lcz_test.h5", "4e95788c72a421d636f6f8dc7623d116"),
}
SIDE = 32


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, [file for file, _ in FILES.values()], "get it with download=true")
    path = require(folder / FILES[split][0], SUITE.name, f"the {split} split")
    columns = by_sensor(bands, [band.name for band in BANDS])["s2"]
    labels = one_hot_codes(path, len(CLASSES), {"sen2": (SIDE, SIDE, len(BANDS))})

    def read(index: int) -> Sample:
        # Opened for each sample: an open file cannot be handed to another process.
        with open_hdf5(path) as file:
            patch = np.asarray(file["sen2"][index])
        image = np.ascontiguousarray(patch[..., columns].transpose(2, 0, 1)[None], dtype=np.float32)
        return Sample(images={"s2": image}, target=int(labels[index]))

    ids = [f"{path.stem}_{index:05}" for index in range(len(labels))]
    return Samples(ids=ids, blocks=ids, read=read, read_targets=lambda: labels)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's three files below ``root/copernicus_bench``."""
    for file, md5 in FILES.values():
        fetch(f"{SUITE.url}l3_lcz_s2/{file}", root / SUITE.folder / file, md5=md5)


SUITE = Suite(
    name="cb_lcz_s2",
    version=1,
    title="Copernicus-Bench LCZ-S2: 17 local climate zones",
    bands=BANDS,
    image_size=(SIDE, SIDE),
    gsd_m=10.0,
    levels=("s2:L1C",),
    tasks=(Task(name="climatezone", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 15000, "val": 5000, "test": 5000},
    dataset="so2sat",
    licence="CC BY 4.0",
    citation=f"{PAPER}; Zhu et al., So2Sat LCZ42, IEEE Geoscience and Remote Sensing Magazine 2020, "
    "doi:10.1109/MGRS.2020.2964708",
    url=HOST,
    folder=FOLDER,
    notes="A part of So2Sat LCZ42 (suite so2sat has all of it). The files name no city: intervals resample patches and "
    "are too narrow.",
    open=open_split,
    download=download,
)
