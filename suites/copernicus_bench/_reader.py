"""What the suites of Copernicus-Bench share: where its files lie, how rasters become samples, and the download.

`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__ is 15 datasets of the
Sentinels 1, 2, 3 and 5P (Wang et al. 2025, arXiv 2503.11849). Each lies in a folder of its own below
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
from suites.reading.archives import fetch_archive
from suites.reading.files import locate, place_of, read_lines, read_raster, require_all, require_distinct
from suites.reading.samples import Samples, by_sensor, check_request

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
    """One sample as listed.

    Attributes:
        id: unique over all splits.
        block: its resampling unit.
        images: a date each, the files that hold its bands one after the other.
        target: file of a mask or of values; otherwise the class or the multi-hot vector.
    """

    id: str
    block: str
    images: tuple[tuple[Path, ...], ...]
    target: Any


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one dataset lies on disk.

    Attributes:
        directory: below ``copernicus_bench/``.
        lists: name of a split's list in it, ``{}`` standing for the split.
        archive: path of its archive on the publisher's host, and MD5.
        stored: bands of an image in the order of its files.
        entries: (directory, split, task) -> what the split's list holds.
        scale: of each stored band, factor from stored to declared unit; empty for 1.
        codes: task -> stored mask code -> class, or -1 for what is ignored.
        varies: images and targets differ a little in size and are brought to the suite's.
        placed: the georeference is that of the image.
        day: pattern of the date (year, month, day, or the first of them) in the name of an image file.
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


def static_entries(directory: Path, split: str, targets: str, block: Callable[[str], str]) -> list[Entry]:
    """Return what ``static_fnames-<split>.csv`` lists: of each place (its id) the one image of the benchmark.

    Args:
        directory: of the dataset.
        split: of it.
        targets: folder of the targets, a GeoTIFF a place.
        block: place -> resampling unit.
    """
    entries = []
    for line in read_lines(directory / f"static_fnames-{split}.csv"):
        place, comma, file = line.partition(",")
        if not comma:
            raise MissingData(f"{directory / f'static_fnames-{split}.csv'}: {line!r} is not <place>,<file>; replace it")
        image = directory / "s3_olci" / place / file
        target = directory / targets / f"{place}.tif"
        entries.append(Entry(id=place, block=block(place), images=((image,),), target=target))
    return entries


def read_flags(path: Path, names: int, classes: int) -> dict[tuple[str, ...], np.ndarray]:
    """Return the first `names` columns of a CSV with a header -> the multi-hot vector in the columns after them.

    Raises:
        MissingData: if a row has another length or a flag is neither 0 nor 1, or a name is listed twice.
    """
    import csv

    import numpy as np

    found: dict[tuple[str, ...], np.ndarray] = {}
    for number, row in enumerate(list(csv.reader(read_lines(path)))[1:], start=2):
        flags = row[names:]
        if len(flags) != classes or not set(flags) <= {"0", "1"}:
            raise MissingData(
                f"{path}, line {number}: expected {names} names and {classes} flags of 0 or 1; replace it"
            )
        if tuple(row[:names]) in found:
            raise MissingData(f"{path}, line {number}: {row[0]} is listed twice; replace it")
        found[tuple(row[:names])] = np.array(flags).astype(np.int64)
    return found


def _fitted(values: np.ndarray, size: tuple[int, int], path: Path, *, smooth: bool) -> np.ndarray:
    """Return (C, H, W) brought to `size`: cubic, as the publisher does with images, or the nearest value."""
    import numpy as np

    tall, wide = values.shape[1:]
    if (tall, wide) == size:
        return values
    if not (size[0] / 4 <= tall <= size[0] * 4 and size[1] / 4 <= wide <= size[1] * 4):
        raise MissingData(f"{path} has {tall} x {wide} pixels, far from {size}; replace it by the published file")
    if smooth:
        import torch

        # The same kernel and pixel centres as the publisher's; what touches no data is no data.
        tensor = torch.from_numpy(np.ascontiguousarray(values))[None]
        fitted: np.ndarray = torch.nn.functional.interpolate(tensor, size=size, mode="bicubic")[0].numpy()
        return fitted
    # By the centres of pixels; the publisher's library takes the corners, which is up to half a pixel off.
    rows = ((np.arange(size[0]) + 0.5) * tall / size[0]).astype(np.int64)
    columns = ((np.arange(size[1]) + 0.5) * wide / size[1]).astype(np.int64)
    nearest: np.ndarray = values[:, rows][:, :, columns]
    return nearest


def _raster(path: Path, bands: int, size: tuple[int, int], *, varies: bool) -> np.ndarray:
    values = read_raster(path, None if varies else (bands, *size))
    if len(values) != bands:
        raise MissingData(f"{path} has {len(values)} bands, expected {bands}; replace it by the published file")
    return values


def _mask(path: Path, size: tuple[int, int], codes: Mapping[int, int], *, varies: bool) -> np.ndarray:
    """Return a mask's classes, once its codes are known to be of the dataset."""
    import numpy as np

    stored = _raster(path, 1, size, varies=varies)
    present = np.unique(stored)
    if strange := [code for code in present.tolist() if code not in codes]:
        raise MissingData(f"{path} holds the code {strange[0]}; a label is one of {sorted(codes)}: replace it")
    classes: np.ndarray = np.array([codes[int(code)] for code in present], np.int64)
    mask: np.ndarray = _fitted(classes[np.searchsorted(present, stored)], size, path, smooth=False)[0]
    return mask


