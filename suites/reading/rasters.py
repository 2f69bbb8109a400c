"""GeoTIFF and PNG rasters: pixels as stored, images and masks with their declared no-data, and the place of an image.

Every raster is opened by the one GDAL driver that its first bytes name, without looking for other files in its folder:
a virtual raster, a web service or a sidecar file cannot make GDAL read anything else.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from bench.core.errors import MissingData
from suites.reading.declared import mask_codes, missing_pixels
from suites.reading.files import MOST_BYTES, format_of, format_of_bytes, reading
from suites.reading.shapes import check_shape, check_type

if TYPE_CHECKING:
    import numpy as np
    from rasterio import DatasetReader

# Format -> GDAL driver.
DRIVERS = {"GeoTIFF": "GTiff", "PNG": "PNG"}
EPSG = re.compile(r"(?:EPSG:|urn:ogc:def:crs:EPSG:[\w.]*:)(\d{4,6})", re.IGNORECASE)
# No search for sidecar files, and no persistent auxiliary metadata.
OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}


@cache
def _rasterio() -> ModuleType:
    """Return the package rasterio; images without a place are usual here, so its warning about them is turned off."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    package: ModuleType = rasterio
    return package


@contextmanager
def open_raster(path: Path) -> Iterator[DatasetReader]:
    """Open a GeoTIFF or PNG with rasterio; errors inside the block are reported with the file's name.

    Args:
        path: the file; see `suites.reading.files.checked_file`.

    Yields:
        The open ``rasterio.DatasetReader``.

    Raises:
        MissingData: if the file may not be read, is of another format, damaged or cut short.
    """
    driver = DRIVERS[format_of(path, *DRIVERS)]
    with reading(path), _rasterio().Env(**OPTIONS), _rasterio().open(str(path.absolute()), driver=driver) as file:
        yield file


@contextmanager
def open_raster_bytes(content: bytes, label: str) -> Iterator[DatasetReader]:
    """Open the bytes of a GeoTIFF or PNG with rasterio; see `open_raster`.

    Args:
        content: the bytes of the file.
        label: what they are, for messages.

    Yields:
        The open ``rasterio.DatasetReader``.

    Raises:
        MissingData: if the content is of another format, damaged or cut short.
    """
    driver = DRIVERS[format_of_bytes(content[:32], label, *DRIVERS)]
    rasterio = _rasterio()
    with (
        reading(label),
        rasterio.Env(**OPTIONS),
        rasterio.MemoryFile(content, filename="raster") as memory,
        memory.open(driver=driver) as file,
    ):
        yield file


def pixels_of(
    file: DatasetReader, label: Path | str, shape: tuple[int, ...] | None = None, stored: str = ""
) -> np.ndarray:
    """Return all bands of an open raster as (bands, H, W) in the type it is stored in.

    Args:
        file: of `open_raster`.
        label: name of the raster, for messages.
        shape: see `read_raster`.
        stored: see `read_raster`.

    Raises:
        MissingData: see `read_raster`.
    """
    actual = (file.count, file.height, file.width)
    check_shape(label, actual, shape)
    check_type(label, file.dtypes[0], stored)
    size = file.count * file.height * file.width * 8
    if shape is None and size > 2 * MOST_BYTES:
        raise MissingData(f"cannot read {label}: it claims to have {actual} bands and pixels, too many to be read")
    with reading(label):
        values: np.ndarray = file.read()
    return values


def read_raster(path: Path, shape: tuple[int, ...] | None = None, stored: str = "") -> np.ndarray:
    """Return a GeoTIFF or PNG as (bands, H, W) in the type it is stored in; no-data values stay as they are.

    Images are read with `read_image` and masks with `read_mask`, which honour the no-data value that a file declares.
    This function is for datasets whose own documentation says otherwise.

    Args:
        path: the file.
        shape: the (bands, H, W) that it must have; None accepts any.
        stored: NumPy type of the published file, e.g. ``"uint16"``. Files of a type that cannot hold its values are
            refused; see `suites.reading.shapes.check_type`. Empty accepts every type but complex numbers.

    Raises:
        MissingData: with the name of the file if it is absent, not a raster, damaged, cut short, of another shape or of
            another type, or if a link leads out of the data folder.
    """
    with open_raster(path) as file:
        return pixels_of(file, path, shape, stored)


def read_image(
    path: Path, shape: tuple[int, ...] | None = None, stored: str = "", jointly: Collection[float] = ()
) -> np.ndarray:
    """Return a GeoTIFF or PNG as float32 (bands, H, W), NaN where the file itself declares that there is no data.

    A file declares no data by a no-data value per band, or by an internal mask. In a picture, that is a raster of eight
    bits with several bands, a declared 0 or 255 is also a tone: there a pixel is missing only where all bands hold it,
    see `suites.reading.declared.missing_pixels`. An alpha band is a band.

    Args:
        path: the file.
        shape: see `read_raster`.
        stored: see `read_raster`.
        jointly: declared values that are measurements unless every band holds them, such as 0 for Sentinel-2.

    Raises:
        MissingData: see `read_raster`.
    """
    with open_raster(path) as file:
        return as_image(file, pixels_of(file, path, shape, stored), path, jointly)


