"""Locating and reading the files of a suite: rasters, pictures, arrays, HDF5, lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import MissingData

if TYPE_CHECKING:
    import numpy as np


def locate(suite: str, root: Path, folder: str, markers: Sequence[str], how: str) -> Path:
    """Return the folder that holds a suite's files: ``root/folder`` or `root` itself, whichever has a marker.

    Args:
        suite: its name, for the message.
        root: what the user gave as ``data=``.
        folder: the suite's own folder below it.
        markers: paths, any of which shows that a folder is the right one.
        how: how to get the data, for the message.

    Raises:
        MissingData: if neither has one.
    """
    for candidate in (root / folder, root):
        if any((candidate / marker).exists() for marker in markers):
            return candidate
    looked = " or ".join(markers)
    raise MissingData(f"{suite} not found under {root / folder}: looked for {looked}; {how} or set data=...")


def require(path: Path, suite: str, why: str) -> Path:
    """Return `path` if it is there.

    Raises:
        MissingData: naming it, and `why` it is wanted.
    """
    if not path.exists():
        raise MissingData(f"{suite} is incomplete: {path} is absent ({why}); download it again")
    return path


def require_all(paths: Sequence[Path], suite: str, listed_in: str) -> None:
    """Check that every listed file is there.

    Raises:
        MissingData: with how many are absent, and the first of them.
    """
    absent = [path for path in paths if not path.exists()]
    if absent:
        raise MissingData(
            f"{suite} is incomplete: {len(absent)} of {len(paths)} files listed in {listed_in} are absent, "
            f"the first is {absent[0]}; download them again"
        )


def require_distinct(suite: str, ids: Mapping[str, Sequence[str]]) -> None:
    """Check that no sample is listed twice, within a split or across splits.

    Raises:
        MissingData: naming the first id that is, and where.
    """
    seen: dict[str, str] = {}
    for split, names in ids.items():
        for name in names:
            if name in seen:
                raise MissingData(
                    f"{suite} lists {name} twice: in {seen[name]} and in {split}; a sample may be in one split only"
                )
            seen[name] = split


def read_raster(path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return a GeoTIFF as (bands, H, W) in the type it is stored in.

    Args:
        path: the file.
        shape: what it must have.

    Raises:
        MissingData: naming the file if it is absent, damaged, cut short or of another shape.
    """
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as file:
                values: np.ndarray = file.read()
    except (RasterioError, OSError) as error:
        raise MissingData(f"cannot read {path}: {error}; it is absent or damaged, download it again") from error
    if shape is not None and values.shape != shape:
        raise MissingData(f"{path} has shape {values.shape}, expected {shape}; replace it by the published file")
    return values


def require_one_place(files: Sequence[Any], *, grid: bool = False) -> None:
    """Check that opened rasters share a reference system; those that state none are passed over.

    Args:
        files: of rasterio; the first is the image, the others what belongs to it.
        grid: they must lie on one grid as well.

    Raises:
        MissingData: naming the two that differ.
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
    """Return longitude and latitude of the middle of the first raster that states its place, once all are of one place.

    Args:
        paths: an image first, then its masks and its images of other sensors.
        grid: see `require_one_place`.

    Raises:
        MissingData: one cannot be read, or two differ in place.
    """
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    with ExitStack() as opened:
        files = []
        opened.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for path in paths:
            try:
                files.append(opened.enter_context(rasterio.open(path)))
            except (RasterioError, OSError) as error:
                raise MissingData(f"cannot read {path}: {error}; it is absent or damaged, download it again") from error
        require_one_place(files, grid=grid)
        placed = [file.lnglat() for file in files if file.crs]
    return (float(placed[0][0]), float(placed[0][1])) if placed else None


def read_picture(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Return a JPEG or PNG as uint8 (3, H, W), red green blue.

    Raises:
        MissingData: naming the file if it is absent, damaged, cut short or not of `shape`.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as file:
            values = np.asarray(file.convert("RGB")).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError) as error:
        raise MissingData(f"cannot read {path}: {error}; it is absent or damaged, download it again") from error
    if values.shape != shape:
        raise MissingData(f"{path} has shape {values.shape}, expected {shape}; replace it by the published file")
    return values


def read_array(path: Path) -> np.ndarray:
    """Return a NumPy file's array, without unpickling anything.

    Raises:
        MissingData: naming the file if it is absent, damaged or cut short.
    """
    import numpy as np

    try:
        values: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise MissingData(f"cannot read {path}: {error}; it is absent or damaged, download it again") from error
    return values


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file; what goes wrong inside is reported with its name.

    Raises:
        MissingData: naming the file if it is damaged, cut short, or lacks an array asked for.
    """
    import h5py  # type: ignore[import-untyped,unused-ignore]

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError) as error:
        raise MissingData(f"cannot read {path}: {error}; it is damaged or cut short, download it again") from error


def read_lines(path: Path) -> list[str]:
    """Return the non-empty lines of a list file.

    Raises:
        MissingData: naming the file if it is absent, empty or not text.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise MissingData(f"cannot read {path}: {error}; download it again") from error
    if not lines:
        raise MissingData(f"{path} lists nothing; download it again")
    return lines