def _values(path: Path, size: tuple[int, int], *, varies: bool) -> np.ndarray:
    """Return a map of values, NaN where it has none (the publisher marks that by infinities and +-1e30 alike)."""
    import numpy as np

    stored = _raster(path, 1, size, varies=varies).astype(np.float32)
    stored[~(np.abs(stored) <= 1e10)] = np.nan
    values: np.ndarray = _fitted(stored, size, path, smooth=False)[0]
    return values


def _place(paths: Sequence[Path]) -> tuple[float, float] | None:
    """Return longitude and latitude of the image's middle, once image and label are known to be of one place."""
    where = place_of(*paths)
    # Some swaths across the date line count on beyond 180 degrees.
    return ((where[0] + 180) % 360 - 180, where[1]) if where else None


def _image(files: Sequence[Path], layout: Layout, size: tuple[int, int], columns: Sequence[int]) -> np.ndarray:
    """Return the wanted bands of one date as float32 (C, H, W) in the declared unit, NaN where there is no data."""
    import numpy as np

    each = len(layout.stored) // len(files)
    values = np.concatenate([_raster(file, each, size, varies=layout.varies) for file in files])
    picked: np.ndarray = values[list(columns)].astype(np.float32)
    if layout.stored[0].sensor == "s2":
        picked[:, (values == 0).all(axis=0)] = np.nan
    if layout.scale:
        picked *= np.array([layout.scale[column] for column in columns], np.float32)[:, None, None]
    return _fitted(picked, size, files[0], smooth=True)


def _day(file: Path, pattern: str) -> tuple[int, int, int]:
    found = re.search(pattern, file.name) if pattern else None
    parts = [int(part) for part in found.groups()] if found else []
    year, month, day = [*parts, -1, -1, -1][:3]
    return year, month, day


def _reader(suite: Suite, layout: Layout, task: Task) -> Callable[[Entry], Any]:
    """Return entry -> target."""
    if task.kind in ("segmentation", "change"):
        codes = (layout.codes or {})[task.name]
        return lambda entry: _mask(entry.target, suite.image_size, codes, varies=layout.varies)
    if task.kind == "dense_regression":
        return lambda entry: _values(entry.target, suite.image_size, varies=layout.varies)
    return lambda entry: entry.target


def _summary(task: Task, target: Any) -> Any:
    """Return what `targets` says of one target."""
    import numpy as np

    if task.kind in ("segmentation", "change"):
        return [(target == code).any() for code in range(len(task.classes))]
    if task.kind == "dense_regression":
        return [np.nanmean(target) if np.isfinite(target).any() else np.nan]
    return target


def opened(suite: Suite, layout: Layout, root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split of a dataset; see `bench.core.Suite.open`."""
    import numpy as np

    found = check_request(suite, task, split, bands)
    names = {name: layout.lists.format(name) for name in SPLITS}
    markers = [f"{layout.directory}/{name}" for name in names.values()]
    directory = locate(suite.name, root, FOLDER, markers, "get it with download=true") / layout.directory
    present = [name for name in SPLITS if name == split or (directory / names[name]).exists()]
    listed = {name: layout.entries(directory, name, task) for name in present}
    require_distinct(suite.name, {name: [entry.id for entry in entries] for name, entries in listed.items()})
    entries = listed[split]
    require_all([file for entry in entries for date in entry.images for file in date], suite.name, names[split])
    require_all([entry.target for entry in entries if isinstance(entry.target, Path)], suite.name, names[split])
    [(sensor, columns)] = by_sensor(bands, [band.name for band in layout.stored]).items()
    target_of = _reader(suite, layout, found)

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
        kind = np.float32 if found.kind == "dense_regression" else np.int64
        return np.array([_summary(found, target_of(entry)) for entry in entries], kind)

    return Samples(
        ids=[entry.id for entry in entries],
        blocks=[entry.block for entry in entries],
        read=read,
        read_targets=read_targets,
    )


def fetched(layout: Layout, root: Path, fetch: Fetch) -> None:
    """Put a dataset's archive below ``root/copernicus_bench`` and unpack it there."""
    folder, (path, md5) = root / FOLDER, layout.archive
    if not (folder / Path(layout.directory).parts[0]).exists():
        fetch_archive(fetch, HOST + path, folder / Path(path).name, folder, md5=md5)
