"""BigEarthNet v2 (reBEN): which of 19 land-cover classes a Sentinel-1 and Sentinel-2 patch holds, in torchgeo's layout.

The `BigEarthNet v2.0 <https://bigearth.net/>`__ dataset: 480,038 pairs of Sentinel-1 and Sentinel-2 patches with
sides of 1.2 km in ten European countries, June 2017 to May 2018, labelled from CORINE Land Cover 2018.

Dataset format:

* ``metadata.parquet``: patch_id, labels, split, country, s1_name, ...; one row per patch
* ``BigEarthNet-S2/<scene>/<patch_id>/<patch_id>_<band>.tif``: uint16, bottom-of-atmosphere reflectance x 10000 without
  offset, 120 x 120 pixels at 10 m, 60 x 60 at 20 m, 20 x 20 at 60 m; no B10. Coarser bands are repeated to 120 x 120
  (nearest neighbour, the ``120_nearest`` of the publisher's statistics; torchgeo interpolates bilinearly)
* ``BigEarthNet-S1/<scene>/<s1_name>/<s1_name>_{VV,VH}.tif``: float32, backscatter in dB, 120 x 120 at 10 m
* ``Reference_Maps`` (CORINE codes per pixel) is not read

Dataset classes: see `CLASSES`, in torchgeo's order; a patch has one or more.

The publisher's splits, ``train``, ``validation`` and ``test`` of ``metadata.parquet``: 237,871 / 122,342 / 119,825,
divided geographically within tiles. Patches with seasonal snow, clouds or shadow are in a separate file, left out.

If you use this dataset, please cite https://arxiv.org/abs/2407.03653. Licence: CDLA-Permissive-1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.reading import (
    Samples,
    check_request,
    listed_path,
    locate,
    place_of,
    read_image,
    read_parquet,
    require_distinct,
    unpack_tar,
)
from suites.reading.class_names import BIGEARTHNET as CLASSES

if TYPE_CHECKING:
    import numpy as np

SENTINEL1, SENTINEL2 = sentinel1_bands(), sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12")
TABLE = "metadata.parquet"
STORED = {"train": "train", "val": "validation", "test": "test"}
FOLDERS = {"s1": "BigEarthNet-S1", "s2": "BigEarthNet-S2"}
COLUMNS = {"s1": "s1_name", "s2": "patch_id"}
SIDE = 120
TABLE_MD5 = "55687065e77b6d0b0f1ff604a6e7b49c"
PARTS = {
    "BigEarthNet-S1": ("039b9ce305fc6582b2c3d60d1573f5b7", "e94f0ea165d04992ca91d8e58e82ec6d"),
    "BigEarthNet-S2": ("94e8ed32065234d3ab46353d814778d1", "24c223d9e36166136c13b24a27debe34"),
}


def _table(path: Path) -> dict[str, list[Any]]:
    """Return the columns that are needed of the publisher's table."""
    columns = ["patch_id", "labels", "split", "s1_name"]
    table = read_parquet(path, columns)
    if strange := sorted({str(value) for value in table["split"]} - set(STORED.values())):
        raise MissingData(f"{path} has the split {strange[0]!r}, known are {', '.join(STORED.values())}: replace it")
    return {name: table[name].tolist() for name in columns}


def _multi_hot(path: Path, labels: Sequence[Sequence[str]]) -> np.ndarray:
    """Return labels as int64 (n, 19)."""
    import numpy as np

    codes = {name: code for code, name in enumerate(CLASSES)}
    hot = np.zeros((len(labels), len(CLASSES)), np.int64)
    for row, names in enumerate(labels):
        for name in names if isinstance(names, list | np.ndarray) else [names]:
            if not isinstance(name, str) or name not in codes:
                raise MissingData(f"{path}, row {row}: {name!r} is no class of BigEarthNet ({', '.join(CLASSES)})")
            hot[row, codes[name]] = 1
    return hot


def _patches(folder: Path, sensor: str, names: Sequence[str]) -> list[Path]:
    """Return the folder of each patch, after checking that all are there (by one listing per scene)."""
    # S2 names end in _<column>_<row>, S1 names in _<tile>_<column>_<row>; a scene's folder is named without that.
    parts = 2 if sensor == "s2" else 3
    below = folder / FOLDERS[sensor]
    paths = [listed_path(below, f"{name.rsplit('_', parts)[0]}/{name}", folder / TABLE) for name in names]
    present: dict[Path, set[str]] = {}
    for path in paths:
        if path.parent not in present:
            there = path.parent.is_dir()
            present[path.parent] = {entry.name for entry in path.parent.iterdir()} if there else set()
    absent = [path for path in paths if path.name not in present[path.parent]]
    if absent:
        raise MissingData(
            f"{SUITE.name} is incomplete: {len(absent)} of {len(paths)} patches listed in {TABLE} are absent, "
            f"the first is {absent[0]}; download them again"
        )
    return paths


