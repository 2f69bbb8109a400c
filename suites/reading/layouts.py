"""Layouts on disk that suites of different publishers share: one folder per class, and classes coded one-hot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite
from bench.core.errors import MissingData
from suites.reading.archives import fetch_archive
from suites.reading.documents import read_lines, read_table
from suites.reading.files import is_there, listed_stem, locate, require_all, require_distinct
from suites.reading.hdf5 import open_hdf5, read_dataset
from suites.reading.samples import Samples, by_sensor, check_request

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class ClassFolders:
    """Layout of a dataset with one folder of pictures per class, and one list of file names per split.

    Attributes:
        title: name of the dataset, for messages.
        images: where the folders of classes lie, below the suite's folder.
        ending: ending of a picture's file name; endings in the lists are ignored.
        lists: split -> the file name of its list, and the MD5 of that list.
        table: name of a CSV of class, file and split that replaces the lists where it exists, or ``""``.
        kind: name of a picture, without ending -> its class.
        read: path -> (C, H, W) as stored.
        stored: the bands of a picture in the order of its file.
        lists_at: link to the folder of the lists.
        archive: link to the archive, its name here, and its MD5.
    """

    title: str
    images: Path
    ending: str
    lists: Mapping[str, tuple[str, str]]
    table: str = ""
    kind: Callable[[str], str] = lambda name: name.rpartition("_")[0]
    read: Callable[[Path], np.ndarray]
    stored: tuple[Band, ...]
    lists_at: str
    archive: tuple[str, str, str]


def open_class_folders(
    suite: Suite, layout: ClassFolders, root: Path, task: str, split: str, bands: tuple[Band, ...]
) -> Samples:
    """Return an opened split of a classification; see `bench.core.Suite.open`.

    Raises:
        UnknownName: if the suite has no such task, split or band.
        MissingData: if a list or picture is absent or damaged, a picture is listed twice, or a class is unknown.
    """
    classes = check_request(suite, task, split, bands).classes
    markers = [*([layout.table] if layout.table else []), *(file for file, _ in layout.lists.values())]
    folder = locate(suite.name, root, suite.folder, markers, "get it with download=true")
    if layout.table and is_there(folder / layout.table):
        source, lists = layout.table, _read_table(folder / layout.table, layout, classes)
    else:
        source = layout.lists[split][0]
        lists = {
            name: [listed_stem(line, folder / file) for line in read_lines(folder / file)]
            for name, (file, _) in layout.lists.items()
        }
    files = {name: file for name, (file, _) in layout.lists.items()}
    require_distinct(suite.name, lists, source if source == layout.table else files)
    ids = lists[split]
    kinds = [layout.kind(name) for name in ids]
    if strange := [kind for kind in kinds if kind not in classes]:
        raise MissingData(f"{folder / source}: {strange[0]!r} is no class of {layout.title} ({', '.join(classes)})")
    labels = [classes.index(kind) for kind in kinds]
    paths = [folder / layout.images / kind / f"{name}{layout.ending}" for name, kind in zip(ids, kinds, strict=True)]
    require_all(paths, suite.name, source)
    [(sensor, columns)] = by_sensor(bands, [band.name for band in layout.stored]).items()

    def read(index: int) -> Sample:
        return Sample(images={sensor: layout.read(paths[index])[columns][None].astype("float32")}, target=labels[index])

    def read_targets() -> np.ndarray:
        import numpy as np

        return np.array(labels)

    return Samples(ids=ids, blocks=ids, read=read, read_targets=read_targets)


def _read_table(path: Path, layout: ClassFolders, classes: tuple[str, ...]) -> dict[str, list[str]]:
    """Return split -> names of pictures, in the order of the table."""
    splits: dict[str, list[str]] = {name: [] for name in layout.lists}
    for number, row in enumerate(read_table(path, ("class", "file", "split")), start=2):
        if row["class"] not in classes or row["split"] not in splits:
            raise MissingData(
                f"{path}, line {number}: cannot use class {row['class']!r} and split {row['split']!r}; a class of "
                f"{layout.title} and one of {', '.join(splits)} are expected"
            )
        splits[row["split"]].append(listed_stem(row["file"], path))
    return splits


def download_class_folders(suite: Suite, layout: ClassFolders, root: Path, fetch: Fetch) -> None:
    """Put the lists and the archive, unpacked, below the suite's folder.

    Raises:
        MissingData: if the archive is damaged.
    """
    folder = root / suite.folder
    for file, md5 in layout.lists.values():
        fetch(f"{layout.lists_at}{file}", folder / file, md5=md5)
    if not (folder / layout.images).exists():
        url, file, md5 = layout.archive
        fetch_archive(fetch, url, folder / file, folder, md5=md5)


def one_hot_codes(path: Path, classes: int, images: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    """Return the class codes (n,) int64 of an HDF5 file of patches, after checking the shapes of its arrays.

    Args:
        path: file with the array ``label``, (n, classes) of 0 and 1, and the arrays of `images`.
        classes: number of classes.
        images: array -> its shape without the first axis, which has length n.

    Raises:
        MissingData: if the file is damaged, an array has another shape, or a row of ``label`` is not one class.
    """
    import numpy as np

    with open_hdf5(path) as file:
        hot = read_dataset(file, "label", (-1, classes), label=path)
        for name, shape in images.items():
            actual = getattr(file[name], "shape", None)
            if actual != (len(hot), *shape):
                raise MissingData(f"{path}: {name} has shape {actual}, expected {(len(hot), *shape)}; replace the file")
    odd = np.flatnonzero(~(np.isin(hot, (0, 1)).all(axis=1) & (hot.sum(axis=1) == 1)))
    if odd.size:
        raise MissingData(
            f"{path}: label {odd[0]} is {hot[odd[0]].tolist()}, not one class of {classes}; replace the file"
        )
    codes: np.ndarray = hot.argmax(axis=1).astype(np.int64)
    return codes
