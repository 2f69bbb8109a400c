"""SEN12-FLOOD: flood or no flood in a Sentinel-2 or Sentinel-1 image of a town, in the publisher's layout.

The `SEN12-FLOOD <https://dx.doi.org/10.21227/w6xz-s898>`__ dataset: series of images of 337 places in Africa, the
Middle East and Australia from December 2018 to May 2019, each image labelled flood or no flood.

Dataset format, below ``SEN12FLOOD/``:

* ``S2list.json`` and ``S1list.json``: place -> ``folder`` and numbered images, each with ``date``, ``FLOODING``,
  ``FULL-DATA-COVERAGE`` and ``filename``
* ``<folder>/S2_<date>_<band>.tif``: 12 bands, bottom-of-atmosphere reflectance x 10000, UTM; 0 is no data (NaN here)
* ``<folder>/<S1 filename>_corrected_{VV,VH}.tif``: terrain-corrected backscatter in linear power, float32, longitude
  and latitude; 0 is no data (NaN here)

A sample is a Sentinel-2 image with its own label. Its grid has 512 x 512 pixels of 10 m: that of its B02 if B02 has
this size, otherwise one with the same centre; pixels that are not covered are NaN. Other bands are resampled to it by
nearest neighbour. The Sentinel-1 image is the nearest in time of the same place (the earlier of two), warped to the
grid bilinearly; all NaN for a place without one. It may show a state that differs from the label, which belongs to the
Sentinel-2 image.

Dataset classes: no flood, flood. After the first flood of a place all its later images are labelled flood.

The publisher mentions 262 and 68 series for training and test and lists neither: here a place is in train (70 %), val
(10 %) or test (20 %) by the hash of its folder's name.

If you use this dataset, please cite https://doi.org/10.5194/isprs-archives-XLIII-B2-2020-1343-2020. Licence: Copernicus
Sentinel data, open under the Sentinel terms and conditions.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.reading import (
    Samples,
    check_request,
    listed_path,
    locate,
    open_raster,
    read_json,
    reading,
    require_all,
    require_distinct,
    share_of,
    to_degrees,
)
from suites.reading.rasters import as_image, pixels_of

if TYPE_CHECKING:
    import numpy as np

SENTINEL1 = sentinel1_bands("power")
SENTINEL2 = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12")
LISTS = {"s1": "S1list.json", "s2": "S2list.json"}
SIDE, STEP = 512, 10.0
GRID_BAND = SENTINEL2[1]


class Listed(NamedTuple):
    """An image of one of the publisher's lists."""

    folder: str
    name: str
    day: date
    flood: bool


class Grid(NamedTuple):
    """Reference system and transform of a sample's pixels."""

    crs: Any
    transform: Any


def _listed(path: Path) -> list[Listed]:
    """Return the images of a list, by folder and date."""
    places = read_json(path)
    images = []
    with reading(path, "places with folder and numbered images of date, FLOODING and filename"):
        for place in places.values():
            for image in (place[key] for key in place if key.isdigit()):
                name, flood = str(image["filename"]), image["FLOODING"]
                if not isinstance(flood, bool):
                    raise MissingData(f"{path}: FLOODING of {name} is {flood!r}, not a boolean; replace the file")
                folder = str(listed_path(Path(), str(place["folder"]), path))
                listed_path(Path(), name, path)
                images.append(Listed(folder, name, date.fromisoformat(str(image["date"])), flood))
    return sorted(images, key=lambda image: (image.folder, image.day, image.name))


def _split_of(folder: str) -> str:
    share = share_of(f"sen12flood/{folder}")
    return "train" if share < 0.7 else "val" if share < 0.8 else "test"


def _file(folder: Path, image: Listed, band: Band) -> Path:
    kind = band.name.partition(".")[2].upper()
    return folder / image.folder / f"{image.name}_{'corrected_' if band.sensor == 's1' else ''}{kind}.tif"


def _nearest(images: list[Listed], radar: list[Listed]) -> list[Listed | None]:
    """Return, per image, the radar image of the same place that is nearest in time, the earlier of two."""
    places: dict[str, list[Listed]] = {}
    for candidate in radar:
        places.setdefault(candidate.folder, []).append(candidate)

    def nearest(image: Listed) -> Listed | None:
        return min(
            places.get(image.folder, ()), key=lambda other: (abs((other.day - image.day).days), other.day), default=None
        )

    return [nearest(image) for image in images]


def _grid(path: Path) -> Grid:
    """Return the 512 x 512 grid around the centre of an image."""
    with open_raster(path) as file:
        from rasterio.transform import from_origin

        if file.crs is None:
            raise MissingData(f"{path} has no coordinate system; replace it by the published file")
        if file.shape == (SIDE, SIDE):
            return Grid(file.crs, file.transform)
        # A whole number of pixels from the image's own corner, so that nothing is resampled.
        left, bottom, right, top = file.bounds
        west = left + round(((right - left) / STEP - SIDE) / 2) * STEP
        north = top - round(((top - bottom) / STEP - SIDE) / 2) * STEP
        return Grid(file.crs, from_origin(west, north, STEP, STEP))