def _date(name: str) -> tuple[int, int, int]:
    """Return year, month, day of a patch, from the first time in its name (``..._20170613T101031_...``)."""
    for word in name.split("_"):
        if len(word) == 15 and word[8] == "T" and word[:8].isdigit():
            return int(word[:4]), int(word[4:6]), int(word[6:8])
    return -1, -1, -1


def _image(patch: Path, bands: Sequence[Band]) -> np.ndarray:
    """Return the wanted bands of a patch as float32 (1, C, 120, 120)."""
    import numpy as np

    image = np.empty((1, len(bands), SIDE, SIDE), np.float32)
    for channel, band in enumerate(bands):
        side = round(SIDE * 10 / (band.gsd_m or 10))
        stored = "uint16" if band.sensor == "s2" else "float32"
        values = read_image(_file(patch, band), (1, side, side), stored)[0]
        image[0, channel] = values.repeat(SIDE // side, axis=0).repeat(SIDE // side, axis=1)
    return image


def _file(patch: Path, band: Band) -> Path:
    return patch / f"{patch.name}_{band.name.partition('.')[2].upper()}.tif"


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, [TABLE], "get it with download=true")
    table = _table(folder / TABLE)
    rows = {name: [i for i, value in enumerate(table["split"]) if value == word] for name, word in STORED.items()}
    require_distinct(SUITE.name, {name: [table["patch_id"][i] for i in places] for name, places in rows.items()}, TABLE)
    names = {sensor: [str(table[column][i]) for i in rows[split]] for sensor, column in COLUMNS.items()}
    ids = names["s2"]
    # Bands are looked up in the suite: a caller's bands may have another ground size.
    own = {band.name: band for band in SUITE.bands}
    wanted: dict[str, list[Band]] = {}
    for band in bands:
        wanted.setdefault(band.sensor, []).append(own[band.name])
    patches = {sensor: _patches(folder, sensor, names[sensor]) for sensor in wanted}
    targets = _multi_hot(folder / TABLE, [table["labels"][i] for i in rows[split]])
    first = next(iter(wanted))

    def read(index: int) -> Sample:
        return Sample(
            images={sensor: _image(patches[sensor][index], picked) for sensor, picked in wanted.items()},
            target=targets[index],
            when=np.array([_date(names[first][index])], np.int32),
            where=place_of(_file(patches[first][index], wanted[first][0])),
        )

    blocks = [name.split("_")[-3] if name.count("_") > 1 else name for name in ids]
    return Samples(ids=ids, blocks=blocks, read=read, read_targets=lambda: targets)


def download(root: Path, fetch: Fetch) -> None:
    """Put torchgeo's copy of the table and both archives (some 110 GB packed) below ``root/bigearthnet_v2``."""
    folder = root / SUITE.folder
    fetch(f"{SUITE.url}{TABLE}", folder / TABLE, md5=TABLE_MD5)
    for name, md5s in PARTS.items():
        if (folder / name).exists():
            continue
        files = [f"{name}.tar.gz{ending}" for ending in ("aa", "ab")]
        parts = [fetch(SUITE.url + file, folder / file, md5=md5) for file, md5 in zip(files, md5s, strict=True)]
        unpack_tar(parts, folder, folder=name)


SUITE = Suite(
    name="bigearthnet_v2",
    version=1,
    title="BigEarthNet v2 (reBEN): 19 land-cover classes, multi-label, S1 and S2",
    bands=(*SENTINEL1, *SENTINEL2),
    default_bands=("s2.*",),
    image_size=(SIDE, SIDE),
    gsd_m=10.0,
    levels=("s2:L2A", "s1:GRD"),
    tasks=(Task(name="landcover", kind="multilabel", classes=CLASSES, metric="macro_map"),),
    splits={"train": 237871, "val": 122342, "test": 119825},
    dataset="bigearthnet",
    licence="CDLA-Permissive-1.0",
    citation="Clasen et al., reBEN: Refined BigEarthNet Dataset for Remote Sensing Image Analysis, arXiv:2407.03653",
    url="https://hf.co/datasets/torchgeo/bigearthnet/resolve/3cf3a5910a5302d449fdb8e570e5b78de24fe07f/V2/",
    folder="bigearthnet_v2",
    notes="S2 unless bands= selects otherwise. Bands of 20 m and 60 m are repeated to 10 m (nearest). Labels, splits "
    "and patches differ from BigEarthNet v1: numbers are not comparable. Intervals resample Sentinel-2 tiles.",
    open=open_split,
    download=download,
)
