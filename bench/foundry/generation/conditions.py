"""Conditions: the classes, degradations and loss that a branch of a zoo is trained under, and a suite under one.

A condition is written ``classes:0.1.5-7+blur:1.5+noise:10+gain:.8+loss:focal``, in any order, each part at most once;
``plain`` is the suite as it is.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from bench.core import Band, Sample, Split, Suite, Task
from bench.core.errors import BadSetting, Incompatible, UnknownName
from bench.core.soundness import open_split

PARTS = ("classes", "blur", "noise", "gain", "loss")
PLAIN = "plain"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What the images and labels of a training are, and its objective.

    Attributes:
        classes: codes of the classes kept, ascending; all where empty.
        blur: standard deviation of a Gaussian blur, in pixels.
        noise: standard deviation of Gaussian noise, in the bands' unit.
        gain: factor on every band, or one per band.
        loss: name of the loss; the default of the task where empty.
    """

    classes: tuple[int, ...] = ()
    blur: float = 0.0
    noise: float = 0.0
    gain: tuple[float, ...] = ()
    loss: str = ""

    def __str__(self) -> str:
        parts = {
            "classes": ".".join(map(str, self.classes)),
            "blur": f"{self.blur:g}" if self.blur else "",
            "noise": f"{self.noise:g}" if self.noise else "",
            "gain": "/".join(f"{value:g}" for value in self.gain),
            "loss": self.loss,
        }
        return "+".join(f"{name}:{text}" for name, text in parts.items() if text) or PLAIN

    def embedding(self, classes: int) -> np.ndarray:
        """Return the condition as a vector: one value per class kept (share), then blur, noise, mean gain and loss.

        Args:
            classes: of the task.
        """
        kept = list(self.classes) or list(range(classes))
        share = np.zeros(max(1, classes))
        if classes:
            share[kept] = 1.0
        gain = float(np.mean(self.gain)) if self.gain else 1.0
        return np.array([*share, self.blur, self.noise / 10, 4 * (gain - 1), float(bool(self.loss))])


def read_condition(text: str) -> Condition:
    """Return the condition that a text spells.

    Raises:
        BadSetting: a part that cannot be read, or is given twice.
        UnknownName: a part of an unknown name.
    """
    values: dict[str, object] = {}
    for part in [] if text in ("", PLAIN) else text.split("+"):
        name, _, value = part.partition(":")
        if name not in PARTS:
            raise UnknownName("part of a condition", name, PARTS, "Write classes:0.1.2+blur:1.5")
        if name in values:
            raise BadSetting(f"condition {text!r} gives {name} twice")
        try:
            values[name] = _value(name, value)
        except ValueError as error:
            raise BadSetting(f"condition {text!r}: {part!r} cannot be read: {error}") from None
    return Condition(**values)  # type: ignore[arg-type]


def _value(name: str, text: str) -> object:
    if name == "loss":
        if not text.isidentifier():
            raise ValueError("the name of a loss is needed")
        return text
    if name == "classes":
        return tuple(sorted({code for part in text.split(".") for code in _codes(part)}))
    numbers = tuple(float(part) for part in text.split("/"))
    if not all(np.isfinite(numbers)) or min(numbers) < 0 or (name != "gain" and len(numbers) > 1):
        raise ValueError("a number of 0 or more is needed; gain takes one per band, parted by /")
    return numbers if name == "gain" else numbers[0]


def _codes(part: str) -> range:
    first, dash, last = part.partition("-")
    low, high = int(first), int(last if dash else first)
    if high < low:
        raise ValueError("a range of classes ascends")
    return range(low, high + 1)


def conditioned(suite: Suite, task: Task, condition: Condition, *, reserve: int = 0) -> tuple[Suite, Task]:
    """Return a suite and its task under a condition; the classes kept are numbered anew in their order.

    Args:
        suite: as published.
        task: of the suite.
        condition: of the images and labels.
        reserve: samples per class that the training split keeps, chosen by the hash of their ids; the others join the
            test split. 0 keeps the splits as they are.

    Raises:
        BadSetting: classes that the task does not have, or a task of another kind than classification is cut by class.
    """
    if (condition.classes or reserve) and task.kind != "classification":
        raise BadSetting(f"{suite.name} {task.name} is {task.kind}: only a classification is cut by class")
    if condition.classes and condition.classes[-1] >= len(task.classes):
        known = ", ".join(f"{code} {name}" for code, name in enumerate(task.classes))
        raise BadSetting(f"condition {condition}: {suite.name} {task.name} has the classes {known}")
    if len(condition.gain) > 1 and len(condition.gain) != len(suite.bands):
        raise BadSetting(f"condition {condition}: {len(condition.gain)} gains for {len(suite.bands)} bands")
    kept = tuple(task.classes[code] for code in condition.classes) or task.classes
    changed = dataclasses.replace(task, classes=kept)
    name = suite.name if condition == Condition() and not reserve else _name(suite.name, condition, reserve)
    return (
        dataclasses.replace(
            suite,
            name=name,
            tasks=(changed,),
            splits=dict(suite.splits),
            open=partial(_open, suite=suite, condition=condition, reserve=reserve),
            download=None,
        ),
        changed,
    )


