"""WorldCereal patches: temporary crops and maize in yearly Sentinel-1, Sentinel-2 and weather series of farmland.

Patches of the training data of `WorldCereal <https://github.com/WorldCereal/worldcereal-classification>`__, 64 x 64
pixels at 10 m, with the farmers' declarations as labels. The repository holds a few patches for its tests.

Dataset format, one folder per patch, with netCDF-4 files that have ``x``, ``y`` and, for a series, ``timestamp``:

* ``<patch>/S2_L2A_10m_<patch>_<epsg>_<start>_<end>.nc``: B02 B03 B04 B08, uint16 surface reflectance x 10000, 0 is no
  data
* ``<patch>/S2_L2A_20m_...nc``: B05 B06 B07 B8A B11 B12 likewise, 32 x 32 pixels, and the scene classification SCL
* ``<patch>/S1_GRD-ASCENDING_20m_...nc``: VV VH, int32 dB x 10000, 0 is no data, 32 x 32 pixels
* ``<patch>/AgERA5_DAILY_1000m_...nc``: daily temperature_mean in kelvin, precipitation_flux in mm, one pixel
* ``<patch>/OUTPUT_POLY-110_10m_...nc``: LC land cover, CT crop type, IRR irrigation, uint16, 0 is no label

The sensors' dates differ, so every series is aggregated to calendar months from ``<start>`` to ``<end>``, like the
inputs of WorldCereal's own networks: Sentinel-2 by the median of the pixels that SCL calls neither cloud, shadow,
cirrus, saturated nor empty; Sentinel-1 by the mean in power; temperature by the mean; precipitation by the sum, in
metres. A month without an observation is NaN. Bands of 20 m are repeated to 10 m; the weather has one value per tile.
Dates are the months, with the day unknown.

Dataset classes, as in the settings that WorldCereal trains with: task ``cropland``, LC 11 (temporary crops) against
every other land cover; LC 10 (cropland, unspecified) is ignored. Task ``maize``, CT 1200 against every other crop type;
1000, 991 and 9998 are ignored. 0 is ignored in both. Landsat, irrigation and the crop calendar are not read.

No split is published. For our split patches are cut into 16 tiles of 16 x 16 pixels, ``<patch>_<row>_<column>``, which
are divided by the hash of this id, 60 / 20 / 20 %. Tiles of one field are in different splits.

If you use this dataset, please cite https://doi.org/10.5194/essd-15-5491-2023. Licence: MIT.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.reading import Samples, check_request, locate, read_netcdf, reading, share_of, to_degrees

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

PATCH, TILE = 64, 16
LONGEST = 3660  # days of a series; the published ones have about 490
SENTINEL2 = sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12")
WEATHER = (Band(name="era5.t2m", unit="kelvin", gsd_m=1000.0), Band(name="era5.tp", unit="metre", gsd_m=1000.0))
LABELS, OPTICAL, COARSE, RADAR, DAILY = (
    "OUTPUT_POLY-110_10m", "S2_L2A_10m", "S2_L2A_20m", "S1_GRD-ASCENDING_20m", "AgERA5_DAILY_1000m")  # fmt: skip
VARIABLES: dict[str, tuple[str, str]] = {
    **{band.name: (OPTICAL, band.name.removeprefix("s2.").upper()) for band in SENTINEL2 if band.gsd_m == 10.0},
    **{band.name: (COARSE, band.name.removeprefix("s2.").upper()) for band in SENTINEL2 if band.gsd_m == 20.0},
    "s1.vv": (RADAR, "VV"),
    "s1.vh": (RADAR, "VH"),
    "era5.t2m": (DAILY, "temperature_mean"),
    "era5.tp": (DAILY, "precipitation_flux"),
}
# Scene classification: empty, saturated, cloud shadow, cloud of medium and high probability, cirrus.
UNCLEAR = (0, 1, 3, 8, 9, 10)
# Task -> label raster, code of the positives, codes to ignore. From WorldCereal's TRAINING_SETTINGS.
MEANING = {"cropland": ("LC", 11, (0, 10)), "maize": ("CT", 1200, (0, 1000, 991, 9998))}
IGNORED = -1
# The highest codes that occur: land cover 999, crop type 9998.
HIGHEST = {"LC": 999, "CT": 9998}
PUBLISHED = {
    "00002806639B424A": "32631_2017-08-01_2018-11-30",
    "0000280849BAC91C": "32631_2018-08-01_2019-11-30",
}


@dataclass(frozen=True)
class Raster:
    """One variable of a patch.

    Attributes:
        values: (T, H, W) as stored.
        grid: EPSG code, and left, bottom, right and top in its unit.
        months: (T,) month of each date as year * 12 + month - 1.
    """

    values: np.ndarray
    grid: tuple[str, tuple[float, ...]]
    months: np.ndarray


def _file(folder: Path, kind: str) -> Path:
    """Return the one file of a kind in the folder of a patch."""
    files = sorted(folder.glob(f"{kind}_{folder.name}_*.nc"))
    if len(files) != 1:
        raise MissingData(
            f"worldcereal_patches is incomplete: {folder} has {len(files)} files {kind}_{folder.name}_*.nc, expected "
            "one; download it again"
        )
    return files[0]


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.strip("{}()[] ").replace(",", " ").split())


def _months(unit: str, stamps: np.ndarray) -> list[int]:
    """Return the months of a time axis by its unit, such as ``days since 2017-08-01``; one month without a unit."""
    if not unit:
        return [0]
    step, _, start = unit.partition(" since ")
    first = datetime.fromisoformat(start)
    dates = [first + timedelta(**{step: float(stamp)}) for stamp in stamps]
    return [date.year * 12 + date.month - 1 for date in dates]


def _raster(path: Path, variable: str, side: int) -> Raster:
    """Return a variable of a netCDF file, (T, side, side), or (1, side, side) for one without dates."""
    import numpy as np

    values, attributes, (unit, stamps) = read_netcdf(path, variable)
    with reading(path, "the dates, EPSG code and bounds of a patch"):
        months = np.array(_months(unit, stamps))
        grid = (str(int(attributes["epsg"])), _numbers(attributes["bounds"]))
        if len(grid[1]) != 4:
            raise ValueError(f"bounds are {attributes['bounds']}")
    values = values[None] if values.ndim == 2 else values
    if values.shape != (len(months), side, side):
        raise MissingData(
            f"{variable} of {path} has shape {values.shape}, expected {(len(months), side, side)}; replace the file"
        )
    return Raster(values, grid, months)


def _by_month(values: np.ndarray, months: np.ndarray, wanted: range, how: str) -> np.ndarray:
    """Return (T, ...) aggregated to months by ``median``, ``mean`` or ``sum``; NaN where nothing is known."""
    import numpy as np

    ways: dict[str, Callable[..., np.ndarray]] = {"median": np.nanmedian, "mean": np.nanmean, "sum": np.nansum}
    result = np.full((len(wanted), *values.shape[1:]), np.nan, np.float32)
    for place, month in enumerate(wanted):
        part = values[months == month]
        known = np.isfinite(part).any(0)  # a month without any clear date stays NaN, in a sum too
        if known.any():
            result[place] = np.where(known, ways[how](np.where(known, part, 0), axis=0), np.nan)
    return result


def _span(path: Path) -> range:
    """Return the months that the name of a file states."""
    with reading(path, "a name that ends in _<start>_<end>.nc"):
        start, end = (datetime.fromisoformat(word) for word in path.stem.rsplit("_", 2)[1:])
        if not start <= end <= start + timedelta(days=LONGEST):
            raise ValueError(f"{start:%Y-%m-%d} to {end:%Y-%m-%d} is no span of at most {LONGEST} days")
    return range(start.year * 12 + start.month - 1, end.year * 12 + end.month)


def _series(folder: Path, name: str, label: Raster) -> np.ndarray:
    """Return one band of a patch by month, float32 (T, 64, 64)."""
    import numpy as np

    kind, variable = VARIABLES[name]
    path = _file(folder, kind)
    side = {OPTICAL: PATCH, DAILY: 1}.get(kind, PATCH // 2)
    raster = _raster(path, variable, side)
    if raster.grid != label.grid:
        raise MissingData(f"{path} lies on {raster.grid}, its label on {label.grid}; replace it by the published file")
    values, wanted = raster.values.astype(np.float32), _span(path)
    if kind == DAILY:
        values[raster.values == -9999] = np.nan
        monthly = _by_month(values, raster.months, wanted, "sum" if name == "era5.tp" else "mean")
        monthly = monthly / 1000 if name == "era5.tp" else monthly
    elif kind == RADAR:
        power = np.where(raster.values == 0, np.nan, 10 ** (values / 1e5))
        monthly = 10 * np.log10(_by_month(power, raster.months, wanted, "mean"))
    else:
        scene = _raster(_file(folder, COARSE), "SCL", PATCH // 2)
        if not np.array_equal(scene.months, raster.months):
            raise MissingData(f"{path} has other dates than its scene classification; download both again")
        unclear = np.isin(scene.values, UNCLEAR).repeat(side // scene.values.shape[1], 1)
        values[unclear.repeat(side // scene.values.shape[2], 2) | (raster.values == 0)] = np.nan
        monthly = _by_month(values, raster.months, wanted, "median")
    return monthly.repeat(PATCH // side, 1).repeat(PATCH // side, 2).astype(np.float32)


def _label(folder: Path, task: str) -> tuple[np.ndarray, Raster]:
    """Return the mask of a patch, int64 (64, 64), and the raster it comes from."""
    import numpy as np

    variable, positive, unknown = MEANING[task]
    path = _file(folder, LABELS)
    raster = _raster(path, variable, PATCH)
    codes = raster.values[0]
    if codes.max() > HIGHEST[variable]:
        raise MissingData(f"{path} holds the {variable} code {codes.max()}; the highest is {HIGHEST[variable]}")
    mask = np.where(np.isin(codes, unknown), IGNORED, codes == positive).astype(np.int64)
    return mask, raster


def _centre(grid: tuple[str, tuple[float, ...]], row: int, column: int, path: Path) -> tuple[float, float]:
    """Return longitude and latitude of the centre of a tile."""
    left, _, right, top = grid[1]
    pixel = (right - left) / PATCH
    return to_degrees(f"EPSG:{grid[0]}", left + (column + 0.5) * TILE * pixel, top - (row + 0.5) * TILE * pixel, path)


def _split_of(name: str) -> str:
    share = share_of(name)
    return "train" if share < 0.6 else "val" if share < 0.8 else "test"


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, [f"*/{LABELS}_*.nc"], "get it with download=true")
    patches = sorted(path for path in folder.iterdir() if path.is_dir())
    for patch in patches:
        for kind in {LABELS, *(VARIABLES[band.name][0] for band in bands)}:
            _file(patch, kind)
    steps = range(PATCH // TILE)
    tiles = [
        (patch, row, column)
        for patch in patches
        for row in steps
        for column in steps
        if _split_of(f"{patch.name}_{row}_{column}") == split
    ]
    if not tiles:
        raise MissingData(f"none of the tiles of the {len(patches)} patches in {folder} is in {split!r}; add patches")
    sensors = {sensor: [band for band in bands if band.sensor == sensor] for sensor in {b.sensor: 0 for b in bands}}

    @lru_cache(maxsize=4)
    def patch_of(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray, Raster]:
        mask, label = _label(folder, task)
        images = {
            sensor: np.stack([_series(folder, band.name, label) for band in wanted], axis=1)
            for sensor, wanted in sensors.items()
        }
        return images, mask, label

    def read(index: int) -> Sample:
        patch, row, column = tiles[index]
        images, mask, label = patch_of(patch)
        rows, columns = (slice(place * TILE, (place + 1) * TILE) for place in (row, column))
        months = _span(_file(patch, LABELS))
        return Sample(
            images={sensor: values[..., rows, columns].copy() for sensor, values in images.items()},
            target=mask[rows, columns].copy(),
            when=np.array([(month // 12, month % 12 + 1, -1) for month in months], np.int32),
            where=_centre(label.grid, row, column, _file(patch, LABELS)),
        )

    def read_targets() -> np.ndarray:
        masks = {patch: _label(patch, task)[0] for patch in dict.fromkeys(patch for patch, _, _ in tiles)}
        parts = [masks[patch][r * TILE : (r + 1) * TILE, c * TILE : (c + 1) * TILE] for patch, r, c in tiles]
        return np.array([[(part == code).any() for code in (0, 1)] for part in parts], np.int64)

    return Samples(
        ids=[f"{patch.name}_{row}_{column}" for patch, row, column in tiles],
        blocks=[patch.name for patch, _, _ in tiles],
        read=read,
        read_targets=read_targets,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the two patches that have all files below ``root/worldcereal_patches``: 13 MB."""
    for patch, place in PUBLISHED.items():
        for kind in (LABELS, OPTICAL, COARSE, RADAR, DAILY):
            name = f"{kind}_{patch}_{place}.nc"
            fetch(f"{SUITE.url}{patch}/{name}", root / SUITE.folder / patch / name)


