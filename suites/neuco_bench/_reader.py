"""NeuCo-Bench's tasks on SSL4EO-S12-downstream: labels, our split, and the reading of its data cubes."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
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
    read_table,
    read_zarr,
    require,
    require_all,
    share_of,
)

if TYPE_CHECKING:
    import numpy as np

SIDE, SEASONS, CUBES = 264, 4, 13260
SENTINEL1 = sentinel1_bands()
SENTINEL2 = {
    "s2l1c": sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b10 b11 b12"),
    "s2l2a": sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12"),
}
# The middle of March to May, June to August, September to November, December to February.
MONTHS = (4, 7, 10, 1)
TASKS = (
    ("biomass_mean", "mean above-ground biomass", "t/ha"),
    ("biomass_std", "standard deviation of above-ground biomass", "t/ha"),
    ("crops", "share of soybean and corn", "fraction"),
    ("landcover_agriculture", "share of agriculture", "fraction"),
    ("landcover_forest", "share of forest", "fraction"),
    ("clouds_reg", "cloud cover, mean of four seasons", "%"),
    ("heatisland_mean", "mean summer surface temperature", "degrees (scale not stated)"),
    ("heatisland_std", "standard deviation of summer surface temperature", "degrees (scale not stated)"),
)
# The dataset's card spells the name of this task in the second way.
SPELT = {"landcover_agriculture": ("landcover_agriculture", "landcover_aggriculture")}
SHARES = {"train": 0.8, "val": 0.9, "test": 1.0}
HOW = (
    "clone the dataset's repository, https://huggingface.co/datasets/embed2scale/SSL4EO-S12-downstream, with its large "
    "files (download= cannot: they are 40,000 files and not in an archive)"
)


def split_of(cube: str) -> str:
    """Return the split of a cube by the hash of its name, which is the same for every task."""
    share = share_of(cube)
    return next(split for split, end in SHARES.items() if share < end)


def _label_file(folder: Path, task: str) -> Path:
    """Return a task's labels, ``<task>__<kind>.csv``."""
    for stem in SPELT.get(task, (task,)):
        if files := sorted((folder / "labels").glob(f"{stem}_*.csv")):
            return files[0]
    return folder / "labels" / f"{task}__regr.csv"


def _labels(path: Path) -> dict[str, float]:
    """Return cube -> label; rows without a label are left out, as by the publisher."""
    import math

    labels: dict[str, float] = {}
    for number, row in enumerate(read_table(path, ("id", "label")), start=2):
        if not row["label"]:
            continue
        cube = row["id"].removesuffix(".zip").removesuffix(".zarr")
        if cube in labels:
            raise MissingData(f"{path}, line {number}: {cube} is listed twice; a cube has one label: replace the file")
        try:
            labels[cube] = float(row["label"])
        except ValueError as error:
            raise MissingData(f"{path}, line {number}: {row['label']!r} is not a number; replace the file") from error
        if not math.isfinite(labels[cube]):
            raise MissingData(f"{path}, line {number}: {row['label']!r} is not a finite number; replace the file")
    return labels


def _cubes(folder: Path, kind: str) -> dict[str, Path]:
    """Return name -> file of all cubes of one kind, from one listing per part."""
    paths = (folder / "data" / kind).glob("*/*.zarr.zip")
    return {path.name.removesuffix(".zarr.zip"): path for path in paths}


def _cube(path: Path, bands: int, columns: list[int]) -> np.ndarray:
    """Return the wanted bands of a cube as float32 (4, C, 264, 264), NaN where there is no data."""
    import numpy as np

    # A file holds one location: the first axis may be there or not.
    shape = (SEASONS, bands, SIDE, SIDE)
    values = read_zarr(path, "bands", (shape, (1, *shape))).reshape(shape)
    picked: np.ndarray = values[:, columns].astype(np.float32)
    if bands > len(SENTINEL1):
        picked[np.broadcast_to((values == 0).all(axis=1, keepdims=True), picked.shape)] = np.nan
    picked[~np.isfinite(picked)] = np.nan
    return picked


def _opened(suite: Suite, optical: str, root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    import numpy as np

    check_request(suite, task, split, bands)
    folder = locate(suite.name, root, suite.folder, ("labels",), HOW)
    table = require(_label_file(folder, task), suite.name, f"the labels of {task}")
    labels = _labels(table)
    ids = [cube for cube in labels if split_of(cube) == split]
    kinds = {"s1": "s1", "s2": optical}
    stored = {"s1": SENTINEL1, "s2": SENTINEL2[optical]}
    columns = columns_of(bands, stored)
    paths: dict[str, list[Path]] = {}
    for sensor in columns:
        kind = kinds[sensor]
        cubes = _cubes(folder, kind)
        paths[sensor] = [cubes.get(cube, folder / "data" / kind / "part-*" / f"{cube}.zarr.zip") for cube in ids]
        require_all(paths[sensor], suite.name, table.name)
    when = np.array([(-1, month, -1) for month in MONTHS], np.int32)

    def read(index: int) -> Sample:
        images = {
            sensor: _cube(paths[sensor][index], len(stored[sensor]), picked) for sensor, picked in columns.items()
        }
        return Sample(images=images, target=np.array([labels[ids[index]]], np.float32), when=when.copy())

    def read_targets() -> np.ndarray:
        return np.array([[labels[cube]] for cube in ids], np.float32).reshape(-1, 1)

    return Samples(ids=ids, blocks=ids, read=read, read_targets=read_targets)


def _download(root: Path, fetch: Fetch) -> None:
    raise MissingData(f"NeuCo-Bench cannot be downloaded by a program: {HOW}, into {root / 'neuco_bench'}")


def neuco(name: str, optical: str, level: str, notes: str) -> Suite:
    """Return the suite of NeuCo-Bench's tasks on Sentinel-1 and one level of Sentinel-2.

    Args:
        name: name of the suite.
        optical: folder of its Sentinel-2 cubes, ``s2l1c`` or ``s2l2a``.
        level: processing level, ``s2:L1C`` or ``s2:L2A``.
        notes: what readers of its numbers must know.
    """

    def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
        return partial(_opened, suite, optical)(root, task, split, bands)

    ends = [0.0, *SHARES.values()]
    expected = [round(CUBES * (end - start)) for start, end in pairwise(ends)]
    suite = Suite(
        name=name,
        version=1,
        title=f"NeuCo-Bench: eight values per place from four seasons, Sentinel-1 and Sentinel-2 {level[3:]}",
        bands=(*SENTINEL1, *SENTINEL2[optical]),
        default_bands=("s2.*",),
        image_size=(SIDE, SIDE),
        gsd_m=10.0,
        levels=(level, "s1:GRD"),
        dates=SEASONS,
        tasks=tuple(Task(name=t, kind="regression", quantity=q, unit=u, metric="r2") for t, q, u in TASKS),
        splits=dict(zip(SHARES, expected, strict=True)),
        dataset="ssl4eo-s12-downstream",
        licence="CC BY 4.0",
        citation="Vinge et al., NeuCo-Bench, CVPR EarthVision 2026, arXiv 2510.17914; Blumenstiel et al., SSL4EO-S12 "
        "v1.1, arXiv 2503.00168",
        url="https://huggingface.co/datasets/embed2scale/SSL4EO-S12-downstream",
        folder="neuco_bench",
        notes=notes,
        open=open_split,
        download=_download,
    )
    return suite
