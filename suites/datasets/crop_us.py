"""Multi-temporal crop classification (US): crops and land cover in three Harmonized Landsat-Sentinel images of 2022.

3,854 chips over the contiguous United States, labelled from the USDA Cropland Data Layer (CDL), as published by
`IBM and NASA <https://huggingface.co/datasets/ibm-nasa-geospatial/multi-temporal-crop-classification>`__ with Prithvi.

Dataset format:

* ``training_chips/`` and ``validation_chips/``: ``chip_<row>_<column>_merged.tif``, 18 x 224 x 224 int16 at 30 m: blue,
  green, red, narrow near infrared, two shortwave infrared of HLS S30 (B02 B03 B04 B8A B11 B12), surface reflectance x
  10000, for each of three dates; -9999 is no data
* ``chip_<row>_<column>.mask.tif`` in the same folder: codes 0..13
* ``training_data.txt``, ``validation_data.txt``: one chip per line
* ``chips_df.csv``: chip_id, first_img_date, middle_img_date, last_img_date; without it the dates are unknown

Dataset classes: natural vegetation, forest, corn, soybeans, wetlands, developed or barren, open water, winter wheat,
alfalfa, fallow or idle cropland, cotton, sorghum, other: codes 1..13 on disk, 0..12 here. Code 0, no data, is -1 here.

The publisher's split is random: 3,083 / 771. The literature reports on its validation chips, which are the test split
here; the validation split is our own, the training chips whose hashed name is below 0.1.

If you use this dataset, please cite https://doi.org/10.57967/hf/0955. Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
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
    read_lines,
    read_mask,
    read_table,
    reading,
    require,
    require_all,
    require_distinct,
    share_of,
    unpack_tar,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = hls_bands()
CLASSES = (
    *("natural vegetation", "forest", "corn", "soybeans", "wetlands", "developed or barren", "open water"),
    *("winter wheat", "alfalfa", "fallow or idle cropland", "cotton", "sorghum", "other"),
)
SIDE, DATES, NO_DATA, IGNORED = 224, 3, -9999, -1
LISTS = {"training": "training_data.txt", "validation": "validation_data.txt"}
DATE_TABLE = "chips_df.csv"
COLUMNS = ("first_img_date", "middle_img_date", "last_img_date")
VALIDATION = 0.1


def _listed(folder: Path, part: str) -> list[str]:
    """Return the chips of one of the publisher's lists."""
    listed = require(folder / LISTS[part], SUITE.name, f"the list of {part} chips")
    names = [listed_path(Path(), line.split(",")[0], listed).name for line in read_lines(listed)]
    return [name.removesuffix(".tif").removesuffix("_merged") for name in names]


def _dates(folder: Path) -> dict[str, list[tuple[int, int, int]]]:
    """Return chip -> its three dates; empty where the publisher's table is absent."""
    import pandas

    path = folder / DATE_TABLE
    if not is_there(path):
        return {}
    dates = {}
    for row in read_table(path, ("chip_id", *COLUMNS)):
        with reading(path, "three dates per chip"):
            days = [pandas.to_datetime(row[column]) for column in COLUMNS]
            dates[row["chip_id"]] = [(int(day.year), int(day.month), int(day.day)) for day in days]
    return dates


def _label(path: Path) -> np.ndarray:
    # On disk 0 is no data and classes start at 1.
    return read_mask(path, range(len(CLASSES) + 1), (1, SIDE, SIDE), ignore=0) - 1


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, list(LISTS.values()), "get it with download=true")
    lists = {part: _listed(folder, part) for part in LISTS}
    require_distinct(SUITE.name, lists, LISTS)
    part = "validation" if split == "test" else "training"
    ids = [name for name in lists[part] if split == "test" or (share_of(name) < VALIDATION) == (split == "val")]
    images = [folder / f"{part}_chips" / f"{name}_merged.tif" for name in ids]
    masks = [folder / f"{part}_chips" / f"{name}.mask.tif" for name in ids]
    for paths in (images, masks):
        require_all(paths, SUITE.name, LISTS[part])
    columns = by_sensor(bands, [band.name for band in BANDS])["hls"]
    dates = _dates(folder)

    def read(index: int) -> Sample:
        values = read_image(images[index], (DATES * len(BANDS), SIDE, SIDE), "int16")
        series = values.reshape(DATES, len(BANDS), SIDE, SIDE)[:, columns]
        series[series == NO_DATA] = np.nan
        target = _label(masks[index])
        return Sample(
            images={"hls": series},
            target=target,
            when=np.array(dates.get(ids[index], [(-1, -1, -1)] * DATES), np.int32),
            where=place_of(images[index], masks[index], grid=True),
        )

    def read_targets() -> np.ndarray:
        present = [[(mask == code).any() for code in range(len(CLASSES))] for mask in map(_label, masks)]
        return np.array(present, np.int64).reshape(-1, len(CLASSES))

    return Samples(ids=ids, blocks=ids, read=read, read_targets=read_targets)


def download(root: Path, fetch: Fetch) -> None:
    """Put lists, dates and chips below ``root/crop_us``: about 14 GB."""
    folder = root / SUITE.folder
    for name in (*LISTS.values(), DATE_TABLE):
        fetch(f"{SUITE.url}{name}", folder / name)
    for part in LISTS:
        if not (folder / f"{part}_chips").exists():
            archive = fetch(f"{SUITE.url}{part}_chips.tgz", folder / f"{part}_chips.tgz")
            unpack_tar(archive, folder, folder=f"{part}_chips")


SUITE = Suite(
    name="crop_us",
    version=1,
    title="Multi-temporal crop classification (US): three HLS dates, 13 classes",
    bands=BANDS,
    image_size=(SIDE, SIDE),
    gsd_m=30.0,
    levels=("hls:SR",),
    dates=DATES,
    tasks=(Task(name="crops", kind="segmentation", classes=CLASSES, metric="miou", ignore=IGNORED),),
    splits={"train": 2775, "val": 308, "test": 771},
    dataset="crop_us",
    licence="CC BY 4.0",
    citation="Cecil et al., HLS Multi Temporal Crop Classification 2023, doi:10.57967/hf/0955; Jakubik et al., "
    "Prithvi, arXiv 2310.18660",
    url="https://huggingface.co/datasets/ibm-nasa-geospatial/multi-temporal-crop-classification/resolve/main/",
    folder="crop_us",
    notes="Test is the publisher's validation split, drawn at random; validation is a tenth of the training chips, by "
    "hash (the counts of train and val are expected ones); labels are a map product, not field data.",
    open=open_split,
    download=download,
)
