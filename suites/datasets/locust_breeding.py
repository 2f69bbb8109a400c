"""Desert locust breeding grounds: point observations in three dates of harmonised Landsat and Sentinel-2 images.

Observations of the FAO's Locust Hub and absences, some of which a program drew (Yusuf et al. 2024), with the chips that
`InstaGeo <https://github.com/instadeepai/InstaGeo-E2E-Geospatial-ML>`__ made from them.

Dataset format, below ``locust_breeding/``, according to InstaGeo's documentation and programs:

* ``{train,val,test}.csv``: columns ``Input`` and ``Label``, paths below this folder (a leading ``data/`` is dropped)
* ``<split>/chips/chip_<yyyymmdd>_<product>_<tile>_<time>_<x>_<y>.tif``: 18 bands, three dates of blue, green, red,
  narrow near infrared, two shortwave infrared; surface reflectance x 10000, 224 x 224 at 30 m. A date has no
  data (NaN here) where all six bands are 0, -1 or -9999, the marks of InstaGeo's versions
* ``<split>/seg_maps/seg_map_<same>.tif``: int16; 1 breeding ground, 0 not, -1 (or -9999) no observation

Dataset classes: non-breeding, breeding. Few pixels of a chip are observed; all others are neither trained on nor
scored.

The publisher's splits; no publication of their sizes was found, so they are stated as 0. The published files were not
available: this description follows InstaGeo's documentation and programs. The files state neither the order of the
three dates, which are about 30 days apart and end near the observation, nor their days: no date is given.

If you use this dataset, please cite https://arxiv.org/abs/2403.06860 and https://arxiv.org/abs/2510.05617. Licence: not
stated for the data (InstaGeo itself: CC BY-NC-SA 4.0).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import hls_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    is_there,
    listed_path,
    locate,
    place_of,
    read_image,
    read_mask,
    read_table,
    require_all,
    require_distinct,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = hls_bands()
CLASSES = ("non-breeding", "breeding")
SIDE, DATES, IGNORED = 224, 3, -1
EMPTY = (0, -1, -9999)
LISTS = {name: f"{name}.csv" for name in ("train", "val", "test")}
BUCKET = "gs://instageo/data/locust_breeding"
HOW = f"copy {BUCKET} there with Google Cloud's own program (download= cannot: its 15 GB are not in an archive)"


def _listed(folder: Path, split: str) -> dict[str, tuple[Path, Path]]:
    """Return id -> chip and mask of a split."""
    path = folder / LISTS[split]
    pairs: dict[str, tuple[Path, Path]] = {}
    # Lists of observations (records/) have other columns: they are not lists of chips.
    for number, row in enumerate(read_table(path, ("Input", "Label")), start=2):
        if not row["Input"] or not row["Label"]:
            raise MissingData(f"{path}, line {number}: a chip or its label is not named; replace the file")
        chip, mask = (
            listed_path(folder, row[column].strip().removeprefix("data/"), path) for column in ("Input", "Label")
        )
        name = chip.stem.removeprefix("chip_")
        if name in pairs:
            raise MissingData(f"{path} lists {name} twice; replace it by the published file")
        pairs[name] = chip, mask
    return pairs


def _block(name: str) -> str:
    """Return the tile of the military grid that a chip was cut from, or its name if that states none."""
    match = re.search(r"T(\d{2}[A-Z]{3})", name)
    return match[1] if match else name


def _label(path: Path) -> np.ndarray:
    import numpy as np

    mask = read_mask(path, (-9999, -1, 0, 1), (1, SIDE, SIDE), ignore=IGNORED)
    target: np.ndarray = np.where(mask == -9999, IGNORED, mask)
    return target


def _series(path: Path, columns: list[int]) -> np.ndarray:
    """Return the wanted bands as float32 (3, C, 224, 224), NaN where a date has no data."""
    import numpy as np

    shape = (DATES, len(BANDS), SIDE, SIDE)
    stored = read_image(path, (DATES * len(BANDS), SIDE, SIDE), jointly=(0, -1)).reshape(shape)
    series: np.ndarray = stored[:, columns]
    same = (stored == stored[:, :1]).all(axis=1, keepdims=True)
    series[np.broadcast_to(same & np.isin(stored[:, :1], EMPTY), series.shape)] = np.nan
    return series


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, list(LISTS.values()), HOW)
    present = [name for name in LISTS if name == split or is_there(folder / LISTS[name])]
    lists = {name: _listed(folder, name) for name in present}
    require_distinct(SUITE.name, {name: list(listed) for name, listed in lists.items()}, LISTS)
    pairs = list(lists[split].values())
    for paths in zip(*pairs, strict=True):
        require_all(paths, SUITE.name, LISTS[split])
    columns = by_sensor(bands, [band.name for band in BANDS])["hls"]

    def read(index: int) -> Sample:
        image, mask = pairs[index]
        series, target = _series(image, columns), _label(mask)
        return Sample(images={"hls": series}, target=target, where=place_of(image, mask, grid=True))

    def read_targets() -> np.ndarray:
        masks = (_label(mask) for _, mask in pairs)
        return np.array([[(mask == code).any() for code in (0, 1)] for mask in masks], np.int64).reshape(-1, 2)

    ids = list(lists[split])
    return Samples(ids=ids, blocks=[_block(name) for name in ids], read=read, read_targets=read_targets)


def download(root: Path, fetch: Fetch) -> None:
    """Tell how to get the data, which are files of a bucket and not in an archive.

    Raises:
        MissingData: always.
    """
    raise MissingData(f"locust_breeding cannot be downloaded by a program: to get {root / SUITE.folder}, {HOW}")


SUITE = Suite(
    name="locust_breeding",
    version=1,
    title="Desert locust breeding grounds: point observations, three HLS dates",
    bands=BANDS,
    image_size=(SIDE, SIDE),
    gsd_m=30.0,
    levels=("hls:SR",),
    dates=DATES,
    tasks=(Task(name="breeding", kind="segmentation", classes=CLASSES, metric="miou", ignore=IGNORED),),
    splits=dict.fromkeys(LISTS, 0),
    dataset="locust_breeding",
    licence="not stated for the data (InstaGeo: CC BY-NC-SA 4.0)",
    citation="Yusuf et al., A Geospatial Approach to Predicting Desert Locust Breeding Grounds in Africa, arXiv "
    "2403.06860; Yusuf et al., InstaGeo, arXiv 2510.05617",
    url="https://console.cloud.google.com/storage/browser/instageo/data/locust_breeding",
    folder="locust_breeding",
    notes="Few pixels of a chip are observed, all others are ignored; some absences are drawn by a program, not "
    "observed. Layout, no-data marks and codes follow InstaGeo's documentation and programs, since the files were not "
    "available; split sizes are not published (0 stands for unknown). The order and days of the three dates are not "
    "stated. Intervals resample grid tiles.",
    open=open_split,
    download=download,
)
