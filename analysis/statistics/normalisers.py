"""Frozen, versioned normalisers: ranges that put the scores of different tasks on one scale.

A range fitted to whatever models are at hand moves every score when a model joins. These are written down once, one
JSON a version in ``analysis/normalisers``, with a hash of the ranges: another range is another version.
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
        name, version: which.
        ranges: task -> (worst, best), in the task's own units; worst above best where less is better.
        about: what the ranges are.
        source: where they come from.
        digest: hash of the ranges.
        suites: suite -> (task of the ranges, metric): our suites whose score is in the same metric.
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
        """Return (score - worst) / (best - worst) of each, (n,) float64; never clipped, so it may lie outside 0..1.

        Args:
            tasks: (n,) task of each score.
            scores: (n,) scores in the task's own units.

        Raises:
            UnknownName: if there is no range for a task.
        """
        for task in tasks:
            if task not in self.ranges:
                raise UnknownName(
                    f"task in normaliser {self}", str(task), self.ranges, "Pool without it, or freeze a range"
                )
        worst, best = np.array([self.ranges[task] for task in tasks], dtype=np.float64).reshape(-1, 2).T
        return np.asarray((np.asarray(scores, dtype=np.float64) - worst) / (best - worst))


def digest_of(ranges: Mapping[str, tuple[float, float]]) -> str:
    """Return the SHA-256 of ranges, whatever their order."""
    plain = {task: {"worst": float(low), "best": float(high)} for task, (low, high) in ranges.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def normalisers() -> dict[str, Path]:
    """Return the file of every normaliser there is, by ``name_vN``."""
    return {path.stem: path for path in sorted(FOLDER.glob("*_v*.json"))}


def normaliser(name: str) -> Normaliser:
    """Return a frozen normaliser by ``name_vN``, e.g. ``geobench2_v1``.

    Raises:
        UnknownName: lists those there are.
        BadSetting: if its ranges are not those its version was frozen with, or one of them is empty.
    """
    known = normalisers()
    if name not in known:
        raise UnknownName("normaliser", name, known)
    return read_normaliser(known[name])


def read_normaliser(path: Path) -> Normaliser:
    """Return the normaliser in a file, for `normaliser` and for ranges of one's own.

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
            f"{path.name}: its ranges hash to {digest[:12]}, version {stored['version']} was frozen with "
            f"{stored['sha256'][:12]}. Ranges are not changed but given a new version, in a file of its own"
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