def _name(suite: str, condition: Condition, reserve: int) -> str:
    text = str(condition).replace(":", "_").replace("+", "-").replace("/", "_")
    return f"{suite}-{text}" + (f"-reserve_{reserve}" if reserve else "")


def _open(
    root: Path,
    task: str,
    split: str,
    bands: tuple[Band, ...],
    *,
    suite: Suite,
    condition: Condition,
    reserve: int,
) -> Split:
    """Open a split of a suite under a condition; see `bench.core.Suite.open`."""
    parts = [(open_split(suite, root, task, split, bands), split)]
    if reserve and split == "test":
        parts.append((open_split(suite, root, task, "train", bands), "train"))
    gains = [condition.gain[suite.bands.index(band)] for band in bands] if len(condition.gain) > 1 else condition.gain
    rows = [(part, row) for part, name in parts for row in _rows(part, name, split, condition, reserve)]
    if not rows:
        raise Incompatible(f"{suite.name} {split}: no sample under the condition {condition}")
    return ConditionedSplit(rows, condition, [band.sensor for band in bands], tuple(gains))


def _rows(part: Split, name: str, split: str, condition: Condition, reserve: int) -> list[int]:
    """Return the rows of an opened split that a split under a condition holds."""
    if not condition.classes and not reserve:
        return list(range(len(part)))
    targets = np.asarray(part.targets())
    wanted = set(condition.classes) or set(np.unique(targets).tolist())
    rows = [int(row) for row in np.flatnonzero(np.isin(targets, list(wanted)))]
    if not reserve or name != "train":
        return rows
    ranks = {row: hashlib.sha256(str(part.ids[row]).encode()).hexdigest() for row in rows}
    first = {
        row
        for code in wanted
        for row in sorted((row for row in rows if targets[row] == code), key=lambda row: ranks[row])[:reserve]
    }
    return [row for row in rows if (row in first) == (split == "train")]


class ConditionedSplit:
    """Samples of a suite under a condition.

    Args:
        rows: (opened split, position in it) of each sample.
        condition: of the images and labels.
        sensors: of each band read, in order.
        gains: factor per band, one for all, or none.
    """

    def __init__(
        self,
        rows: Sequence[tuple[Split, int]],
        condition: Condition,
        sensors: Sequence[str],
        gains: tuple[float, ...],
    ) -> None:
        self.rows, self.condition, self.sensors, self.gains = rows, condition, list(sensors), gains
        self.ids = [str(split.ids[row]) for split, row in rows]
        self.blocks = [str(split.blocks[row]) for split, row in rows]
        self._codes = {code: place for place, code in enumerate(condition.classes)}

    def __len__(self) -> int:
        return len(self.rows)

    def targets(self) -> np.ndarray:
        """Return the targets of all samples; see `bench.core.Split.targets`."""
        splits = {id(split): split for split, _ in self.rows}
        by_split = {key: np.asarray(split.targets()) for key, split in splits.items()}
        values = np.stack([by_split[id(split)][row] for split, row in self.rows])
        return np.array([self._codes[int(value)] for value in values]) if self._codes else values

    def __getitem__(self, index: int) -> Sample:
        split, row = self.rows[index]
        sample = split[row]
        target = self._codes[int(sample.target)] if self._codes else sample.target
        images = {sensor: self._changed(sensor, values, self.ids[index]) for sensor, values in sample.images.items()}
        return sample._replace(images=images, target=target)

    def _changed(self, sensor: str, values: np.ndarray, sample: str) -> np.ndarray:
        """Return the image of a sensor under the condition; the noise of a sample follows its id."""
        condition = self.condition
        if self.gains:
            places = [place for place, name in enumerate(self.sensors) if name == sensor]
            factors = [self.gains[place] if len(self.gains) > 1 else self.gains[0] for place in places]
            values = values * np.asarray(factors, np.float32)[:, None, None]
        if condition.blur:
            values = gaussian_filter(values, (0, 0, condition.blur, condition.blur), mode="nearest")
        if condition.noise:
            digest = hashlib.sha256(f"{sample}:{sensor}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
            values = values + rng.normal(0, condition.noise, values.shape)
        return np.asarray(values, np.float32)
