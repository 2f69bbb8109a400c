"""What the suites of Copernicus-Bench share: where the files lie, rasters read as samples, and the download.

`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__ consists of 15 datasets of
the Sentinels 1, 2, 3 and 5P (Wang et al. 2025, arXiv 2503.11849). Each lies in its own folder below
``copernicus_bench/``, as its archive unpacks and as torchgeo's ``CopernicusBench`` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    check_shape,
    fetch_archive,
    is_there,
    listed_path,
    locate,
    place_of,
    read_image,
    read_lines,
    read_raster,
    reading,
    require_all,
    require_distinct,
)

if TYPE_CHECKING:
    import numpy as np

FOLDER = "copernicus_bench"
HOST = "https://hf.co/datasets/wangyi111/Copernicus-Bench/resolve/9d252acd3aa0e3da3128e05c6f028647f0e48e5f/"
PAPER = "Wang et al., Towards a Unified Copernicus Foundation Model for Earth Vision, arXiv 2503.11849"
SPLITS = ("train", "val", "test")
IGNORED = -1
DAY = r"(\d{4})(\d{2})(\d{2})T\d{6}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One sample as the publisher lists it.

    Attributes:
        id: unique over all splits.
        block: its resampling unit.
        images: per date, the files that hold its bands one after the other.
        target: file of a mask or of values; for other tasks the class or the multi-hot vector.
    """

    id: str
    block: str
    images: tuple[tuple[Path, ...], ...]
    target: Any


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one dataset lies on disk.

    Attributes:
        directory: folder of the dataset below ``copernicus_bench/``.
        lists: file name of a split's list in it, with ``{}`` for the split.
        archive: path of its archive on the publisher's host, and its MD5.
        stored: bands of an image in the order of its files.
        entries: (directory, split, task) -> samples that the split's list holds.
        scale: per stored band, factor from stored to declared unit; empty for 1.
        codes: task -> stored mask code -> class, or -1 for what is ignored.
        varies: whether images and targets differ a little in size and are resized to the suite's size.
        placed: whether the images carry their place.
        day: pattern of the date (year, month, day, or the first of them) in the name of an image file.
        images_in: file name of the list that states the images, with ``{}`` for the split, if it is another list.
    """

    directory: str
    lists: str
    archive: tuple[str, str]
    stored: tuple[Band, ...]
    entries: Callable[[Path, str, str], list[Entry]]
    scale: tuple[float, ...] = ()
    codes: Mapping[str, Mapping[int, int]] | None = None
    varies: bool = False
    placed: bool = True
    day: str = ""
    images_in: str = ""


def static_entries(directory: Path, split: str, targets: str, block: Callable[[str], str]) -> list[Entry]:
    """Return the samples of ``static_fnames-<split>.csv``: per place (its id) the one image of the benchmark.

    Args:
        directory: folder of the dataset.
        split: name of the split.
        targets: folder of the targets, one GeoTIFF per place.
        block: place -> resampling unit.

    Raises:
        MissingData: if the list is absent or damaged.
    """
    listed = directory / f"static_fnames-{split}.csv"
    entries = []
    for line in read_lines(listed):
        place, comma, file = line.partition(",")
        if not comma:
            raise MissingData(f"{listed}: {line[:100]!r} is not <place>,<file>; replace it")
        image = listed_path(directory / "s3_olci", f"{place}/{file}", listed)
        target = listed_path(directory / targets, f"{place}.tif", listed)
        entries.append(Entry(id=place, block=block(place), images=((image,),), target=target))
    return entries


def read_flags(path: Path, names: int, classes: int) -> dict[tuple[str, ...], np.ndarray]:
    """Return the multi-hot vectors of a CSV with a header.

    Args:
        path: the file.
        names: number of columns that hold names.
        classes: number of columns with flags of 0 and 1 after them.

    Returns:
        The names of a row -> its flags, (classes,) int64.

    Raises:
        MissingData: if the file is absent or damaged, a row has another length, a flag is neither 0 nor 1, or a row is
            listed twice.
    """
    import csv

    import numpy as np

    with reading(path, "a CSV file"):
        rows = list(csv.reader(read_lines(path)))[1:]
    if not rows:
        raise MissingData(f"{path} has a header and no rows; download it again")
    flags: dict[tuple[str, ...], np.ndarray] = {}
    for number, row in enumerate(rows, start=2):
        values = row[names:]
        if len(values) != classes or not set(values) <= {"0", "1"}:
            raise MissingData(
                f"{path}, line {number}: expected {names} names and {classes} flags of 0 or 1; replace it"
            )
        if tuple(row[:names]) in flags:
            raise MissingData(f"{path}, line {number}: {row[0]} is listed twice; replace it")
        flags[tuple(row[:names])] = np.array(values).astype(np.int64)
    return flags


def _fitted(values: np.ndarray, size: tuple[int, int], path: Path, *, smooth: bool) -> np.ndarray:
    """Return (C, H, W) resized to `size`: cubic, as the publisher does with images, or by the nearest pixel."""
    import numpy as np

    tall, wide = values.shape[1:]
    if (tall, wide) == size:
        return values
    if not (size[0] / 4 <= tall <= size[0] * 4 and size[1] / 4 <= wide <= size[1] * 4):
        raise MissingData(f"{path} has {tall} x {wide} pixels, far from {size}; replace it by the published file")
    if smooth:
        import torch

        # The same kernel and pixel centres as the publisher's; pixels that touch no-data become no-data.
        tensor = torch.from_numpy(np.ascontiguousarray(values))[None]
        fitted: np.ndarray = torch.nn.functional.interpolate(tensor, size=size, mode="bicubic")[0].numpy()
        return fitted
    # By the centres of pixels; the publisher's library takes the corners, which is off by up to half a pixel.
    rows = ((np.arange(size[0]) + 0.5) * tall / size[0]).astype(np.int64)
    columns = ((np.arange(size[1]) + 0.5) * wide / size[1]).astype(np.int64)
    nearest: np.ndarray = values[:, rows][:, :, columns]
    return nearest


def _raster(path: Path, bands: int, size: tuple[int, int], *, varies: bool, jointly: Sequence[int] = ()) -> np.ndarray:
    """Return (bands, H, W) as float32, NaN where the file declares no data; see `suites.reading.read_image`."""
    values = read_image(path, None if varies else (bands, *size), jointly=jointly)
    check_shape(path, values.shape, (bands, -1, -1))
    return values


def _mask(path: Path, size: tuple[int, int], codes: Mapping[int, int], *, varies: bool) -> np.ndarray:
    """Return the classes of a mask, after checking that its codes are the dataset's."""
    import numpy as np

    stored = read_raster(path, None if varies else (1, *size))
    check_shape(path, stored.shape, (1, -1, -1))
    present = np.unique(stored)
    if strange := [code for code in present.tolist() if code not in codes]:
        raise MissingData(f"{path} holds the code {strange[0]}; a label is one of {sorted(codes)}: replace it")
    classes: np.ndarray = np.array([codes[int(code)] for code in present], np.int64)
    mask: np.ndarray = _fitted(classes[np.searchsorted(present, stored)], size, path, smooth=False)[0]
    return mask


