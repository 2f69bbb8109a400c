"""GEO-Bench version 1: reading the HDF5 files of its twelve datasets without unpickling anything.

The `GEO-Bench <https://github.com/ServiceNow/geo-bench>`__ benchmark, version 1.0, made of twelve published datasets.

Dataset format, below ``classification_v1.0/<dataset>/`` or ``segmentation_v1.0/<dataset>/``:

* ``<sample>.hdf5``: one array per band, named like ``02 - Blue`` or, where a date is known, ``02 - Blue_2019-11-15``;
  for segmentation also the mask ``label`` (or ``label_<date>``); one attribute ``pickle`` with everything else,
  including the class
* ``default_partition.json``: sample names of ``train``, ``valid`` and ``test``
* ``0.01x_train_partition.json`` and so on: smaller training lists, not read, since this harness draws its own subsets
* ``label_map.json``: class -> samples; ``label_stats.json``: sample -> multi-hot label, or share of classes in a mask
* ``band_stats.json``, ``task_specs.pkl``: not read

The publisher's package unpickles ``task_specs.pkl`` and the attribute of every sample. A pickle is a program, so the
facts of ``task_specs.pkl`` are written in each suite here, and the class of a sample that no JSON file lists is looked
up among the opcodes of its attribute, which runs none of them.

If you use it, please cite https://doi.org/10.48550/arXiv.2306.03831 and the dataset itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.core import Band, Fetch, Sample, Suite
from bench.core.errors import MissingData
from suites.reading import (
    Samples,
    check_request,
    check_type,
    declared_pixels,
    fetch_archive,
    listed_path,
    locate,
    open_hdf5,
    read_dataset,
    read_json,
    reading,
    require,
    require_all,
    require_distinct,
)

if TYPE_CHECKING:
    import numpy as np

    from suites.reading.hdf5 import ClosedGroup

FOLDER = "geobench"
CITATION = "; GEO-Bench: Lacoste et al., NeurIPS 2023, arXiv:2306.03831"
# One archive per dataset in one folder; the publisher states neither sizes nor hashes.
URL = "https://hf.co/datasets/recursix/geo-bench-1.0/resolve/main/"
PARTITION = "default_partition.json"
SPLITS = {"train": "train", "val": "valid", "test": "test"}
# Canonical name of a Sentinel-2 band -> its name in the files, for datasets whose names are right.
SENTINEL2 = {
    "b01": "01 - Coastal aerosol",
    "b02": "02 - Blue",
    "b03": "03 - Green",
    "b04": "04 - Red",
    "b05": "05 - Vegetation Red Edge",
    "b06": "06 - Vegetation Red Edge",
    "b07": "07 - Vegetation Red Edge",
    "b08": "08 - NIR",
    "b8a": "08A - Vegetation Red Edge",
    "b09": "09 - Water vapour",
    "b10": "10 - SWIR - Cirrus",
    "b11": "11 - SWIR",
    "b12": "12 - SWIR",
}
DATED = re.compile(r"(?P<name>.+)_(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)")
RGB = {"rgb.red": "Red", "rgb.green": "Green", "rgb.blue": "Blue"}
# Opcodes of a pickle that push a whole number, and those that only store what was pushed.
NUMBERS = ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1")
MEMO = ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT")


def sentinel2_names(names: str) -> dict[str, str]:
    """Return canonical band -> name in the files, for names separated by spaces, e.g. ``"b04 b03 b02"``."""
    return {f"s2.{name}": SENTINEL2[name] for name in names.split()}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the files of one dataset hold.

    Attributes:
        part: half of the benchmark that the dataset belongs to.
        dataset: name of its folder.
        stored: canonical band -> name of the array that holds it.
        factor: stored value -> value in the unit that the suite declares.
        highest: largest stored value; larger ones show another edition, whose unit is not known.
        coarser: canonical band -> width of one of its pixels in pixels of the image.
        place: sample name -> (longitude, latitude), or None.
        block: sample name -> its resampling unit.
    """

    part: Literal["classification", "segmentation"]
    dataset: str
    stored: Mapping[str, str]
    factor: float = 1.0
    highest: float = math.inf
    coarser: Mapping[str, int] = field(default_factory=dict)
    place: Callable[[str], tuple[float, float] | None] = lambda name: None
    block: Callable[[str], str] = lambda name: name

    @property
    def folder(self) -> str:
        """Folder of the dataset below that of the benchmark."""
        return f"{self.part}_v1.0/{self.dataset}"


