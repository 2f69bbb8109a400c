"""BioMassters: above-ground biomass of Finnish forests from a year of Sentinel-1 and Sentinel-2.

The `BioMassters <https://nascetti-a.github.io/BioMasster/>`__ benchmark: 11,462 patches of 2016 to 2021, their biomass
from airborne laser scanning.

Dataset format:

* ``biomassters_features_metadata.csv`` (torchgeo's name) or ``features_metadata.csv``: filename, chip_id, satellite,
  split, month, ..., corresponding_agbm; one row per image
* ``{train,test}_features/<chip>_S1_<mm>.tif``: 4 x 256 x 256 float32 dB at 10 m: VV and VH of the ascending, VV and VH
  of the descending orbit; -9999 is no data (NaN here)
* ``{train,test}_features/<chip>_S2_<mm>.tif``: 11 x 256 x 256 uint16: B2 B3 B4 B5 B6 B7 B8 B8A B11 B12, surface
  reflectance x 10000, and a cloud probability, which is not read; 0 in all ten bands is read as no data
* ``{train,test}_agbm/<chip>_agbm.tif``: float32, tonnes per hectare, the year's peak

``<mm>`` runs from 00, September, to 11, August of the year of the laser scan, which is not stated. A month without an
image (Sentinel-2 lacks some) is NaN throughout. Sentinel-1 descending is named ``s1.vv_desc`` and ``s1.vh_desc``; the
default bands are Sentinel-2 and Sentinel-1 ascending. The images carry no coordinates.

Dataset classes: none, one value per pixel.

The publisher's split: 8,689 / 2,773 patches. The validation split is our own: the training patches whose hashed id is
below 0.2.

If you use this dataset, please cite https://doi.org/10.57967/hf/1009 (NeurIPS 2023 Datasets and Benchmarks). Licence:
CC BY 4.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.reading import (
    Samples,
    check_request,
    columns_of,
    is_there,
    listed_path,
    locate,
    read_image,
    read_table,
    reading,
    require_all,
    share_of,
)

if TYPE_CHECKING:
    import numpy as np

COLUMNS = ("filename", "chip_id", "satellite", "split", "month", "corresponding_agbm")
TABLES = ("biomassters_features_metadata.csv", "features_metadata.csv")
DESCENDING = (Band(name="s1.vv_desc", unit="db", gsd_m=10.0), Band(name="s1.vh_desc", unit="db", gsd_m=10.0))
STORED = {
    "s1": (*sentinel1_bands(), *DESCENDING),
    "s2": sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12"),
}
MONTHS, SIDE, NO_DATA, VALIDATION = 12, 256, -9999, 0.2
NAMES = (
    *("September", "October", "November", "December", "January", "February"),
    *("March", "April", "May", "June", "July", "August"),
)


@dataclass
class Patch:
    """One patch of the table: its part, its label file, and sensor -> month -> image file."""

    part: str
    label: str
    images: dict[str, dict[int, str]] = field(default_factory=lambda: {"s1": {}, "s2": {}})


def read_patches(path: Path) -> dict[str, Patch]:
    """Return patch id -> its part, label and images.

    Raises:
        MissingData: if the table is damaged, puts a patch in two splits, or states an image's month in two ways.
    """
    patches: dict[str, Patch] = {}
    for row in read_table(path, COLUMNS):
        with reading(path, "file names that end in a month, of satellite S1 or S2"):
            patch = patches.setdefault(row["chip_id"], Patch(row["split"], row["corresponding_agbm"]))
            if patch.part != row["split"]:
                raise MissingData(
                    f"{path} lists {row['chip_id']} twice: in {patch.part} and in {row['split']}; replace it"
                )
            month = int(Path(row["filename"]).stem.rpartition("_")[2])
            if not 0 <= month < MONTHS or NAMES[month] != row["month"]:
                raise MissingData(
                    f"{path}: {row['filename']} is listed for {row['month']}, but 00 is {NAMES[0]}; replace it"
                )
            patch.images[row["satellite"].lower()][month] = row["filename"]
    return patches


def _split_of(name: str, part: str) -> str:
    return part if part != "train" else "val" if share_of(name) < VALIDATION else "train"


def _series(files: dict[int, Path], sensor: str, columns: list[int]) -> np.ndarray:
    """Return a year of one sensor, float32 (12, C, 256, 256)."""
    import numpy as np

    series = np.full((MONTHS, len(columns), SIDE, SIDE), np.nan, np.float32)
    for month, path in files.items():
        bands, stored = (4, "float32") if sensor == "s1" else (11, "uint16")
        values = read_image(path, (bands, SIDE, SIDE), stored, jointly=(0,))
        series[month] = values[columns]
        if sensor == "s1":
            series[month][values[columns] == NO_DATA] = np.nan
        else:
            series[month][:, (values[: len(STORED["s2"])] == 0).all(axis=0)] = np.nan
    return series


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, TABLES, "unpack the archives there (download=true has no link)")
    table = next(folder / name for name in TABLES if is_there(folder / name))
    patches = {name: patch for name, patch in read_patches(table).items() if _split_of(name, patch.part) == split}
    ids = sorted(patches)
    columns = columns_of(bands, STORED)
    part = "test" if split == "test" else "train"
    labels = [listed_path(folder / f"{part}_agbm", patches[name].label, table) for name in ids]
    images = {
        sensor: [
            {
                month: listed_path(folder / f"{part}_features", file, table)
                for month, file in patches[name].images[sensor].items()
            }
            for name in ids
        ]
        for sensor in columns
    }
    require_all(labels, SUITE.name, table.name)
    for years in images.values():
        require_all([path for year in years for path in year.values()], SUITE.name, table.name)
    when = np.array([(-1, (month + 8) % 12 + 1, -1) for month in range(MONTHS)], np.int32)

    def read_label(path: Path) -> np.ndarray:
        values: np.ndarray = read_image(path, (1, SIDE, SIDE), "float32")[0]
        return values

    def mean(values: np.ndarray) -> float:
        return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan

    def read(index: int) -> Sample:
        series = {sensor: _series(years[index], sensor, columns[sensor]) for sensor, years in images.items()}
        return Sample(images=series, target=read_label(labels[index]), when=when)

    def read_targets() -> np.ndarray:
        return np.array([[mean(read_label(path))] for path in labels], np.float32).reshape(-1, 1)

    return Samples(ids=ids, blocks=ids, read=read, read_targets=read_targets)


def download(root: Path, fetch: Fetch) -> None:
    """Tell how to get the data: the publisher serves archives in parts, which no Python library unpacks.

    Raises:
        MissingData: always.
    """
    raise MissingData(
        f"biomassters comes as zip archives in parts (290 GB): get them from {SUITE.url}, join and unpack them with "
        f"7z or zip -s 0, and put train_features, train_agbm, test_features, test_agbm and {TABLES[1]} below "
        f"{root / SUITE.folder}"
    )


SUITE = Suite(
    name="biomassters",
    version=1,
    title="BioMassters: above-ground biomass, twelve months of Sentinel-1 and -2",
    bands=(*STORED["s2"], *STORED["s1"]),
    default_bands=("s2.*", "s1.vv", "s1.vh"),
    image_size=(SIDE, SIDE),
    gsd_m=10.0,
    levels=("s2:L2A", "s1:GRD"),
    dates=MONTHS,
    tasks=(Task(name="biomass", kind="dense_regression", quantity="above-ground biomass", unit="t/ha", metric="rmse"),),
    splits={"train": 6951, "val": 1738, "test": 2773},
    dataset="biomassters",
    licence="CC BY 4.0",
    citation="Nascetti et al., BioMassters, NeurIPS 2023 Datasets and Benchmarks, doi:10.57967/hf/1009",
    url="https://huggingface.co/datasets/nascetti-a/BioMassters",
    folder="biomassters",
    notes="Validation is a fifth of the training patches, by hash (the counts of train and val are expected ones); "
    "months without an image are NaN; places are not published: intervals resample patches, which may be neighbours.",
    open=open_split,
    download=download,
)