def _values(path: Path, size: tuple[int, int], *, varies: bool) -> np.ndarray:
    """Return a map of values, NaN where there is none (the publisher marks that by infinities and by +-1e30)."""
    import numpy as np

    stored = _raster(path, 1, size, varies=varies)
    stored[~(np.abs(stored) <= 1e10)] = np.nan
    values: np.ndarray = _fitted(stored, size, path, smooth=False)[0]
    return values


def _place(paths: Sequence[Path]) -> tuple[float, float] | None:
    """Return longitude and latitude of the image's centre, after checking that image and label share a place."""
    where = place_of(*paths)
    # The longitudes of some swaths across the date line exceed 180 degrees.
    return ((where[0] + 180) % 360 - 180, where[1]) if where else None


def _image(files: Sequence[Path], layout: Layout, size: tuple[int, int], columns: Sequence[int]) -> np.ndarray:
    """Return the wanted bands of one date as float32 (C, H, W) in the declared unit, NaN where there is no data."""
    import numpy as np

    each, optical = len(layout.stored) // len(files), layout.stored[0].sensor == "s2"
    rasters = [_raster(file, each, size, varies=layout.varies, jointly=(0,) if optical else ()) for file in files]
    for file, raster in zip(files, rasters, strict=True):
        check_shape(file, raster.shape, rasters[0].shape)
    values = np.concatenate(rasters)
    picked: np.ndarray = values[list(columns)]
    if optical:
        picked[:, (values == 0).all(axis=0)] = np.nan
    if layout.scale:
        picked *= np.array([layout.scale[column] for column in columns], np.float32)[:, None, None]
    return _fitted(picked, size, files[0], smooth=True)


