"""Normalisers: frozen, versioned ranges that put the scores of different tasks on one scale.

A range fitted to the models at hand changes every score when a model is added. These ranges are stored once, one JSON
file per version in ``analysis/statistics/ranges``, with a hash: a changed range is a new version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.core.errors import BadSetting, UnknownName

FOLDER = Path(__file__).parent / "ranges"


@dataclass(frozen=True, kw_only=True)
class Normaliser:
    """Ranges of tasks, from the score that becomes 0 to the one that becomes 1.

    Attributes:
        name, version: identify the ranges.
        ranges: task -> (worst, best), in the task's own units; worst above best where smaller is better.
        about: what the ranges are.
        source: where they come from.
        digest: hash of the ranges.
        suites: suite -> (task of the ranges, metric), for suites here whose score is in the same metric.
    """

    name: str
    version: int
    ranges: Mapping[str, tuple[float, float]]
    about: str = ""
    source: str = ""
    digest: str = ""
    suites: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def __call__(self, tasks: Sequence[str], scores: np.ndarray) -> np.ndarray:
        """Return (score - worst) / (best - worst) of each, (n,) float64, not clipped: values outside 0..1 are possible.

        Args:
            tasks: (n,) task of each score.
            scores: (n,) scores in the task's own units.

        Raises:
            UnknownName: if a task has no range.

        >>> ranges = Normaliser(name="example", version=1, ranges={"height": (8.0, 3.0)})  # smaller is better
        >>> ranges(["height", "height"], np.array([3.0, 4.0]))
        array([1. , 0.8])
        """
        for task in tasks:
            if task not in self.ranges:
                raise UnknownName(
                    f"task in normaliser {self}", str(task), self.ranges, "Leave the task out, or add a range"
                )
        worst, best = np.array([self.ranges[task] for task in tasks], dtype=np.float64).reshape(-1, 2).T
        return np.asarray((np.asarray(scores, dtype=np.float64) - worst) / (best - worst))


def digest_of(ranges: Mapping[str, tuple[float, float]]) -> str:
    """Return the SHA-256 of ranges; their order does not matter.

    >>> digest_of({"a": (0, 1), "b": (1, 2)}) == digest_of({"b": (1, 2), "a": (0, 1)})
    True
    """
    plain = {task: {"worst": float(low), "best": float(high)} for task, (low, high) in ranges.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def normalisers() -> dict[str, Path]:
    """Return the file of every normaliser by ``name_vN``.

    >>> sorted(normalisers())
    ['geobench2_v1']
    """
    return {path.stem: path for path in sorted(FOLDER.glob("*_v*.json"))}


def normaliser(name: str) -> Normaliser:
    """Return a normaliser by ``name_vN``, e.g. ``geobench2_v1``.

    Raises:
        UnknownName: lists the known ones.
        BadSetting: if its ranges do not have the hash stored with them, or one of them is empty.

    >>> str(normaliser("geobench2_v1"))
    'geobench2 v1'
    """
    known = normalisers()
    if name not in known:
        raise UnknownName("normaliser", name, known)
    return read_normaliser(known[name])


def read_normaliser(path: Path) -> Normaliser:
    """Return the normaliser in a file, which may be a user's.

    Raises:
        BadSetting: as `normaliser`.
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    ranges = {task: (float(ends["worst"]), float(ends["best"])) for task, ends in stored["ranges"].items()}
    empty = [task for task, (worst, best) in ranges.items() if worst == best]
    if empty:
        raise BadSetting(f"{path.name}: worst and best are equal for {', '.join(empty)}")
    digest = digest_of(ranges)
    if digest != stored["sha256"]:
        raise BadSetting(
            f"{path.name}: the ranges have the hash {digest[:12]}, but version {stored['version']} was stored with "
            f"{stored['sha256'][:12]}. Do not change ranges: add a new version as a new file"
        )
    return Normaliser(
        name=stored["name"],
        version=stored["version"],
        ranges=ranges,
        about=stored["about"],
        source=stored["source"],
        digest=digest,
        suites={suite: (task, metric) for suite, (task, metric) in stored.get("suites", {}).items()},
    )