def _partition(path: Path) -> dict[str, list[str]]:
    """Return split -> sample names of the publisher's list."""
    lists = read_json(path)
    for split in SPLITS.values():
        names = lists.get(split)
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise MissingData(f"{path}: {split!r} is no list of sample names; download it again")
        if odd := [name for name in names if listed_path(Path(), name, path).name != name]:
            raise MissingData(
                f"{path}: {split!r} is no list of sample names ({odd[0]!r} has a folder); download it again"
            )
    return {ours: list(lists[theirs]) for ours, theirs in SPLITS.items()}


def own_label(path: Path) -> int | None:
    """Return the class that a sample's attribute states, without unpickling it; None if it states no number.

    Raises:
        MissingData: if the file cannot be read, or its attribute is no pickle.
    """
    import ast
    import pickletools

    with open_hdf5(path) as file:
        text = file.attrs["pickle"]
    with reading(f"{path}: its attribute 'pickle'", "a pickle"):
        code = ast.literal_eval(text)
        words = [(op.name, value) for op, value, _ in pickletools.genops(code) if op.name not in MEMO]
    stated = [int(str(value)) for (_, key), (kind, value) in pairwise(words) if key == "label" and kind in NUMBERS]
    return stated[0] if stated else None


def _classes(folder: Path, paths: Mapping[str, Path], count: int) -> dict[str, int]:
    """Return sample -> class code, from the publisher's table or, where there is none, from each file."""
    table = folder / "label_map.json"
    where, codes = table.name, dict.fromkeys(paths)
    if not table.exists():
        where, codes = "its own attribute", {name: own_label(path) for name, path in paths.items()}
    else:
        for key, names in read_json(table).items():
            for name in names if isinstance(names, list) else [None]:
                if not isinstance(name, str):
                    raise MissingData(f"{table}: class {key} is no list of sample names; download it again")
                if codes.get(name) is not None:
                    raise MissingData(f"{table} lists {name} under {codes[name]} and under {key}; download it again")
                codes[name] = int(key) if str(key).isdecimal() and len(key) < 6 else -1
    for name, path in paths.items():
        code = codes[name]
        if code is None or not 0 <= code < count:
            raise MissingData(f"{path}: its class is {code} in {where}, expected 0 to {count - 1}; download it again")
    return {name: int(codes[name] or 0) for name in paths}


def _multi_hot(suite: str, folder: Path, names: Sequence[str], count: int) -> np.ndarray:
    """Return the (n, K) multi-hot labels of the publisher's table."""
    import numpy as np

    table = require(folder / "label_stats.json", suite, "the labels of each sample")
    stats = read_json(table)
    for name in names:
        row = stats.get(name)
        if not isinstance(row, list) or len(row) != count or not all(flag in (0, 1) for flag in row):
            raise MissingData(
                f"{table}: {name} has {str(row)[:100]}, expected {count} values 0 or 1; download it again"
            )
    return np.array([stats[name] for name in names], np.int64)


def _key(file: ClosedGroup, path: Path, name: str) -> tuple[str, tuple[int, int, int] | None]:
    """Return the stored name, with or without a date, of the array `name`, and that date."""
    dates = [(key, DATED.fullmatch(key)) for key in file]
    keys = [(key, dated) for key, dated in dates if key == name or (dated and dated["name"] == name)]
    if len(keys) != 1:
        raise MissingData(f"{path} has {len(keys)} arrays {name!r}, expected one; it holds {', '.join(file)}")
    key, dated = keys[0]
    return key, (int(dated["year"]), int(dated["month"]), int(dated["day"])) if dated else None


