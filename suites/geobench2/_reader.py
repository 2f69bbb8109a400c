"""What the suites of GEO-Bench-2 share: a split made of its containers; how masks, boxes, classes, dates are read.

`GEO-Bench-2 <https://github.com/The-AI-Alliance/GEO-Bench-2>`__ publishes each dataset as one or more containers
(`suites.geobench2._container`). Pixels are read as they are stored, before any of the normalisation of the
``geobench_v2`` package, to whose dataset classes the tests compare every suite.
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
from suites.reading.files import locate, require_all, require_distinct
from suites.reading.samples import Samples, by_sensor, check_request

if TYPE_CHECKING:
    import numpy as np

CITATION = "Simumba et al., GEO-Bench-2, 2025, arXiv:2511.15658"
Day = tuple[int, int, int]
UNKNOWN_DAY: Day = (-1, -1, -1)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """How a sensor is stored: band names in the order `read` gives them, float32 (T, bands, H, W)."""

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
    """Return how a sensor is stored of which each date is a GeoTIFF.

    Args:
        names: of the parts, by date.
        order: bands as stored.
        size: (H, W).
        missing: (bands, H, W) as stored -> where there is no data, (H, W) or alike.
        more: whether further bands may follow.
    """

    def read(parts: Parts) -> np.ndarray:
        import numpy as np

        dates = [parts[name].raster(size, len(order), more=more) for name in names]
        return np.concatenate([as_float(one, None if missing is None else missing(one)) for one in dates])

    return Stored(order=[band.name for band in order], read=read)


def mask_in(
    name: str, size: tuple[int, int], known: Mapping[int, int], image: str
) -> Callable[[Entry, Parts | None], np.ndarray]:
    """Return what reads a mask out of a part, once it is known to lie on the part `image`; see `codes_of`."""

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
    target: Callable[[Entry, Parts | None], Any],
    block: Callable[[Entry], str] = lambda entry: entry.name,
    when: Callable[[Entry, Parts], Sequence[Day]] | None = None,
) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`.

    Args:
        suite: its facts.
        files: names of its containers.
        request: root, task, split and bands.
        images: how each sensor is stored.
        target: what is to be predicted; of classes that the index names no part is opened (None).
        block: resampling unit of a sample.
        when: a day for each date.
    """
    import numpy as np

    root, task, split, bands = request
    asked = check_request(suite, task, split, bands)
    folder = locate(suite.name, root, suite.folder, tuple(files), "get it with download=true")
    require_all([folder / name for name in files], suite.name, "the published set")
    entries = sorted((entry for name in files for entry in entries_of(folder / name)), key=lambda entry: entry.name)
    named = {name: [entry.name for entry in entries if entry.split == stored] for name, stored in SPLITS.items()}
    require_distinct(suite.name, named)
    wanted = [entry for entry in entries if entry.split == SPLITS[split]]
    columns = {
        sensor: by_sensor([band for band in bands if band.sensor == sensor], images[sensor].order)[sensor]
        for sensor in dict.fromkeys(band.sensor for band in bands)
    }
    indexed = asked.kind in ("classification", "multilabel")

    def read(index: int) -> Sample:
        entry = wanted[index]
        parts = entry.parts()
        return Sample(
            images={sensor: images[sensor].read(parts)[:, picked] for sensor, picked in columns.items()},
            target=target(entry, parts),
            when=None if when is None else np.array(when(entry, parts), np.int32).reshape(-1, 3),
            where=place_of(entry.facts),
        )

    return Samples(
        ids=[entry.name for entry in wanted],
        blocks=[block(entry) for entry in wanted],
        read=read,
        read_targets=lambda: summary(asked, [target(entry, None if indexed else entry.parts()) for entry in wanted]),
    )


def summary(task: Task, targets: Sequence[Any]) -> np.ndarray:
    """Return what `bench.core.Split.targets` gives, of samples' own targets."""
    import numpy as np

    if task.kind in ("classification", "multilabel"):
        return np.array(targets, np.int64)
    if task.kind == "dense_regression":
        return np.array([[np.nanmean(values)] for values in targets], np.float32).reshape(-1, 1)
    codes = [one["labels"] if task.kind == "detection" else np.unique(one) for one in targets]
    classes = np.arange(len(task.classes))
    return np.array([np.isin(classes, present) for present in codes], np.int64).reshape(-1, len(classes))