SUITE = Suite(
    name="worldcereal_patches",
    version=1,
    title="WorldCereal patches: temporary crops and maize in monthly series",
    bands=(*SENTINEL2, *sentinel1_bands(), *WEATHER),
    image_size=(TILE, TILE),
    gsd_m=10.0,
    levels=("s2:L2A", "s1:GRD"),
    dates=0,
    tasks=(
        Task(name="cropland", kind="segmentation", classes=("other", "temporary crops"), metric="miou", ignore=IGNORED),
        Task(name="maize", kind="segmentation", classes=("other crop", "maize"), metric="miou", ignore=IGNORED),
    ),
    splits={"train": 16, "val": 10, "test": 6},
    dataset="worldcereal",
    licence="MIT",
    citation="Van Tricht et al., WorldCereal, Earth System Science Data 15, 2023, doi:10.5194/essd-15-5491-2023",
    url="https://raw.githubusercontent.com/WorldCereal/worldcereal-classification/"
    "5db1e24d918f99e5b2471b826fbcb8fd2afea252/tests/worldcerealtests/testresources/worldcerealtraining/",
    folder="worldcereal_patches",
    notes="Two Flemish patches, cut into tiles that are split by hash: neighbours are in different splits, so scores "
    "are optimistic. A check that series work rather than a benchmark. The monthly composites are made here.",
    open=open_split,
    download=download,
)