def _onto(grid: Grid, path: Path, sensor: str) -> np.ndarray:
    """Return one band as float32 on the grid, NaN where there is no data."""
    import numpy as np

    with open_raster(path) as file:
        from rasterio.enums import Resampling
        from rasterio.warp import reproject

        if file.count != 1 or file.crs is None:
            raise MissingData(f"{path} has {file.count} bands and the coordinate system {file.crs}; replace it")
        crs, transform = file.crs, file.transform
        values: np.ndarray = as_image(file, pixels_of(file, path), path)[0]
    values[~(values > 0)] = np.nan
    if crs == grid.crs and transform == grid.transform and values.shape == (SIDE, SIDE):
        return values
    placed = np.full((SIDE, SIDE), np.nan, np.float32)
    how = Resampling.bilinear if sensor == "s1" else Resampling.nearest
    with reading(path, "an image in its reference system"):
        reproject(values, placed, src_transform=transform, src_crs=crs, src_nodata=np.nan, dst_transform=grid.transform,
                  dst_crs=grid.crs, dst_nodata=np.nan, resampling=how)  # fmt: skip
    return placed


def _centre(grid: Grid, path: Path) -> tuple[float, float]:
    """Return longitude and latitude of the centre of a grid."""
    x, y = grid.transform.c + grid.transform.a * SIDE / 2, grid.transform.f + grid.transform.e * SIDE / 2
    return to_degrees(grid.crs, x, y, path)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, list(LISTS.values()), "download=true tells how to get it")
    every = _listed(folder / LISTS["s2"])
    lists: dict[str, list[Listed]] = {name: [] for name in SUITE.splits}
    for image in every:
        lists[_split_of(image.folder)].append(image)
    require_distinct(
        SUITE.name,
        {name: [f"{image.folder}_{image.name}" for image in listed] for name, listed in lists.items()},
        LISTS["s2"],
    )
    images = lists[split]
    wanted = {sensor: [band for band in bands if band.sensor == sensor] for sensor in (band.sensor for band in bands)}
    shown: dict[str, list[Listed | None]] = {"s2": list(images)}
    if "s1" in wanted:
        shown["s1"] = _nearest(images, _listed(folder / LISTS["s1"]))
    require_all([_file(folder, image, GRID_BAND) for image in images], SUITE.name, LISTS["s2"])
    for sensor, picked in wanted.items():
        files = [_file(folder, image, band) for image in shown[sensor] if image for band in picked]
        require_all(files, SUITE.name, LISTS[sensor])
    first = next(iter(wanted))
    labels = np.array([int(image.flood) for image in images], np.int64)

    def read(index: int) -> Sample:
        placed_by = _file(folder, images[index], GRID_BAND)
        grid = _grid(placed_by)
        pixels = {}
        for sensor, picked in wanted.items():
            image = shown[sensor][index]
            pixels[sensor] = np.full((1, len(picked), SIDE, SIDE), np.nan, np.float32)
            for channel, band in enumerate(picked if image else ()):
                pixels[sensor][0, channel] = _onto(grid, _file(folder, image, band), sensor)  # type: ignore[arg-type]
        dated = shown[first][index]
        when = (dated.day.year, dated.day.month, dated.day.day) if dated else (-1, -1, -1)
        return Sample(
            images=pixels,
            target=int(labels[index]),
            when=np.array([when], np.int32),
            where=_centre(grid, placed_by),
        )

    ids = [f"{image.folder}_{image.name}" for image in images]
    return Samples(ids=ids, blocks=[image.folder for image in images], read=read, read_targets=lambda: labels)


def download(root: Path, fetch: Fetch) -> None:
    """Tell how to get the data, for which the publisher requires a login.

    Raises:
        MissingData: always.
    """
    raise MissingData(
        f"{SUITE.name} needs a login: sign in at {SUITE.url}, download SEN12FLOOD.zip (13 GB) and unpack it, so that "
        f"{root / SUITE.folder / LISTS['s2']} appears"
    )


SUITE = Suite(
    name="sen12flood",
    version=1,
    title="SEN12-FLOOD: flood or no flood in images of towns, S2 and S1",
    bands=(*SENTINEL1, *SENTINEL2),
    default_bands=("s2.*",),
    image_size=(SIDE, SIDE),
    gsd_m=10.0,
    levels=("s2:L2A", "s1:GRD"),
    tasks=(Task(name="flood", kind="classification", classes=("no flood", "flood"), metric="macro_f1"),),
    splits={"train": 1567, "val": 224, "test": 447},
    dataset="sen12flood",
    licence="Copernicus Sentinel data terms and conditions",
    citation="Rambour et al., Flood Detection in Time Series of Optical and SAR Images, ISPRS Archives XLIII-B2-2020, "
    "doi:10.5194/isprs-archives-XLIII-B2-2020-1343-2020",
    url="https://ieee-dataport.org/open-access/sen12-flood-sar-and-multispectral-dataset-flood-detection",
    folder="SEN12FLOOD",
    notes="Split of our own by place, since the publisher lists none; its counts are estimates. S2 unless bands= "
    "selects otherwise; the label belongs to the Sentinel-2 image, the Sentinel-1 image is the nearest in time. All "
    "images after a first flood are labelled flood. Many images are cloudy. Intervals resample places.",
    open=open_split,
    download=download,
)
