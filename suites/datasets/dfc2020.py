"""DFC2020: land cover from Sentinel-1 and Sentinel-2, the labelled patches of the 2020 IEEE GRSS Data Fusion Contest.

The high-resolution part of the `2020 Data Fusion Contest <https://doi.org/10.21227/rha7-m332>`__: 986 patches of its
validation phase and 5,128 of its test phase, with land cover mapped at 10 m.

Dataset format, with ``<role>`` either ``validation`` or ``test``; both names of a folder are read:

* ``ROIs0000_<role>/{s1_0,s1_<role>}/ROIs0000_<role>_s1_0_p<n>.tif``: VV, VH backscatter in dB, float32, 256 x 256 at
  10 m
* ``ROIs0000_<role>/{s2_0,s2_<role>}/ROIs0000_<role>_s2_0_p<n>.tif``: 13 bands, top-of-atmosphere reflectance x 10000,
  uint16; 0 in every band is no data (NaN here)
* ``ROIs0000_<role>/{dfc_0,dfc_<role>}/ROIs0000_<role>_dfc_0_p<n>.tif``: uint8, simplified IGBP codes

Dataset classes: forest (1), shrubland (2), grassland (4), wetland (5), cropland (6), urban (7), barren (9), water (10).
Savanna (3), snow and ice (8) and 0 are neither trained on nor scored: the contest left the first two out.

The contest's own training data are SEN12MS with its coarse labels. Here the contest's test patches are the test split,
and its validation patches, whose labels the contest's second track trained on, are divided into train and val: patches
form runs of 64 successive numbers, and about a fifth of the 16 runs, by the hash of their name, are val. That a run
shows one place is inferred from other users' layouts; the publisher does not state it. Some papers (CROMA among them)
train on the test patches and test on the validation patches: their numbers are not comparable.

If you use this dataset, please cite https://doi.org/10.21227/rha7-m332. Licence: CC BY 4.0 (stated as "Creative Commons
Attribution").
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.reading import (
    Samples,
    check_request,
    columns_of,
    locate,
    place_of,
    read_image,
    read_mask,
    require_all,
    share_of,
)
from suites.reading.class_names import DFC2020 as CLASSES

if TYPE_CHECKING:
    import numpy as np

STORED = {
    "s1": sentinel1_bands(),
    "s2": sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b10 b11 b12"),
}
IGNORED = (0, 3, 8)
SHAPE = (256, 256)
RUN, VALIDATION = 64, 0.2
HOW = (
    "download the 2020 Data Fusion Contest from https://doi.org/10.21227/rha7-m332 (download= cannot: it needs a login)"
)


def _folder(folder: Path, role: str, kind: str) -> Path:
    """Return the folder of a kind of file, which has one of two names."""
    for name in (f"{kind}_0", f"{kind}_{role}"):
        if (folder / f"ROIs0000_{role}" / name).exists():
            return folder / f"ROIs0000_{role}" / name
    return folder / f"ROIs0000_{role}" / f"{kind}_0"


def _numbers(folder: Path, role: str) -> list[int]:
    """Return the numbers of a role's labels, in order."""
    labels = _folder(folder, role, "dfc")
    matches = (re.fullmatch(rf"ROIs0000_{role}_dfc_0_p(\d+)\.tif", path.name) for path in labels.glob("*.tif"))
    numbers = sorted(int(match[1]) for match in matches if match)
    if not numbers:
        raise MissingData(f"dfc2020 is incomplete: {labels} holds no ROIs0000_{role}_dfc_0_p<n>.tif; {HOW}")
    return numbers


def _in_val(run: str) -> bool:
    return share_of(run) < VALIDATION


def _image(path: Path, sensor: str, columns: list[int]) -> np.ndarray:
    """Return the wanted bands as float32 (1, C, H, W), NaN where there is no data."""
    import numpy as np

    values = read_image(path, (len(STORED[sensor]), *SHAPE), jointly=(0,))
    image: np.ndarray = values[columns]
    if sensor == "s2":
        image[:, (values == 0).all(axis=0)] = np.nan
    return image[None]


def _label(path: Path) -> np.ndarray:
    import numpy as np

    mask = read_mask(path, (*CLASSES, *IGNORED), (1, *SHAPE), ignore=IGNORED[0])
    classes = np.full(max(CLASSES) + 1, -1, np.int64)
    classes[list(CLASSES)] = np.arange(len(CLASSES))
    recoded: np.ndarray = classes[mask]
    return recoded


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, ("ROIs0000_validation", "ROIs0000_test"), HOW)
    role = "test" if split == "test" else "validation"
    runs = {number: f"{role}_{number // RUN}" for number in _numbers(folder, role)}
    numbers = [number for number, run in runs.items() if split == "test" or _in_val(run) == (split == "val")]
    columns = columns_of(bands, STORED)
    paths = {
        kind: [_folder(folder, role, kind) / f"ROIs0000_{role}_{kind}_0_p{number}.tif" for number in numbers]
        for kind in ("dfc", *columns)
    }
    for kind in columns:
        require_all(paths[kind], SUITE.name, f"{_folder(folder, role, 'dfc')} (each with an image)")

    def read(index: int) -> Sample:
        label = paths["dfc"][index]
        return Sample(
            images={sensor: _image(paths[sensor][index], sensor, places) for sensor, places in columns.items()},
            target=_label(label),
            where=place_of(label, *(paths[sensor][index] for sensor in columns)),
        )

    def read_targets() -> np.ndarray:
        masks = (_label(path) for path in paths["dfc"])
        present = [[(mask == code).any() for code in range(len(CLASSES))] for mask in masks]
        return np.array(present, np.int64).reshape(-1, len(CLASSES))

    return Samples(
        ids=[f"{role}_p{number}" for number in numbers],
        blocks=[runs[number] for number in numbers],
        read=read,
        read_targets=read_targets,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Tell how to get the data, for which the publisher requires a login.

    Raises:
        MissingData: always.
    """
    raise MissingData(f"dfc2020 cannot be downloaded by a program: {HOW}, and unpack it below {root / SUITE.folder}")


SUITE = Suite(
    name="dfc2020",
    version=1,
    title="DFC2020: land cover from Sentinel-1 and Sentinel-2",
    bands=(*STORED["s1"], *STORED["s2"]),
    image_size=SHAPE,
    gsd_m=10.0,
    levels=("s2:L1C", "s1:GRD"),
    tasks=(Task(name="landcover", kind="segmentation", classes=tuple(CLASSES.values()), metric="miou", ignore=-1),),
    splits={
        "train": sum(not _in_val(f"validation_{number // RUN}") for number in range(986)),
        "val": sum(_in_val(f"validation_{number // RUN}") for number in range(986)),
        "test": 5128,
    },
    dataset="dfc2020",
    licence="CC BY 4.0",
    citation="Schmitt et al., 2020 IEEE GRSS Data Fusion Contest, doi:10.21227/rha7-m332",
    url="https://ieee-dataport.org/competitions/2020-ieee-grss-data-fusion-contest",
    folder="dfc2020",
    notes="Test is the contest's test phase; train and val divide its validation phase by runs of 64 patches. Papers "
    "that train on the test phase are not comparable. Savanna, snow and 0 are ignored; intervals resample runs.",
    open=open_split,
    download=download,
)
