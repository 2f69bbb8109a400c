"""GEO-Bench version 1: how the HDF5 files of its twelve datasets are read, without unpickling anything.

The `GEO-Bench <https://github.com/ServiceNow/geo-bench>`__ benchmark, version 1.0, made of twelve published datasets.

Dataset format, below ``classification_v1.0/<dataset>/`` or ``segmentation_v1.0/<dataset>/``:

* ``<sample>.hdf5``: an array a band, named like ``02 - Blue`` or, where a date is known, ``02 - Blue_2019-11-15``; of
  segmentation also the mask ``label`` (or ``label_<date>``); one attribute ``pickle`` with everything else, the class
  among it
* ``default_partition.json``: lists ``train``, ``valid`` and ``test`` of sample names
* ``0.01x_train_partition.json`` and so on: smaller training lists, not read, as this harness draws its own subsets
* ``label_map.json``: class -> samples; ``label_stats.json``: sample -> multi-hot label, or share of classes in a mask
* ``band_stats.json``, ``task_specs.pkl``: not read

The publisher's package unpickles ``task_specs.pkl`` and the attribute of every sample. A pickle is a program, so here
the facts of ``task_specs.pkl`` are written down in each suite, and the class of a sample that no JSON file lists is
looked up among the opcodes of its attribute, which runs none of them.

If you use it, please cite https://doi.org/10.48550/arXiv.2306.03831 and the dataset itself.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.core import Band, Fetch, Sample, Suite
from bench.core.errors import MissingData
from suites.reading.archives import fetch_archive
from suites.reading.files import locate, open_hdf5, require, require_all, require_distinct
from suites.reading.samples import Samples, check_request

if TYPE_CHECKING:
    import numpy as np

FOLDER = "geobench"
CITATION = "; GEO-Bench: Lacoste et al., NeurIPS 2023, arXiv:2306.03831"
# One archive a dataset, beside each other; the publisher states neither sizes nor hashes.
URL = "https://hf.co/datasets/recursix/geo-bench-1.0/resolve/main/"
PARTITION = "default_partition.json"
SPLITS = {"train": "train", "val": "valid", "test": "test"}
# Canonical name of a Sentinel-2 band -> its name in the files, where those tell the truth.
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
# Opcodes of a pickle that push a whole number, and those that only remember what was pushed.
NUMBERS = ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1")
MEMO = ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT")


def sentinel2_names(names: str) -> dict[str, str]:
    """Return canonical band -> name in the files, for names parted by spaces, e.g. ``"b04 b03 b02"``."""
    return {f"s2.{name}": SENTINEL2[name] for name in names.split()}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the files of one dataset hold.

    Attributes:
        part: which half of the benchmark.
        dataset: its folder.
        stored: canonical band -> name in the files of the array that holds it.
        factor: stored value -> value in the unit the suite declares.
        highest: the largest value stored; more shows another edition, whose unit is not known.
        coarser: canonical band -> how many of the image's pixels one of its own is wide.
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
        """Its folder below that of the benchmark."""
        return f"{self.part}_v1.0/{self.dataset}"


def _read_json(path: Path, suite: str, why: str) -> dict[str, Any]:
    try:
        content = json.loads(require(path, suite, why).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MissingData(f"cannot read {path}: {error}; it is damaged or cut short, download it again") from error
    if not isinstance(content, dict):
        raise MissingData(f"{path} holds no table ({why}); download it again")
    return content


def _partition(path: Path, suite: str) -> dict[str, list[str]]:
    lists = _read_json(path, suite, "which sample is in which split")
    for split in SPLITS.values():
        names = lists.get(split)
        odd = not isinstance(names, list) or [name for name in names if Path(str(name)).name != name]
        if odd or not names:
            raise MissingData(f"{path}: {split!r} is no list of sample names ({odd}); download it again")
    return {ours: list(lists[theirs]) for ours, theirs in SPLITS.items()}


def own_label(path: Path) -> int | None:
    """Return the class that a sample's attribute states, without unpickling it; None where it states no number."""
    import ast
    import pickletools

    with open_hdf5(path) as file:
        text = file.attrs["pickle"]
    try:
        code = ast.literal_eval(text)
        words = [(op.name, value) for op, value, _ in pickletools.genops(code) if op.name not in MEMO]
    except (ValueError, SyntaxError, TypeError) as error:
        raise MissingData(f"{path}: its attribute is no pickle ({error}); download it again") from error
    found = [int(str(value)) for (_, key), (kind, value) in pairwise(words) if key == "label" and kind in NUMBERS]
    return found[0] if found else None