def _values(file: ClosedGroup, path: Path, key: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the array of a stored name as (H, W); a band read from a raster of one band may keep that axis."""
    stored = getattr(file[key], "shape", ())
    if stored not in (shape, (*shape, 1)):
        raise MissingData(f"{path}: {key!r} has shape {stored}, expected {shape}; replace it by the published file")
    values = read_dataset(file, key, stored, label=path)
    check_type(f"{path}: {key!r}", values.dtype, "")
    return values.reshape(shape)


def _mask(path: Path, shape: tuple[int, int], count: int) -> np.ndarray:
    import numpy as np

    with open_hdf5(path) as file:
        codes = _values(file, path, _key(file, path, "label")[0], shape)
    odd = [code for code in np.unique(codes).tolist() if code not in range(count)]
    if odd:
        raise MissingData(f"{path}: its mask holds the code {odd[0]}, expected 0 to {count - 1}; replace it")
    return codes.astype(np.int64)


def _images(path: Path, suite: Suite, layout: Layout, bands: Sequence[Band]) -> tuple[dict[str, np.ndarray], Any]:
    """Return sensor -> float32 (1, C, H, W) of the wanted bands, and (1, 3) year, month, day."""
    import numpy as np

    picked: dict[str, list[np.ndarray]] = {}
    dates = set()
    with open_hdf5(path) as file:
        for band in bands:
            name, step = layout.stored[band.name], layout.coarser.get(band.name, 1)
            key, date = _key(file, path, name)
            values = _values(file, path, key, (suite.image_size[0] // step, suite.image_size[1] // step))
            missing = declared_pixels(values, dict(file[key].attrs))
            if (highest := values.max(where=~missing, initial=values.min())) > layout.highest:
                raise MissingData(
                    f"{path}: {name!r} reaches {highest}, expected at most {layout.highest:g}: another edition?"
                )
            values = (values * layout.factor).astype(np.float32)
            values[missing] = np.nan
            values = values.repeat(step, axis=0).repeat(step, axis=1)
            picked.setdefault(band.sensor, []).append(values)
            dates.add(date)
    if len(dates) > 1:
        raise MissingData(f"{path}: its bands are of different dates; replace it by the published file")
    date = dates.pop()
    # The publisher writes 1 January where only the year is known (mosaics, yearly composites).
    when = (-1, -1, -1) if date is None else (date[0], -1, -1) if date[1:] == (1, 1) else date
    return {sensor: np.stack(stack)[None] for sensor, stack in picked.items()}, np.array([when], np.int32)


def _place(path: Path, layout: Layout) -> tuple[float, float] | None:
    try:
        return layout.place(path.name.removesuffix(".hdf5"))
    except ValueError as error:
        raise MissingData(f"{path}: its name states no place ({error}); replace it by the published file") from error


def open_files(suite: Suite, layout: Layout, root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`.

    Raises:
        UnknownName: if the suite has no such task, split or band.
        MissingData: if a file is absent or damaged, or holds something else than the dataset.
    """
    import numpy as np

    wanted = check_request(suite, task, split, bands)
    marker = f"{layout.folder}/{PARTITION}"
    folder = locate(suite.name, root, suite.folder, [marker], "get it with download=true") / layout.folder
    lists = _partition(folder / PARTITION)
    require_distinct(suite.name, lists, PARTITION)
    names = lists[split]
    paths = {name: folder / f"{name}.hdf5" for name in names}
    require_all(list(paths.values()), suite.name, PARTITION)
    count = len(wanted.classes)
    codes = _classes(folder, paths, count) if wanted.kind == "classification" else {}
    hot = _multi_hot(suite.name, folder, names, count) if wanted.kind == "multilabel" else np.empty(0)

    def target(index: int) -> Any:
        name = names[index]
        if wanted.kind == "multilabel":
            return hot[index]
        if wanted.kind == "segmentation":
            return _mask(paths[name], suite.image_size, count)
        stated = own_label(paths[name])
        if stated not in (None, codes[name]):
            raise MissingData(f"{paths[name]} states class {stated}, label_map.json {codes[name]}; download both again")
        return codes[name]

    def read(index: int) -> Sample:
        images, when = _images(paths[names[index]], suite, layout, bands)
        return Sample(images=images, target=target(index), when=when, where=_place(paths[names[index]], layout))

    def read_targets() -> np.ndarray:
        if wanted.kind != "segmentation":
            return hot if wanted.kind == "multilabel" else np.array([codes[name] for name in names], np.int64)
        present = [np.isin(range(count), _mask(path, suite.image_size, count)) for path in paths.values()]
        return np.array(present, np.int64).reshape(-1, count)

    return Samples(ids=names, blocks=[layout.block(name) for name in names], read=read, read_targets=read_targets)


def download_files(layout: Layout, root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive of a dataset below ``root/geobench`` and unpack it there.

    Raises:
        MissingData: if the archive is damaged.
    """
    into = root / FOLDER / f"{layout.part}_v1.0"
    if not (into / layout.dataset / PARTITION).exists():
        fetch_archive(fetch, f"{URL}{layout.folder}.zip", into / f"{layout.dataset}.zip", into)
