"""What the suites of GEO-Bench-2 share: splits made of its containers; reading masks, boxes, classes and dates.

`GEO-Bench-2 <https://github.com/The-AI-Alliance/GEO-Bench-2>`__ publishes each dataset as one or more containers
(`suites.geobench2._container`). Pixels are read as they are stored, before any normalisation of the ``geobench_v2``
package. The tests compare every suite with the dataset classes of that package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from suites.geobench2._container import SPLITS, Entry, Part, Parts, entries_of
from suites.reading import Samples, check_request, locate, reading, require_all, require_distinct

if TYPE_CHECKING:
    import numpy as np

CITATION = "Simumba et al., GEO-Bench-2, 2025, arXiv:2511.15658"
Day = tuple[int, int, int]
UNKNOWN_DAY: Day = (-1, -1, -1)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """How the images of a sensor are stored.

    Attributes:
        order: band names in the order in which `read` returns them.
        read: parts of a sample -> float32 (T, bands, H, W).
    """

    order: Sequence[str]
    read: Callable[[Parts], np.ndarray]


def rasters(
    names: Sequence[str],
    order: Sequence[Band],
    size: tuple[int, int],
    *,
    missing: Callable[[np.ndarray], np.ndarray] | None = None,
    more: bool = False,
) -> Stored:
    """Return how a sensor is stored that has one GeoTIFF per date.

    Args:
        names: names of the parts, one per date.
        order: bands as stored.
        size: (H, W) in pixels.
        missing: (bands, H, W) in stored values -> mask of the pixels without data, (H, W) or (bands, H, W).
        more: whether further bands, which are not read, may follow.
    """

    def read(parts: Parts) -> np.ndarray:
        import numpy as np

        dates = [parts[name].image(size, len(order), more=more) for name in names]
        return np.concatenate([as_float(date, None if missing is None else missing(date)) for date in dates])

    return Stored(order=[band.name for band in order], read=read)


def mask_in(
    name: str, size: tuple[int, int], known: Mapping[int, int], image: str
) -> Callable[[Entry, Parts | None], np.ndarray]:
    """Return a function that reads a mask from a part and checks that it shares its grid's system with the image.

    Args:
        name: name of the part with the mask.
        size: (H, W) in pixels.
        known: stored code -> code in the suite; see `codes_of`.
        image: name of the part with the image.
    """

    def read(entry: Entry, parts: Parts | None) -> np.ndarray:
        held = parts or entry.parts()
        require_same_crs(held[name], held[image])
        return codes_of(held[name], held[name].raster(size, 1)[0], known)

    return read


def open_container(
    suite: Suite,
    files: Mapping[str, str],
    request: tuple[Path, str, str, tuple[Band, ...]],
    *,
    images: Mapping[str, Stored],
    target: Callable[[Entry, Parts | None], object],
    block: Callable[[Entry], str] = lambda entry: entry.name,
    when: Callable[[Entry, Parts], Sequence[Day]] | None = None,
) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`.

    Args:
        suite: facts of the suite.
        files: names of its containers.
        request: root, task, split and bands.
        images: sensor -> how its images are stored.
        target: sample -> its target; the parts are None where they are not opened, since the index has the classes.
        block: sample -> its resampling unit.
        when: sample -> one day per date.

    Raises:
        UnknownName: if the suite has no such task, split or band.
        MissingData: if a container is absent or damaged, or lists a sample twice.
    """
    import numpy as np

    root, task, split, bands = request
    asked = check_request(suite, task, split, bands)
    folder = locate(suite.name, root, suite.folder, tuple(files), "get it with download=true")
    require_all([folder / name for name in files], suite.name, "the published set")
    entries = sorted((entry for name in files for entry in entries_of(folder / name)), key=lambda entry: entry.name)
    named = {name: [entry.name for entry in entries if entry.split == stored] for name, stored in SPLITS.items()}
    require_distinct(suite.name, named, " or ".join(files))
    wanted = [entry for entry in entries if entry.split == SPLITS[split]]
    columns: dict[str, list[int]] = {}
    for band in bands:
        columns.setdefault(band.sensor, []).append(list(images[band.sensor].order).index(band.name))
    indexed = asked.kind in ("classification", "multilabel")

    def read(index: int) -> Sample:
        entry = wanted[index]
        parts = entry.parts()
        with reading(parts.label, "dates"):
            days = None if when is None else np.array(when(entry, parts), np.int32).reshape(-1, 3)
        return Sample(
            images={sensor: images[sensor].read(parts)[:, picked] for sensor, picked in columns.items()},
            target=target(entry, parts),
            when=days,
            where=place_of(entry.facts),
        )

    def read_targets() -> np.ndarray:
        return summary(asked, [target(entry, None if indexed else entry.parts()) for entry in wanted])

    return Samples(
        ids=[entry.name for entry in wanted],
        blocks=[block(entry) for entry in wanted],
        read=read,
        read_targets=read_targets,
    )


