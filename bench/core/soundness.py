"""Checks of declared suites and models before anything runs; all faults are reported at once.

`check_suite` and `check_entry` look at the declaration alone; `open_split` and `check_sample` hold what a suite opens
and reads against it.
"""

from __future__ import annotations

import re
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from bench.core.bands import UNITS, Band, Normalise, NormaliseKind
from bench.core.errors import BadSetting, BenchError, MissingData, UnknownName
from bench.core.models import Absent, ModelEntry, Objective, Origin, Weights
from bench.core.suites import Kind, Sample, Split, Suite, Task
from bench.core.wording import clipped, printable, shortened

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
BAND = re.compile(r"[a-z0-9]+\.\w+", re.I)
LEVEL = re.compile(r"[a-z0-9_]+:\S+", re.I)
OFFICIAL = ("train", "val", "test")
WITH_CLASSES = ("classification", "multilabel", "segmentation", "change", "detection")

Faults = Iterable[str]


def check_suite(suite: Suite, metrics: Collection[str] = (), source: str = "") -> None:
    """Check the facts of a suite.

    Args:
        suite: e.g. of a user's ``geobench_suites.py``.
        metrics: names that `Task.metric` may have; not checked if empty.
        source: the file it comes from, for the message.

    Raises:
        BadSetting: one of them is of another type or out of range, or two contradict each other.
    """
    faults = [
        *_name("name", suite.name),
        *_count("version", suite.version, 1),
        *_text("title", suite.title),
        *_bands(suite.bands, needed=True),
        *_pair("image_size", suite.image_size),
        *_count("dates", suite.dates, 0),
        *_levels(suite.levels),
        *_splits(suite.splits),
        *_folder(suite.folder),
        *_tasks(suite.tasks, metrics),
    ]
    if suite.gsd_m is not None and not _positive(suite.gsd_m):
        faults.append(f"gsd_m={suite.gsd_m!r}: metres above 0, or None where it varies")
    if not callable(suite.open):
        faults.append("open must be a function (root, task, split, bands) -> bench.core.Split")
    if suite.download is not None and not callable(suite.download):
        faults.append("download must be a function (root, fetch), or None")
    _raise(source, f"suite {suite.name!r}", faults)


def check_entry(entry: ModelEntry, source: str = "") -> None:
    """Check the facts of a model.

    Args:
        entry: e.g. of a user's ``geobench_models.py``.
        source: the file it comes from, for the message.

    Raises:
        BadSetting: one of them is of another type or out of range, or two contradict each other.
    """
    faults = [
        *_name("name", entry.name),
        *_choice("origin", entry.origin, get_args(Origin)),
        *_choice("objective", entry.objective, get_args(Objective)),
        *_bands(entry.bands, needed=not entry.any_bands),
        *_texts("sensors", entry.sensors),
        *_texts("trained_on", entry.trained_on),
        *_texts("taps", entry.taps),
        *_levels(entry.levels),
        *_normalise(entry),
    ]
    for name in ("image_size", "patch", "depth"):
        faults += _count(name, getattr(entry, name), 1 if name != "depth" else 0)
    for name in ("width", "parameters"):
        faults += _count(name, getattr(entry, name), 0)
    if not isinstance(entry.absent, tuple | list) or not entry.absent:
        faults.append(f"absent={entry.absent!r}: a tuple of {', '.join(get_args(Absent))}")
    else:
        faults += [fault for way in entry.absent for fault in _choice("absent", way, get_args(Absent))]
    if entry.any_bands and not entry.sensors:
        faults.append('any_bands needs sensors, e.g. sensors=("s2",), or ("*",) for all')
    if entry.weights is not None and not isinstance(entry.weights, Weights):
        faults.append(f"weights={clipped(repr(entry.weights))}: bench.core.Weights(file=...), or None")
    if not callable(entry.load):
        faults.append("load must be a function (entry, weights, seed, bands) -> bench.core.Backbone")
    _raise(source, f"model {entry.name!r}", faults)


def _raise(source: str, what: str, faults: Sequence[str]) -> None:
    if faults:
        place = f"{source}: " if source else ""
        raise BadSetting(f"{place}{what}: {'; '.join(printable(fault) for fault in faults)}")


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _name(field: str, value: object) -> Faults:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        yield f"{field}={clipped(repr(value))}: letters, digits, '_', '-' and '.', a letter or digit first"