def place_of(facts: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return longitude and latitude, or None where the index has neither these nor a centre on the globe."""
    found = (facts.get("lon"), facts.get("lat"))
    if None in found and str(facts.get("stac:centroid", "")).startswith("POINT ("):
        text = str(facts["stac:centroid"]).removeprefix("POINT (").rstrip(")").split()
        found = (float(text[0]), float(text[1]))
    if None in found:
        return None
    longitude, latitude = (float(one) for one in found)  # type: ignore[arg-type]
    sound = math.isfinite(longitude) and abs(longitude) <= 180 and abs(latitude) <= 90
    return (longitude, latitude) if sound else None


def day_of(value: Any) -> Day:
    """Return year, month, day of a container's time: 2018-09-02, seconds since 1970, a year, or year and day of it."""
    from datetime import datetime, timedelta

    if isinstance(value, str) and value.count("-") == 2:
        year, month, day_of_month = value[:10].split("-")
        return (int(year), int(month), int(day_of_month))
    try:
        number = float(value)
    except (TypeError, ValueError):
        return UNKNOWN_DAY
    if not math.isfinite(number):
        return UNKNOWN_DAY
    if 1900 <= number < 3000:
        return (int(number), -1, -1)
    if 1_900_001 <= number < 3_000_000:  # 2018245
        day = datetime(int(number) // 1000, 1, 1) + timedelta(days=int(number) % 1000 - 1)
    else:
        day = datetime.fromtimestamp(number, UTC)
    return (day.year, day.month, day.day)


def as_float(values: np.ndarray, missing: np.ndarray | None = None) -> np.ndarray:
    """Return (bands, H, W) or (T, bands, H, W) as float32 (T, bands, H, W), NaN where `missing`, (H, W) or alike."""
    import numpy as np

    found: np.ndarray = values.astype(np.float32)
    if missing is not None:
        found[np.broadcast_to(missing, found.shape)] = np.nan
    return found if found.ndim == 4 else found[None]


def codes_of(part: Part, values: np.ndarray, known: Mapping[int, int]) -> np.ndarray:
    """Return a mask (H, W) int64 with codes changed as `known` says.

    Raises:
        MissingData: naming file, sample and codes if one is not known.
    """
    import numpy as np

    stored = values.astype(np.int64)
    changed = np.empty_like(stored)
    unknown = np.ones(stored.shape, bool)
    for code, means in known.items():
        changed[stored == code] = means
        unknown &= stored != code
    if unknown.any():
        raise MissingData(
            f"{part.label} holds the codes {np.unique(stored[unknown]).tolist()}; a label is one of {sorted(known)}: "
            "replace it"
        )
    return changed


def require_same_crs(label: Part, *others: Part) -> None:
    """Check that a mask lies on its images, by the reference systems the index has.

    Raises:
        MissingData: if two are named and differ.
    """
    systems = {str(part.facts.get("stac:crs")) for part in (label, *others)}
    named = {one for one in systems if one.startswith("EPSG:") and one[5:].isdigit()}
    if len(named) > 1:
        raise MissingData(f"{label.label} is in another reference system than its image: {', '.join(sorted(named))}")


def boxes_of(part: Part, found: Sequence[tuple[Sequence[float], int]], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return boxes and classes of (x1 y1 x2 y2, class), clipped to the image.

    Raises:
        MissingData: naming file, sample and box if one has no area inside the image.
    """
    import numpy as np

    boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4).clip(0, np.array(size[::-1] * 2))
    for (box, _), (left, top, right, bottom) in zip(found, boxes, strict=True):
        if not (right > left and bottom > top):
            raise MissingData(
                f"{part.label} has the box {list(box)}, of no area within the image of {size[1]} x {size[0]} pixels; "
                "download it again"
            )
    return {"boxes": boxes.astype(np.float32), "labels": np.array([code for _, code in found], np.int64)}


def boxes_in(part: Part, key: str, categories: Mapping[int, int], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return boxes and classes of an HDF5 part, whose attribute ``annotation`` is JSON; see `boxes_of`.

    Raises:
        MissingData: naming file, sample and category if one is not known.
    """
    rows = part.hdf5(lambda file: json.loads(file.attrs["annotation"])[key])
    found = []
    for row in rows:
        if row["category_id"] not in categories:
            raise MissingData(f"{part.label} has the category {row['category_id']}; known are {sorted(categories)}")
        left, top, width, height = row["bbox"]
        found.append(((left, top, left + width, top + height), categories[row["category_id"]]))
    return boxes_of(part, found, size)


def class_of(entry: Entry, value: Any, classes: Sequence[str]) -> int:
    """Return the number of a class that the index names, or numbers.

    Raises:
        MissingData: naming file, sample and class if it is not known.
    """
    if isinstance(value, str) and value in classes:
        return list(classes).index(value)
    if not isinstance(value, str) and value is not None and value in range(len(classes)):
        return int(value)
    raise MissingData(f"{entry.file}: {entry.name} is of the class {value!r}; known are {', '.join(classes)}")


def fetch_containers(root: Path, fetch: Fetch, suite: Suite, files: Mapping[str, str]) -> None:
    """Put the published containers below ``root/<folder>``, checked by their SHA-256."""
    for name, sha256 in files.items():
        fetch(f"{suite.url}/resolve/main/{name}", root / suite.folder / name, sha256=sha256)