def _classes(suite: str, folder: Path, paths: Mapping[str, Path], count: int) -> dict[str, int]:
    """Return sample -> class code: of the publisher's table, or of each file where there is no table."""
    table = folder / "label_map.json"
    where, codes = table.name, dict.fromkeys(paths)
    if not table.exists():
        where, codes = "its own attribute", {name: own_label(path) for name, path in paths.items()}
    else:
        for key, names in _read_json(table, suite, "the class of each sample").items():
            for name in names:
                if codes.get(name) is not None:
                    raise MissingData(f"{table} lists {name} under {codes[name]} and under {key}; download it again")
                codes[name] = int(key) if str(key).isdecimal() else -1
    for name, path in paths.items():
        code = codes[name]
        if code is None or not 0 <= code < count:
            raise MissingData(f"{path}: its class is {code} in {where}, expected 0 to {count - 1}; download it again")
    return {name: int(codes[name] or 0) for name in paths}


def _hot(suite: str, folder: Path, names: Sequence[str], count: int) -> np.ndarray:
    """Return (n, K) multi-hot labels of the publisher's table."""
    import numpy as np

    table = folder / "label_stats.json"
    stats = _read_json(table, suite, "the labels of each sample")
    for name in names:
        row = stats.get(name)
        if not isinstance(row, list) or len(row) != count or not set(row) <= {0, 1}:
            raise MissingData(f"{table}: {name} has {row}, expected {count} values 0 or 1; download it again")
    return np.array([stats[name] for name in names], np.int64)


def _array(file: Any, path: Path, name: str) -> tuple[Any, tuple[int, int, int] | None]:
    """Return the array of that name, with or without a date behind it, and the date."""
    found = [(key, DATED.fullmatch(key)) for key in file]
    keys = [(key, dated) for key, dated in found if key == name or (dated and dated["name"] == name)]
    if len(keys) != 1:
        raise MissingData(f"{path} has {len(keys)} arrays {name!r}, expected one; it holds {', '.join(file)}")
    key, dated = keys[0]
    return file[key], (int(dated["year"]), int(dated["month"]), int(dated["day"])) if dated else None


def _values(array: Any, path: Path, name: str, shape: tuple[int, int]) -> np.ndarray:
    import numpy as np

    values = np.asarray(array)
    # A band read from a raster of one band keeps that axis.
    values = values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
    if values.shape != shape or values.dtype.kind not in "iuf":
        raise MissingData(f"{path}: {name!r} is {values.dtype} {values.shape}, expected {shape}; replace the file")
    return values


def _mask(path: Path, shape: tuple[int, int], count: int) -> np.ndarray:
    import numpy as np

    with open_hdf5(path) as file:
        codes = _values(_array(file, path, "label")[0], path, "label", shape)
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
            array, date = _array(file, path, name)
            values = _values(array, path, name, (suite.image_size[0] // step, suite.image_size[1] // step))
            if values.max() > layout.highest:
                raise MissingData(
                    f"{path}: {name!r} reaches {values.max()}, expected at most {layout.highest:g}: another edition?"
                )
            values = (values * layout.factor).astype(np.float32).repeat(step, axis=0).repeat(step, axis=1)
            picked.setdefault(band.sensor, []).append(values)
            dates.add(date)
    if len(dates) > 1:
        raise MissingData(f"{path}: its bands are of different dates; replace it by the published file")
    date = dates.pop()
    # The publisher writes 1 January where it knows the year alone (mosaics, yearly composites).
    when = (-1, -1, -1) if date is None else (date[0], -1, -1) if date[1:] == (1, 1) else date
    return {sensor: np.stack(stack)[None] for sensor, stack in picked.items()}, np.array([when], np.int32)


def _place(path: Path, layout: Layout) -> tuple[float, float] | None:
    try:
        return layout.place(path.name.removesuffix(".hdf5"))
    except ValueError as error:
        raise MissingData(f"{path}: its name states no place ({error}); replace it by the published file") from error


def open_files(suite: Suite, layout: Layout, root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    wanted = check_request(suite, task, split, bands)
    marker = f"{layout.folder}/{PARTITION}"
    folder = locate(suite.name, root, suite.folder, [marker], "get it with download=true") / layout.folder
    lists = _partition(folder / PARTITION, suite.name)
    require_distinct(suite.name, lists)
    names = lists[split]
    paths = {name: folder / f"{name}.hdf5" for name in names}
    require_all(list(paths.values()), suite.name, PARTITION)
    count = len(wanted.classes)
    codes = _classes(suite.name, folder, paths, count) if wanted.kind == "classification" else {}
    hot = _hot(suite.name, folder, names, count) if wanted.kind == "multilabel" else np.empty(0)

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
    """Put the publisher's archive of a dataset below ``root/geobench`` and unpack it there."""
    into = root / FOLDER / f"{layout.part}_v1.0"
    if not (into / layout.dataset / PARTITION).exists():
        fetch_archive(fetch, f"{URL}{layout.folder}.zip", into / f"{layout.dataset}.zip", into)
