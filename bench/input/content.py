"""Fingerprints of the content of a suite's files, so that results depend on the data and not on sample names alone.

A split's fingerprint covers the images of `SAMPLED` samples, chosen by a hash of their ids, band by band, with their
dates and places; and its targets: all of them where the task is image-level, those of the same samples where reading
targets means reading images. Targets of dense tasks are hashed in full when they are checked, before anything is
computed (see `bench.preflight.targets`), and everything is by ``geobench-doctor --audit``.

Fingerprints hold no times, sizes or paths of files, so they are the same on every machine. In the cache they are kept
with a stamp of the suite's folder (paths, sizes, times): as long as no file changes, nothing is read again.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import Band, Sample, Suite, Task, sha256_of
from bench.input.splits import Splits
from bench.input.subsets import first_by_hash
from bench.store import FeatureCache

SAMPLED = 16  # samples of a split whose images are hashed
DIGITS = 16  # of a fingerprint, in hexadecimal
Known = dict[str, Any]
"""What is known of a split's content: ``bands`` name -> hash, ``places``, ``targets``, and ``survey`` once made."""


def hash_of(values: Any) -> str:
    """Return the hash of an array, of its type and shape; of a mapping of arrays, of None.

    >>> hash_of(np.zeros(3)) == hash_of(np.zeros(3)), hash_of(np.zeros(3)) == hash_of(np.zeros((3, 1)))
    (True, False)
    """
    if isinstance(values, Mapping):
        return sha256_of({str(name): hash_of(value) for name, value in values.items()})[:DIGITS]
    if values is None:
        return ""
    array = np.ascontiguousarray(values)
    digest = hashlib.sha256(f"{array.dtype.str}{np.shape(values)}".encode())
    digest.update(repr(array.tolist()).encode() if array.dtype.kind == "O" else array.tobytes())
    return digest.hexdigest()[:DIGITS]


def band_values(sample: Sample, bands: Sequence[Band]) -> dict[str, np.ndarray]:
    """Return band name -> values (T, H, W) of a sample that was opened with some bands, in that order."""
    place: dict[str, int] = {}
    values = {}
    for band in bands:
        column = place.setdefault(band.sensor, 0)
        values[band.name] = sample.images[band.sensor][:, column]
        place[band.sensor] += 1
    return values


def folder_stamp(folder: Path) -> str:
    """Return a hash of the paths, sizes and times of all files below a folder; ``""`` where there are none."""
    files: list[tuple[str, int, int]] = []
    waiting, seen = [folder] if folder.is_dir() else [], set[tuple[int, int]]()
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                try:
                    facts = entry.stat()
                except OSError:  # a link to nothing
                    files.append((entry.path, -1, 0))
                    continue
                if not entry.is_dir():
                    files.append((entry.path, facts.st_size, facts.st_mtime_ns))
                elif (facts.st_dev, facts.st_ino) not in seen:  # links may lead in circles
                    seen.add((facts.st_dev, facts.st_ino))
                    waiting.append(Path(entry.path))
    return sha256_of(sorted(files)) if files else ""


def source_hash(suite: Suite) -> str:
    """Return the hash of the file of code that opens a suite, ``""`` where the file is unknown."""
    try:
        return hashlib.sha256(Path(inspect.getfile(suite.open)).read_bytes()).hexdigest()
    except (TypeError, OSError):
        return ""


@dataclass
class Contents:
    """The fingerprints of a suite's splits.

    Attributes:
        data: the suite's splits.
        cache: where fingerprints are kept.
    """

    data: Splits
    cache: FeatureCache
    _known: dict[tuple[str, str], Known] = field(default_factory=dict)
    _stamp: str | None = None

    def fingerprint(self, task: Task, name: str, bands: Sequence[Band]) -> str:
        """Return the fingerprint of one split: of some bands, and of the task's targets.

        Raises:
            MissingData: a sample cannot be read.
        """
        images = self.images(task, name, bands)
        return sha256_of([images, self._targets(task, name, bands)])[:DIGITS]

    def images(self, task: Task, name: str, bands: Sequence[Band]) -> str:
        """Return the fingerprint of the images of one split, of some bands in any order; targets are not read."""
        known = self._images(task, name, bands)
        chosen = {band.name: known["bands"][band.name] for band in bands}
        return sha256_of([chosen, known["places"]])[:DIGITS]

    def survey(self, task: Task, name: str) -> object:
        """Return the survey of a split stored by `keep_survey`; None without one, or where a file changed since."""
        return self._of(task, name).get("survey")

    def keep_survey(self, task: Task, name: str, survey: object) -> None:
        """Keep JSON data about all targets of a split, for as long as no file of the suite changes."""
        self._of(task, name)["survey"] = survey
        self._save(task, name)

    @property
    def stamped(self) -> bool:
        """Whether a change of the suite's files is noticed without reading them: they lie in a folder of their own."""
        if self._stamp is None:
            folder = self.data.suite.folder
            source = source_hash(self.data.suite)
            stamp = folder_stamp(self.data.root / folder) if folder and source else ""
            self._stamp = sha256_of([stamp, source]) if stamp else ""
        return bool(self._stamp)

    def _of(self, task: Task, name: str) -> Known:
        if (task.name, name) not in self._known:
            kept = self.cache.memos.recall("contents", self._key(task, name)) if self.stamped else None
            self._known[task.name, name] = kept or {"bands": {}}
        return self._known[task.name, name]

    def _key(self, task: Task, name: str) -> dict[str, Any]:
        suite = self.data.suite
        return {"suite": suite.name, "version": suite.version, "task": task.name, "split": name, "stamp": self._stamp}

    def _save(self, task: Task, name: str) -> None:
        if self.stamped:
            self.cache.memos.remember("contents", self._key(task, name), self._of(task, name))

    def _images(self, task: Task, name: str, bands: Sequence[Band]) -> Known:
        """Return what is known of a split, once the images of all bands asked for have been hashed."""
        known = self._of(task, name)
        missing = tuple(band for band in bands if band.name not in known["bands"])
        if not missing and "places" in known:
            return known
        missing = missing or tuple(bands)[:1]
        split = self.data.split(task, name, missing)
        rows = first_by_hash(split.ids, np.arange(len(split)), SAMPLED)
        samples = [split[int(row)] for row in rows]
        hashes: dict[str, list[str]] = {band.name: [] for band in missing}
        for sample in samples:
            for band, values in band_values(sample, missing).items():
                hashes[band].append(hash_of(values))
        known["bands"] |= {band: sha256_of(parts)[:DIGITS] for band, parts in hashes.items()}
        known["places"] = sha256_of([[hash_of(sample.when), hash_of(sample.where)] for sample in samples])[:DIGITS]
        self._save(task, name)
        return known

    def _targets(self, task: Task, name: str, bands: Sequence[Band]) -> str:
        """Return the hash of a split's targets; of dense tasks, of those of the samples whose images are hashed."""
        known = self._of(task, name)
        if "targets" not in known:
            split = self.data.sound(task, name, tuple(bands)[:1])
            rows = first_by_hash(split.ids, np.arange(len(split)), SAMPLED) if task.dense else ()
            sampled = [hash_of(split[int(row)].target) for row in rows]
            known["targets"] = sha256_of(sampled)[:DIGITS] if task.dense else hash_of(split.targets())
            self._save(task, name)
        return str(known["targets"])