def _text(field: str, value: Any) -> Faults:
    if not isinstance(value, str):
        yield f"{field}={clipped(repr(value))}: text is needed"


def _texts(field: str, value: object) -> Faults:
    if isinstance(value, str) or not isinstance(value, tuple | list) or any(not isinstance(v, str) for v in value):
        yield f"{field}={clipped(repr(value))}: a tuple of texts is needed, of one ({'a'!r},)"


def _count(field: str, value: Any, least: int) -> Faults:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        yield f"{field}={clipped(repr(value))}: a whole number of at least {least} is needed"


def _pair(field: str, value: Any) -> Faults:
    pair = isinstance(value, tuple | list) and len(value) == 2
    if not pair or any(True for side in value for _ in _count("", side, 1)):
        yield f"{field}={clipped(repr(value))}: (height, width) in pixels is needed"


def _choice(field: str, value: object, known: Collection[str]) -> Faults:
    if value not in known:
        yield str(UnknownName(field, str(value), known))


def _bands(bands: Any, *, needed: bool) -> Faults:
    listed = isinstance(bands, tuple | list) and all(isinstance(band, Band) for band in bands)
    if not listed or (needed and not bands):
        yield f"bands={clipped(repr(bands))}: a tuple of bench.core.Band is needed"
        return
    names = [band.name for band in bands]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"bands given twice: {shortened(twice)}"
    for band in bands:
        if not isinstance(band.name, str) or not BAND.fullmatch(band.name):
            yield f"band {band.name!r}: a name reads sensor.band, as s2.b04"
        if band.unit not in UNITS:
            yield f"band {band.name}: {UnknownName('unit', str(band.unit), UNITS)}"
        for field in ("wavelength_um", "gsd_m"):
            value = getattr(band, field)
            if value is not None and not _positive(value):
                yield f"band {band.name}: {field}={value!r}: a number above 0, or None"


def _levels(levels: Any) -> Faults:
    if any(True for _ in _texts("levels", levels)):
        yield from _texts("levels", levels)
    else:
        yield from (
            f"levels: {level!r} reads sensor:LEVEL, as s2:L2A" for level in levels if not LEVEL.fullmatch(level)
        )


def _normalise(entry: ModelEntry) -> Faults:
    way = entry.normalise
    if not isinstance(way, Normalise):
        yield f"normalise={clipped(repr(way))}: bench.core.Normalise(kind=...) is needed"
        return
    yield from _choice("normalise kind", way.kind, get_args(NormaliseKind))
    if way.kind == "affine" and not entry.any_bands and {len(way.shift), len(way.scale)} != {len(entry.bands)}:
        yield (
            f"normalise: {len(way.shift)} shifts and {len(way.scale)} scales for {len(entry.bands)} bands; "
            "one each per band is needed"
        )
    if any(scale == 0 for scale in way.scale):
        yield "normalise: a scale of 0"


def _splits(splits: object) -> Faults:
    if not isinstance(splits, Mapping) or not set(OFFICIAL) <= set(splits):
        yield f"splits={clipped(repr(splits))}: sample counts of train, val and test are needed"
        return
    for name, count in splits.items():
        yield from _name("name of a split", name)
        yield from _count(f"splits[{name!r}]", count, 0)


def _folder(folder: object) -> Faults:
    if not isinstance(folder, str) or Path(folder).is_absolute() or ".." in Path(folder).parts:
        yield f"folder={folder!r}: a folder below data=, without '..'"


def _tasks(tasks: object, metrics: Collection[str]) -> Faults:
    if not isinstance(tasks, tuple | list) or not tasks or not all(isinstance(task, Task) for task in tasks):
        yield f"tasks={clipped(repr(tasks))}: a tuple of bench.core.Task is needed"
        return
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        yield f"two tasks of one name: {shortened(names)}"
    for task in tasks:
        yield from (f"task {task.name}: {fault}" for fault in _task(task, metrics))