def _day(file: Path, pattern: str) -> tuple[int, int, int]:
    """Return year, month and day that a file name states, -1 for what it does not."""
    match = re.search(pattern, file.name) if pattern else None
    parts = [int(part) for part in match.groups()] if match else []
    year, month, day = [*parts, -1, -1, -1][:3]
    return year, month, day


def _reader(suite: Suite, layout: Layout, task: Task) -> Callable[[Entry], object]:
    """Return a function that reads the target of an entry."""
    if task.kind in ("segmentation", "change"):
        codes = (layout.codes or {})[task.name]
        return lambda entry: _mask(entry.target, suite.image_size, codes, varies=layout.varies)
    if task.kind == "dense_regression":
        return lambda entry: _values(entry.target, suite.image_size, varies=layout.varies)
    return lambda entry: entry.target


def _summary(task: Task, target: Any) -> Any:
    """Return the row of `bench.core.Split.targets` for one target."""
    import numpy as np

    if task.kind in ("segmentation", "change"):
        return [(target == code).any() for code in range(len(task.classes))]
    if task.kind == "dense_regression":
        return [np.nanmean(target) if np.isfinite(target).any() else np.nan]
    return target


def opened(suite: Suite, layout: Layout, root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split of a dataset; see `bench.core.Suite.open`.

    Raises:
        UnknownName: if the suite has no such task, split or band.
        MissingData: if a file is absent or damaged, or a sample is listed twice.
    """
    import numpy as np

    asked = check_request(suite, task, split, bands)
    names = {name: layout.lists.format(name) for name in SPLITS}
    markers = [f"{layout.directory}/{name}" for name in names.values()]
    directory = locate(suite.name, root, FOLDER, markers, "get it with download=true") / layout.directory
    present = [name for name in SPLITS if name == split or is_there(directory / names[name])]
    listed = {name: layout.entries(directory, name, task) for name in present}
    require_distinct(suite.name, {name: [entry.id for entry in entries] for name, entries in listed.items()}, names)
    entries = listed[split]
    images_in = layout.images_in.format(split) or names[split]
    require_all([file for entry in entries for date in entry.images for file in date], suite.name, images_in)
    require_all([entry.target for entry in entries if isinstance(entry.target, Path)], suite.name, names[split])
    [(sensor, columns)] = by_sensor(bands, [band.name for band in layout.stored]).items()
    target_of = _reader(suite, layout, asked)

    def read(index: int) -> Sample:
        entry = entries[index]
        target = target_of(entry)
        files = [entry.images[0][0], *([entry.target] if isinstance(entry.target, Path) else [])]
        return Sample(
            images={sensor: np.stack([_image(date, layout, suite.image_size, columns) for date in entry.images])},
            target=target,
            when=np.array([_day(date[0], layout.day) for date in entry.images], np.int32) if layout.day else None,
            where=_place(files) if layout.placed else None,
        )

    def read_targets() -> np.ndarray:
        kind = np.float32 if asked.kind == "dense_regression" else np.int64
        return np.array([_summary(asked, target_of(entry)) for entry in entries], kind)

    return Samples(
        ids=[entry.id for entry in entries],
        blocks=[entry.block for entry in entries],
        read=read,
        read_targets=read_targets,
    )


def fetched(layout: Layout, root: Path, fetch: Fetch) -> None:
    """Put the archive of a dataset below ``root/copernicus_bench`` and unpack it there.

    Raises:
        MissingData: if the archive is damaged.
    """
    folder, (path, md5) = root / FOLDER, layout.archive
    if not (folder / Path(layout.directory).parts[0]).exists():
        fetch_archive(fetch, HOST + path, folder / Path(path).name, folder, md5=md5)
