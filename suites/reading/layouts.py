"""Layouts on disk that suites of different publishers share: folders of classes, and class codes written one-hot."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite
from bench.core.errors import MissingData
from suites.reading.archives import fetch_archive
from suites.reading.files import locate, open_hdf5, read_lines, require_all, require_distinct
from suites.reading.samples import Samples, by_sensor, check_request

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class ClassFolders:
    """One folder of pictures a class, and a list of file names a split.

    Attributes:
        title: name of the dataset, for messages.
        images: where the folders of classes lie, below the suite's.
        ending: of a picture's file name, whatever the lists say.
        lists: split -> its list and that list's MD5.
        table: a CSV of class, file and split that overrides the lists where it is there, or ``""``.
        kind: name of a picture, without ending -> its class.
        read: path -> (C, H, W) as stored.
        stored: the bands of a picture in the order of its file.
        lists_at: where the lists are fetched from.
        archive: link to the archive, its name here, and MD5.
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
    """Return an opened split; see `bench.core.Suite.open`."""
    classes = check_request(suite, task, split, bands).classes
    markers = [*([layout.table] if layout.table else []), *(file for file, _ in layout.lists.values())]
    folder = locate(suite.name, root, suite.folder, markers, "get it with download=true")
    if layout.table and (folder / layout.table).exists():
        source, lists = layout.table, _read_table(folder / layout.table, layout, classes)
    else:
        source = layout.lists[split][0]
        lists = {
            name: [Path(line).stem for line in read_lines(folder / file)] for name, (file, _) in layout.lists.items()
        }
    require_distinct(suite.name, lists)
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
    for row in csv.DictReader(read_lines(path)):
        if row.get("class") not in classes or row.get("split") not in splits or not row.get("file"):
            raise MissingData(
                f"{path}: cannot use the row {dict(row)}; it needs class, file, split as in {layout.title}"
            )
        splits[row["split"]].append(Path(row["file"]).stem)
    return splits


def download_class_folders(suite: Suite, layout: ClassFolders, root: Path, fetch: Fetch) -> None:
    """Put the lists and the archive, unpacked, below the suite's folder."""
    folder = root / suite.folder
    for file, md5 in layout.lists.values():
        fetch(f"{layout.lists_at}{file}", folder / file, md5=md5)
    if not (folder / layout.images).exists():
        url, file, md5 = layout.archive
        fetch_archive(fetch, url, folder / file, folder, md5=md5)


def one_hot_codes(path: Path, classes: int, images: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    """Return the class codes of an HDF5 file of patches, once its arrays are known to be those published.

    Args:
        path: has the array ``label``, (n, classes) of 0 and 1, and those of `images`.
        classes: how many there are.
        images: array -> what its shape is behind the n.

    Raises:
        MissingData: the file is damaged, an array has another shape, or a row is not one class.
    """
    import numpy as np

    with open_hdf5(path) as file:
        shapes = {name: file[name].shape for name in ("label", *images)}
        hot = np.asarray(file["label"])
    count = shapes["label"][0]
    for name, shape in {"label": (classes,), **images}.items():
        if shapes[name] != (count, *shape):
            raise MissingData(
                f"{path}: {name} has shape {shapes[name]}, expected {(count, *shape)}; replace it by the published"
            )
    odd = np.flatnonzero(~(np.isin(hot, (0, 1)).all(axis=1) & (hot.sum(axis=1) == 1)))
    if odd.size:
        raise MissingData(
            f"{path}: label {odd[0]} is {hot[odd[0]].tolist()}, not one class of {classes}; replace the file"
        )
    codes: np.ndarray = hot.argmax(axis=1).astype(np.int64)
    return codes