def summary(task: Task, targets: Sequence[Any]) -> np.ndarray:
    """Return the array of `bench.core.Split.targets` for the targets of all samples."""
    import numpy as np

    if task.kind in ("classification", "multilabel"):
        return np.array(targets, np.int64)
    if task.kind == "dense_regression":
        return np.array([[_mean(values)] for values in targets], np.float32).reshape(-1, 1)
    codes = [target["labels"] if task.kind == "detection" else np.unique(target) for target in targets]
    classes = np.arange(len(task.classes))
    return np.array([np.isin(classes, present) for present in codes], np.int64).reshape(-1, len(classes))


def _mean(values: np.ndarray) -> float:
    """Return the mean of the finite values, NaN if there are none."""
    import numpy as np

    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def place_of(facts: Mapping[str, object]) -> tuple[float, float] | None:
    """Return longitude and latitude in degrees, or None if the index has neither these nor a centre on the globe."""
    stated = (facts.get("lon"), facts.get("lat"))
    if None in stated:
        centre = str(facts.get("stac:centroid", ""))
        if not centre.startswith("POINT ("):
            return None
        stated = tuple(centre.removeprefix("POINT (").rstrip(")").split())[:2]  # type: ignore[assignment]
    try:
        longitude, latitude = (float(value) for value in stated)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    sound = math.isfinite(longitude) and abs(longitude) <= 180 and abs(latitude) <= 90
    return (longitude, latitude) if sound else None