def read_mask(
    path: Path, codes: Collection[int], shape: tuple[int, ...] | None = None, ignore: int | None = -1
) -> np.ndarray:
    """Return the mask of a GeoTIFF or PNG of one band as int64 (H, W), `ignore` where the file declares no data.

    Args:
        path: the file.
        codes: that the dataset documents. A declared no-data value that is one of them stays this code.
        shape: the (1, H, W) that it must have; None accepts any height and width.
        ignore: `bench.core.Task.ignore`; None refuses pixels without label.

    Raises:
        MissingData: see `read_raster`; also if the mask holds a code that is neither documented nor the no-data value.
    """
    with open_raster(path) as file:
        mask = pixels_of(file, path, shape or (1, file.height, file.width))[0]
        return mask_codes(mask, codes, file.nodatavals[0], path, ignore)


def as_image(file: DatasetReader, values: np.ndarray, label: Path | str, jointly: Collection[float] = ()) -> np.ndarray:
    """Return the pixels of an open raster as float32, NaN where the file declares no data; see `read_image`.

    Args:
        file: of `open_raster`.
        values: of `pixels_of`.
        label: name of the raster, for messages.
        jointly: see `read_image`.

    Raises:
        MissingData: if the internal mask is damaged.
    """
    import numpy as np
    from rasterio.enums import MaskFlags

    image: np.ndarray = values.astype(np.float32)
    image[missing_pixels(values, file.nodatavals, jointly)] = np.nan
    if any(MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags for flags in file.mask_flag_enums):
        with reading(label):
            image[:, file.dataset_mask() == 0] = np.nan
    return image


def to_degrees(system: object, x: float, y: float, label: Path | str) -> tuple[float, float]:
    """Return longitude and latitude in degrees of a point in a projected or geographic reference system.

    Args:
        system: the ``rasterio.crs.CRS`` of a raster, or a name with an EPSG code, such as ``"EPSG:2154"`` or
            ``"urn:ogc:def:crs:EPSG::2154"``. Other names are refused, since GDAL would take them for files and links.
        x: coordinate towards the east, in the unit of the system.
        y: coordinate towards the north.
        label: the file that states the place, for messages.

    Raises:
        MissingData: if the system is not known, or the point lies outside of it.
    """
    import math

    _rasterio()
    from rasterio.crs import CRS
    from rasterio.warp import transform

    if isinstance(system, str):
        match = EPSG.fullmatch(system)
        if not match:
            raise MissingData(
                f"{label} is in the reference system {system[:100]!r}, expected EPSG:<number>; replace it"
            )
        with reading(label, "an EPSG code"):
            system = CRS.from_epsg(int(match[1]))
    with reading(label, "a place in its reference system"):
        (longitude,), (latitude,) = transform(system, CRS.from_epsg(4326), [x], [y])[:2]
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        raise MissingData(f"{label}: ({x:g}, {y:g}) lies outside of its reference system; replace it")
    return float(longitude), float(latitude)


def require_one_place(files: Sequence[DatasetReader], *, grid: bool = False) -> None:
    """Check that open rasters share a reference system; those that state none are left out of the comparison.

    Args:
        files: open rasters of `open_raster`; the first is the image, the others belong to it.
        grid: whether they must lie on one grid as well.

    Raises:
        MissingData: with the names of the two that differ.
    """
    first, *others = [file for file in files if file.crs] or [None]
    for other in others:
        if other.crs != first.crs:
            raise MissingData(
                f"{other.name} and {first.name} differ in reference system, {other.crs} and {first.crs}; replace them"
            )
        if grid and not other.transform.almost_equals(first.transform):
            raise MissingData(f"{other.name} lies on {other.bounds}, {first.name} on {first.bounds}; replace them")


def place_of(*paths: Path, grid: bool = False) -> tuple[float, float] | None:
    """Return the longitude and latitude in degrees of the centre of the first raster that states its place.

    Args:
        paths: an image first, then its masks and its images of other sensors.
        grid: see `require_one_place`.

    Returns:
        None if none of the rasters states a place.

    Raises:
        MissingData: if a raster cannot be read, or two differ in place.
    """
    with ExitStack() as opened:
        files = [opened.enter_context(open_raster(path)) for path in paths]
        require_one_place(files, grid=grid)
        placed = [(path, file) for path, file in zip(paths, files, strict=True) if file.crs]
        if not placed:
            return None
        with reading(placed[0][0]):
            longitude, latitude = placed[0][1].lnglat()
        return float(longitude), float(latitude)