def _task(task: Task, metrics: Collection[str]) -> Faults:
    yield from _name("name", task.name)
    yield from _choice("kind", task.kind, get_args(Kind))
    if metrics:
        yield from _choice("metric", task.metric, metrics)
    if any(True for _ in _texts("classes", task.classes)):
        yield from _texts("classes", task.classes)
    elif task.kind in WITH_CLASSES:
        if not task.classes or (task.kind == "classification" and len(task.classes) < 2):
            yield f"classes={task.classes!r}: the names of the classes are needed, in the order of their codes"
        if len(set(task.classes)) < len(task.classes):
            yield "two classes of one name"
    if task.ignore is not None and (not isinstance(task.ignore, int) or isinstance(task.ignore, bool)):
        yield f"ignore={task.ignore!r}: a code of the mask, or None"


def open_split(suite: Suite, root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Split:
    """Return a split as its suite opens it, once it is known to be one.

    Raises:
        MissingData: the suite's files are not there, or its code failed.
        BadSetting: what it returned is no `bench.core.Split`.
    """
    where = f"suite {suite.name}, task {task}, split {split}"
    opened: Split = _run(where, lambda: suite.open(root, task, split, bands))
    lacking = [name for name in ("ids", "blocks", "targets", "__len__", "__getitem__") if not hasattr(opened, name)]
    if lacking:
        raise BadSetting(
            f"{where}: open returned {type(opened).__name__}, which lacks {shortened(lacking)}; see bench.core.Split"
        )
    count, ids, blocks = _run(where, lambda: (len(opened), list(opened.ids), list(opened.blocks)))
    if not count == len(ids) == len(blocks):
        raise BadSetting(f"{where}: {count} samples, {len(ids)} ids and {len(blocks)} blocks; one of each is needed")
    if not all(isinstance(name, str) for name in ids):
        raise BadSetting(f"{where}: ids must be text, as str(number)")
    if len(set(ids)) < count:
        twice = Counter(ids).most_common(1)[0][0]
        raise BadSetting(f"{where}: id {clipped(twice)} is given twice; ids tell samples apart")
    return opened


def _run(where: str, code: Callable[[], object]) -> Any:
    """Return what a user's code returns; its errors name the line."""
    try:
        return code()
    except (BenchError, OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}, line {last.lineno}"
        raise MissingData(f"{where}: {type(error).__name__}: {clipped(str(error))} ({place})") from error


def check_sample(suite: Suite, bands: Sequence[Band], sample: Sample, where: str) -> None:
    """Check that a sample's images have the shape that its suite declares.

    Args:
        suite: the suite.
        bands: those that were asked for.
        sample: what the suite read.
        where: names the sample, for the message.

    Raises:
        BadSetting: another type, other sensors, or other axes than (T, C, H, W).
    """
    images = getattr(sample, "images", None)
    if not isinstance(images, Mapping):
        raise BadSetting(f"{where}: {type(sample).__name__} is read where bench.core.Sample(images=...) is needed")
    counts = {sensor: sum(band.sensor == sensor for band in bands) for sensor in dict.fromkeys(b.sensor for b in bands)}
    if set(images) != set(counts):
        raise BadSetting(f"{where}: images of {shortened(sorted(images))}; asked for were {shortened(sorted(counts))}")
    for sensor, values in images.items():
        shape = tuple(getattr(values, "shape", ()))
        if len(shape) == 3:
            raise BadSetting(
                f"{where}: {sensor} has shape {shape}; images are (T, C, H, W): the time axis is missing, add it with "
                "image[None]"
            )
        if len(shape) != 4:
            raise BadSetting(f"{where}: {sensor} has shape {shape}; images are (T, C, H, W)")
        axes = f"in shape {shape} (T, C, H, W)"
        if shape[1] != counts[sensor]:
            raise BadSetting(f"{where}: {sensor} has {shape[1]} bands {axes}; {counts[sensor]} were asked for")
        if suite.dates and shape[0] != suite.dates:
            raise BadSetting(f"{where}: {sensor} has {shape[0]} dates {axes}; the suite declares {suite.dates}")


def count_notes(suite: Suite, counts: Mapping[str, int]) -> list[str]:
    """Return a sentence for each split that holds another number of samples than its suite declares.

    Fewer samples are usually those of a download that was cut short, which is named as the first thing to look at.
    """
    return [
        f"split {name}: {count:,} samples are there, {suite.splits[name]:,} are declared; "
        + ("is the download complete? download again, or " if count < suite.splits[name] else "")
        + "correct splits= in the suite's file"
        for name, count in counts.items()
        if suite.splits.get(name) and count != suite.splits[name]
    ]