def day_of(value: Any) -> Day:
    """Return year, month and day of a time in an index, -1 for what is not known.

    Args:
        value: a date (``"2018-09-02"``), seconds since 1970, a year, or year and day of the year (``2018245``).
    """
    from datetime import datetime, timedelta

    try:
        if isinstance(value, str) and value.count("-") == 2:
            year, month, day_of_month = value[:10].split("-")
            return (int(year), int(month), int(day_of_month))
        number = float(value)
    except (TypeError, ValueError):
        return UNKNOWN_DAY
    if not math.isfinite(number):
        return UNKNOWN_DAY
    if 1900 <= number < 3000:
        return (int(number), -1, -1)
    try:
        if 1_900_001 <= number < 3_000_000:  # 2018245
            day = datetime(int(number) // 1000, 1, 1) + timedelta(days=int(number) % 1000 - 1)
        else:
            day = datetime.fromtimestamp(number, UTC)
    except (OverflowError, ValueError, OSError):
        return UNKNOWN_DAY
    return (day.year, day.month, day.day)


def as_float(values: np.ndarray, missing: np.ndarray | None = None) -> np.ndarray:
    """Return images as float32 (T, bands, H, W) with NaN where there is no data.

    Args:
        values: (bands, H, W) or (T, bands, H, W).
        missing: mask of the pixels without data, of a shape that broadcasts to that of `values`.
    """
    import numpy as np

    images: np.ndarray = values.astype(np.float32)
    if missing is not None:
        images[np.broadcast_to(missing, images.shape)] = np.nan
    return images if images.ndim == 4 else images[None]


def codes_of(part: Part, values: np.ndarray, known: Mapping[int, int]) -> np.ndarray:
    """Return a mask (H, W) as int64 with the suite's codes.

    Args:
        part: the part that holds the mask, for the message.
        values: (H, W) as stored.
        known: stored code -> code in the suite.

    Raises:
        MissingData: with file, sample and codes if a stored code is not known.
    """
    import numpy as np

    present = np.unique(values)
    if not np.isin(present, list(known)).all():
        unknown = [code for code in present.tolist() if code not in known]
        raise MissingData(f"{part.label} holds the codes {unknown[:20]}; a label is one of {sorted(known)}: replace it")
    codes = np.array([known[int(code)] for code in present], np.int64)
    changed: np.ndarray = codes[np.searchsorted(present, values)]
    return changed


def require_same_crs(label: Part, *others: Part) -> None:
    """Check that a mask lies on its images, by the reference systems that the index states.

    Raises:
        MissingData: if two are stated and differ.
    """
    systems = {str(part.facts.get("stac:crs")) for part in (label, *others)}
    stated = {system for system in systems if system.startswith("EPSG:") and system[5:].isdigit()}
    if len(stated) > 1:
        raise MissingData(f"{label.label} is in another reference system than its image: {', '.join(sorted(stated))}")


def boxes_of(part: Part, stated: Sequence[tuple[Sequence[float], int]], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return boxes and classes of a detection target, clipped to the image.

    Args:
        part: the part that states them, for the message.
        stated: ``((x1, y1, x2, y2), class)`` of every object, in pixels.
        size: (H, W) of the image in pixels.

    Raises:
        MissingData: with file, sample and box if a box has no area inside the image.
    """
    import numpy as np

    with reading(part.label, "boxes of four numbers"):
        boxes = np.array([box for box, _ in stated], np.float32).reshape(-1, 4).clip(0, np.array(size[::-1] * 2))
    for (box, _), (left, top, right, bottom) in zip(stated, boxes, strict=True):
        if not (right > left and bottom > top):
            raise MissingData(
                f"{part.label} has the box {list(box)}, of no area within the image of {size[1]} x {size[0]} pixels; "
                "download it again"
            )
    return {"boxes": boxes.astype(np.float32), "labels": np.array([code for _, code in stated], np.int64)}


def boxes_in(part: Part, key: str, categories: Mapping[int, int], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return boxes and classes of an HDF5 part whose attribute ``annotation`` is JSON; see `boxes_of`.

    Args:
        part: the part.
        key: name of the list of objects in the JSON.
        categories: stored category -> class.
        size: (H, W) of the image in pixels.

    Raises:
        MissingData: with file, sample and category if a category is not known.
    """
    with reading(part.label, f"a JSON annotation with {key!r}, objects with category_id and bbox"):
        rows = part.hdf5(lambda file: json.loads(file.attrs["annotation"])[key])
        objects = [(row["category_id"], [float(side) for side in row["bbox"]]) for row in rows]
        corners = [(left, top, left + width, top + height) for _, (left, top, width, height) in objects]
    if strange := [category for category, _ in objects if category not in categories]:
        raise MissingData(f"{part.label} has the category {strange[0]}; known are {sorted(categories)}")
    return boxes_of(part, [(box, categories[kind]) for box, (kind, _) in zip(corners, objects, strict=True)], size)


def class_of(entry: Entry, value: Any, classes: Sequence[str]) -> int:
    """Return the code of a class that the index states by name or number.

    Raises:
        MissingData: with file, sample and class if it is not known.
    """
    if isinstance(value, str) and value in classes:
        return list(classes).index(value)
    if not isinstance(value, str) and value is not None and value in range(len(classes)):
        return int(value)
    raise MissingData(f"{entry.file}: {entry.name} is of the class {value!r}; known are {', '.join(classes)}")


def classes_of(entry: Entry, column: str, classes: Sequence[str]) -> np.ndarray:
    """Return the multi-hot vector (K,) int64 of the classes that a column of the index lists.

    Raises:
        MissingData: with file, sample and class if one is not known, or the column is no list.
    """
    import numpy as np

    stated = entry.fact(column)
    if isinstance(stated, str) or not hasattr(stated, "__iter__"):
        raise MissingData(f"{entry.file}: {column} of {entry.name} is {stated!r}, expected a list of class names")
    codes = [class_of(entry, str(name), classes) for name in stated]
    return np.isin(np.arange(len(classes)), codes).astype(np.int64)


def fetch_containers(root: Path, fetch: Fetch, suite: Suite, files: Mapping[str, str]) -> None:
    """Put the published containers below ``root/<folder>`` and check their SHA-256."""
    for name, sha256 in files.items():
        fetch(f"{suite.url}/resolve/main/{name}", root / suite.folder / name, sha256=sha256)
