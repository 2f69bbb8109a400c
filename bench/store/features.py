"""The feature cache: content-addressed, memory-mapped, crash-safe, shared by many processes and machines."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import Layer, sha256_of
from bench.core.errors import Damaged
from bench.core.file_names import file_name_fault
from bench.store.feature_writer import FeatureWriter
from bench.store.files import discard, set_aside
from bench.store.leases import claimed
from bench.store.memos import Memos
from bench.store.readers import Readers
from bench.store.seals import read_sealed
from bench.store.stamps import Stamps


class Features:
    """Features of one split, memory-mapped: ``name -> array (n, ...)`` with the ids of its rows.

    Args:
        folder: the set.
        manifest: of the set, checked.
        readers: the mark that keeps the set from being collected, as long as this object lives.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], readers: Readers | None = None) -> None:
        self.folder, self.manifest, self._readers = folder, manifest, readers
        self.ids: list[str] = manifest["ids"]
        self.layers = tuple(Layer(**layer) for layer in manifest["layers"])

    @property
    def names(self) -> list[str]:
        """The arrays there are, e.g. ``block_1.mean``."""
        return sorted(self.manifest["files"])

    def __getitem__(self, name: str) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        for _ in range(40):
            with suppress(FileNotFoundError):
                array: np.ndarray = np.load(path, mmap_mode="r")
                return array
            time.sleep(0.05)  # a collector has set the folder aside, sees that it is read and puts it back
        raise Damaged(f"{path} is gone while it is read; run again")


def read_manifest(folder: Path, key: Mapping[str, object] | None = None) -> dict[str, Any] | None:
    """Return the manifest of a feature set, or None where there is none.

    Args:
        folder: the set.
        key: what the set has to be; None takes the folder's name for it.

    Raises:
        Damaged: it is not what was written, or of another set.
    """
    path = folder / "manifest.json"
    manifest = read_sealed(path, key)
    if manifest is None:
        return None
    try:
        facts, ids, files = manifest["facts"], manifest["ids"], manifest["files"]
        sound = (
            len(ids) == manifest["rows"]
            and all(isinstance(identifier, str) for identifier in ids)
            and all(not file_name_fault(name) and isinstance(files[name]["crc32"], str) for name in files)
            and isinstance([Layer(**layer) for layer in manifest["layers"]], list)
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} is no manifest of a feature set ({error})") from error
    if not sound:
        raise Damaged(f"{path} is no manifest of a feature set")
    if sha256_of(facts)[:24] != folder.name:
        raise Damaged(f"{path} is the manifest of another set")
    return dict(manifest)


class FeatureCache:
    """Feature sets by content key, shared by suites, runs and users: ``<root>/features/<digest>/``.

    A cache that cannot be written serves what it holds.

    Args:
        root: the cache folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.memos = Memos(self.root)
        self.stamps = Stamps([self.root, default_cache()])
        self.readers = Readers(self.root)

    def folder(self, key: Mapping[str, Any]) -> Path:
        """Return the folder of a key's feature set, there or not."""
        return self.root / "features" / sha256_of(dict(key))[:24]

    def open(self, key: Mapping[str, Any]) -> Features | None:
        """Return the feature set of a key, or None; one that is damaged is removed, so that it is made again."""
        folder = self.folder(key)
        self.readers.add(folder.name)
        try:
            manifest = read_manifest(folder, dict(key))
            damaged = bool(manifest) and bool(self.stamps.fault(folder, manifest["files"]))  # type: ignore[index]
        except Damaged:
            manifest, damaged = None, True
        if manifest is None or damaged:
            if (damaged or folder.exists()) and (aside := set_aside(folder)):
                discard(aside)
            return None
        with suppress(OSError):
            os.utime(folder / "manifest.json")  # the least recently used are collected first
        return Features(folder, manifest, self.readers)

    def facts(self) -> Iterator[dict[str, Any]]:
        """Yield the content key of every feature set whose manifest can be read."""
        for path in sorted((self.root / "features").glob("*/manifest.json")):
            with suppress(Damaged):
                if manifest := read_manifest(path.parent):
                    yield manifest["facts"]

    def is_sound(self, folder: Path) -> bool:
        """Return whether the folder holds a whole feature set; every file is read."""
        try:
            manifest = read_manifest(folder)
        except Damaged:
            return False
        return manifest is not None and not self.stamps.fault(folder, manifest["files"], full=True)

    def lock(self, key: Mapping[str, object]) -> AbstractContextManager[None]:
        """Return the claim that keeps two processes from making one feature set twice; use it in a ``with``.

        Raises:
            Unwritable: on entering, where the cache cannot be written.
        """
        folder = self.folder(key)
        return claimed(folder.with_name(f"{folder.name}.lease"))

    def writer(
        self,
        key: Mapping[str, object],
        ids: Sequence[str],
        shapes: Mapping[str, tuple[tuple[int, ...], str]],
        layers: Sequence[Layer] = (),
    ) -> FeatureWriter:
        """Return a writer for a key's feature set, at the row where one that ended stopped; hold `lock` meanwhile."""
        return FeatureWriter(self.folder(key), ids, shapes, key, layers, self.is_sound)


def default_cache() -> Path:
    """Return the cache folder where none is named: ``$GEOBENCH_CACHE``, else ``~/.cache/geobench``."""
    return Path(os.environ.get("GEOBENCH_CACHE") or Path.home() / ".cache" / "geobench")
