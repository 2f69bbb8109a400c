"""SEN12-FLOOD: is there a flood in a Sentinel-2 or Sentinel-1 image of a town, in the publisher's layout.

The `SEN12-FLOOD <https://dx.doi.org/10.21227/w6xz-s898>`__ dataset: series of images of 337 places in Africa, the
Middle East and Australia from December 2018 to May 2019, each image labelled flood or no flood.

Dataset format, below ``SEN12FLOOD/``:

* ``S2list.json`` and ``S1list.json``: place -> ``folder`` and numbered images, each with ``date``, ``FLOODING``,
  ``FULL-DATA-COVERAGE`` and ``filename``
* ``<folder>/S2_<date>_<band>.tif``: 12 bands, bottom-of-atmosphere reflectance x 10000, UTM; 0 is no data (NaN here)
* ``<folder>/<S1 filename>_corrected_{VV,VH}.tif``: terrain-corrected backscatter in linear power, float32, longitude
  and latitude; 0 is no data (NaN here)

A sample is a Sentinel-2 image with its own label. Its grid is 512 x 512 pixels of 10 m: that of its B02 where that has
this size, else about the same centre; what is not covered is NaN. Other bands are brought onto it by nearest
neighbour. The Sentinel-1 image is that of the same place nearest in time (the earlier of two), warped onto the grid
bilinearly; all NaN for a place without one. It may show what the label, which is of the Sentinel-2 image, does not.

Dataset classes: no flood, flood. Once a place was flooded all its later images are labelled flood.

The publisher speaks of 262 and 68 series for training and test and lists neither: here a place is in train (70 %), val
(10 %) or test (20 %) by a hash of its folder's name.

If you use this dataset, please cite https://doi.org/10.5194/isprs-archives-XLIII-B2-2020-1343-2020. Licence: Copernicus
Sentinel data, open under the Sentinel terms and conditions.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.reading.files import locate, require_all, require_distinct
from suites.reading.samples import Samples, check_request, share_of

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
    """Where a sample's pixels lie."""

    crs: Any
    transform: Any


def _listed(path: Path) -> list[Listed]:
    """Return the images of a list, by folder and date."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))
        found = []
        for place in places.values():
            for image in (place[key] for key in place if key.isdigit()):
                if not isinstance(image["FLOODING"], bool):
                    raise MissingData(
                        f"{path}: FLOODING of {image['filename']} is {image['FLOODING']!r}, not a boolean"
                    )
                day = date.fromisoformat(str(image["date"]))
                found.append(Listed(str(place["folder"]), str(image["filename"]), day, image["FLOODING"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MissingData(f"cannot read {path}: {error!r}; it is absent or damaged, download it again") from error
    return sorted(found, key=lambda image: (image.folder, image.day, image.name))


def _split_of(folder: str) -> str:
    share = share_of(f"sen12flood/{folder}")
    return "train" if share < 0.7 else "val" if share < 0.8 else "test"


def _file(folder: Path, image: Listed, band: Band) -> Path:
    kind = band.name.partition(".")[2].upper()
    return folder / image.folder / f"{image.name}_{'corrected_' if band.sensor == 's1' else ''}{kind}.tif"


def _nearest(images: list[Listed], radar: list[Listed]) -> list[Listed | None]:
    """Return for each image the radar image of the same place nearest in time, the earlier of two."""
    places: dict[str, list[Listed]] = {}
    for one in radar:
        places.setdefault(one.folder, []).append(one)
    return [
        min(places.get(image.folder, ()), key=lambda one: (abs((one.day - image.day).days), one.day), default=None)
        for image in images
    ]


def _grid(path: Path) -> Grid:
    """Return the 512 x 512 grid about the centre of an image."""
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as file:
            if file.crs is None:
                raise MissingData(f"{path} has no coordinate system; replace it by the published file")
            if file.shape == (SIDE, SIDE):
                return Grid(file.crs, file.transform)
            # Whole pixels away from the image's own corner, so that nothing is resampled.
            left, bottom, right, top = file.bounds
            west = left + round(((right - left) / STEP - SIDE) / 2) * STEP
            north = top - round(((top - bottom) / STEP - SIDE) / 2) * STEP
            return Grid(file.crs, rasterio.transform.from_origin(west, north, STEP, STEP))
    except (RasterioError, OSError) as error:
        raise MissingData(f"cannot read {path}: {error}; it is absent or damaged, download it again") from error


def _onto(grid: Grid, path: Path, sensor: str) -> np.ndarray:
    """Return one band as float32 on the grid, NaN where the sensor saw nothing."""
    import numpy as np
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.warp import reproject

    try:
        with rasterio.open(path) as file:
            if file.count != 1 or file.crs is None:
                raise MissingData(f"{path} has {file.count} bands and the coordinate system {file.crs}; replace it")
            crs, transform = file.crs, file.transform
            values: np.ndarray = file.read(1).astype(np.float32)
    except (RasterioError, OSError) as error:
        raise MissingData(f"cannot read {path}: {error}; it is absent or damaged, download it again") from error
    values[~(values > 0)] = np.nan
    if crs == grid.crs and transform == grid.transform and values.shape == (SIDE, SIDE):
        return values
    placed = np.full((SIDE, SIDE), np.nan, np.float32)
    how = Resampling.bilinear if sensor == "s1" else Resampling.nearest
    reproject(values, placed, src_transform=transform, src_crs=crs, src_nodata=np.nan, dst_transform=grid.transform,
              dst_crs=grid.crs, dst_nodata=np.nan, resampling=how)  # fmt: skip
    return placed


def _centre(grid: Grid) -> tuple[float, float]:
    from rasterio.warp import transform

    x, y = grid.transform.c + grid.transform.a * SIDE / 2, grid.transform.f + grid.transform.e * SIDE / 2
    longitudes, latitudes = transform(grid.crs, "EPSG:4326", [x], [y])
    return float(longitudes[0]), float(latitudes[0])


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, list(LISTS.values()), "download=true says how to get it")
    every = _listed(folder / LISTS["s2"])
    lists: dict[str, list[Listed]] = {name: [] for name in SUITE.splits}
    for image in every:
        lists[_split_of(image.folder)].append(image)
    require_distinct(SUITE.name, {key: [f"{one.folder}_{one.name}" for one in found] for key, found in lists.items()})
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
        grid = _grid(_file(folder, images[index], GRID_BAND))
        found = {}
        for sensor, picked in wanted.items():
            image = shown[sensor][index]
            found[sensor] = np.full((1, len(picked), SIDE, SIDE), np.nan, np.float32)
            for channel, band in enumerate(picked if image else ()):
                found[sensor][0, channel] = _onto(grid, _file(folder, image, band), sensor)  # type: ignore[arg-type]
        seen = shown[first][index]
        when = (seen.day.year, seen.day.month, seen.day.day) if seen else (-1, -1, -1)
        return Sample(
            images=found, target=int(labels[index]), when=np.array([when], np.int32), where=_centre(grid)
        )  # fmt: skip

    ids = [f"{image.folder}_{image.name}" for image in images]
    return Samples(ids=ids, blocks=[image.folder for image in images], read=read, read_targets=lambda: labels)


def download(root: Path, fetch: Fetch) -> None:
    """Say how to get it: the publisher asks for a login.

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
    notes="Own split by place, as the publisher lists none; its counts are estimates. S2 unless bands= says otherwise; "
    "the label is the Sentinel-2 image's, the Sentinel-1 image the nearest in time. All images after a first flood are "
    "labelled flood. Many images are clouded. Intervals resample places.",
    open=open_split,
    download=download,
)
