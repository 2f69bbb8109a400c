"""Live fuel moisture content: water in living vegetation, from three months of satellite and weather data per pixel.

Samples of Globe-LFMC 1.0 sites in the western United States as prepared by Rao et al. (2020) and exported for
`Presto <https://github.com/nasaharvest/presto>`__ (Tseng et al. 2023, arXiv 2304.14065).

Dataset format, below ``npy/``:

* ``s1_s2_era5_srtm.npy`` (2313, 3, 18) float64: VV, VH in dB; B2 B3 B4 B5 B6 B7 B8 B8A B9 B11 B12, reflectance x 10000;
  2 m temperature in kelvin and precipitation in metres (ERA5); elevation in metres and slope in degrees (SRTM); a last
  column, (B7 - B3) / (B7 + B3) in spite of its name, which is left out, since vegetation indices are derived from the
  bands
* ``month.npy`` (2313, 3) months counted from 0; ``latlon.npy`` (2313, 2) latitude, longitude; ``dynamic_world.npy``
  (2313, 3) land-cover codes 0..8, 9 for none; ``site.npy``; ``target.npy`` in per cent of dry mass; ``is_test.npy``

Splits: the publisher's ``is_test`` (735 samples of sites that are in no other split). The validation split is our own:
the remaining sites whose hashed name is below 0.2, so that it is site-disjoint too.

If you use this dataset, please cite https://doi.org/10.1016/j.rse.2020.111797 and arXiv 2304.14065. Licence: MIT.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    check_shape,
    check_type,
    locate,
    read_array,
    require,
    share_of,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = (
    *sentinel1_bands(),
    *sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12"),
    Band(name="era5.t2m", unit="kelvin"),
    Band(name="era5.tp", unit="metre"),
    Band(name="srtm.elevation", unit="metre", gsd_m=30.0),
    Band(name="srtm.slope", unit="degree", gsd_m=30.0),
    Band(name="dw.class", unit="class", gsd_m=10.0),
)
FILES = ("s1_s2_era5_srtm", "month", "latlon", "dynamic_world", "site", "target", "is_test")
VALIDATION = 0.2


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, ("npy/target.npy",), "get it with download=true")
    arrays = {
        name: read_array(require(folder / "npy" / f"{name}.npy", SUITE.name, "one of its seven arrays"))
        for name in FILES
    }
    _check(arrays, folder)
    is_test = arrays["is_test"].astype(bool)
    sites = [str(site) for site in arrays["site"]]
    in_val = np.array([share_of(site) < VALIDATION for site in sites]) & ~is_test
    rows = np.flatnonzero({"train": ~is_test & ~in_val, "val": in_val, "test": is_test}[split])
    values = np.concatenate([arrays["s1_s2_era5_srtm"][..., :17], arrays["dynamic_world"][..., None]], -1)
    # Code 9 of Dynamic World means no observation.
    values[..., 17][values[..., 17] == 9] = np.nan
    columns = by_sensor(bands, [band.name for band in BANDS])
    when = np.full((*arrays["month"].shape, 3), -1, np.int32)
    when[..., 1] = arrays["month"] + 1

    def read(index: int) -> Sample:
        row = rows[index]
        latitude, longitude = arrays["latlon"][row]
        return Sample(
            images={
                sensor: values[row][:, places].astype(np.float32)[..., None, None] for sensor, places in columns.items()
            },
            target=arrays["target"][row : row + 1].astype(np.float32),
            when=when[row],
            where=(float(longitude), float(latitude)),
        )

    def read_targets() -> np.ndarray:
        return np.asarray(arrays["target"][rows], np.float32)[:, None]

    ids = [f"{row:04d}_{sites[row]}" for row in rows]
    return Samples(ids=ids, blocks=[sites[row] for row in rows], read=read, read_targets=read_targets)


def _check(arrays: dict[str, np.ndarray], folder: Path) -> None:
    """Check the shapes and types of the arrays against the number of targets."""
    count = arrays["target"].size
    expected = {
        "s1_s2_era5_srtm": (count, 3, 18),
        "month": (count, 3),
        "latlon": (count, 2),
        "dynamic_world": (count, 3),
        "site": (count,),
        "target": (count,),
        "is_test": (count,),
    }
    for name, shape in expected.items():
        path = folder / "npy" / f"{name}.npy"
        if name != "target" and len(arrays[name]) != count:
            raise MissingData(
                f"{path} has shape {arrays[name].shape}, expected {shape}: target.npy has {count} values; replace them"
            )
        check_shape(path, arrays[name].shape, shape)
        if name != "site":
            check_type(path, arrays[name].dtype, "")


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's arrays below ``root/fuel_moisture/npy``."""
    for name in FILES:
        fetch(f"{SUITE.url}{name}.npy", root / SUITE.folder / "npy" / f"{name}.npy")


SUITE = Suite(
    name="fuel_moisture",
    version=1,
    title="Live fuel moisture from pixel time series",
    bands=BANDS,
    image_size=(1, 1),
    dates=3,
    tasks=(Task(name="lfmc", kind="regression", quantity="live fuel moisture content", unit="%", metric="r2"),),
    splits={"train": 1319, "val": 259, "test": 735},
    dataset="fuel_moisture",
    licence="MIT",
    citation="Rao et al., Remote Sensing of Environment 245, 2020; Tseng et al., Presto, arXiv 2304.14065",
    url="https://raw.githubusercontent.com/nasaharvest/presto/main/data/fuel_moisture/npy/",
    folder="fuel_moisture",
    notes="Site-disjoint test split of the publisher, site-disjoint validation split of our own; intervals resample "
    "sites.",
    open=open_split,
    download=download,
)
