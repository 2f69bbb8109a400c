"""The feature cache: content-addressed, memory-mapped, crash-safe."""

from __future__ import annotations

import io
import os
import shutil
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from bench.core import Layer, canonical, sha256_of
from bench.store.files import read_json, write_atomic


class Features:
    """Features of one split, memory-mapped: ``name -> array (n, ...)`` with the ids of its rows."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.ids: list[str] = manifest["ids"]
        self.layers = tuple(Layer(**layer) for layer in manifest["layers"])

    @property
    def names(self) -> list[str]:
        """The arrays there are, e.g. ``block_1.mean``."""
        return sorted(self.manifest["files"])

    def __getitem__(self, name: str) -> np.ndarray:
        array: np.ndarray = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return array


class FeatureWriter:
    """Appends rows to the arrays of a feature set that is under construction; continues where a killed one stopped.

    Args:
        folder: the partial folder.
        final: where it is moved on `commit`.
        ids: row ids, in order.
        shapes: array name -> (shape of a row, dtype).
        facts: what the key stands for, kept in the manifest.
        layers: what the backbone says of each layer, kept beside.
    """

    def __init__(
        self,
        folder: Path,
        final: Path,
        ids: Sequence[str],
        shapes: Mapping[str, tuple[tuple[int, ...], str]],
        facts: Mapping[str, Any],
        layers: Sequence[Layer],
    ) -> None:
        self._folder, self._final, self._facts = folder, final, dict(facts)
        self._layers = [asdict(layer) for layer in layers]
        self.ids, self._shapes = list(ids), dict(shapes)
        plan = {"ids": self.ids, "files": {name: [list(shape), dtype] for name, (shape, dtype) in shapes.items()}}
        self._progress = folder / "progress.json"
        self.rows = 0
        state = read_json(self._progress)
        if state and state["plan"] == sha256_of(plan):
            self.rows = int(state["rows"])
        else:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._plan = sha256_of(plan)
        self._headers: dict[str, int] = {}
        self._streams = {name: self._open(name) for name in self._shapes}

    def _open(self, name: str) -> io.BufferedRandom:
        shape, dtype = self._shapes[name]
        path = self._folder / f"{name}.npy"
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (len(self.ids), *shape)}
        )
        self._headers[name] = len(header.getvalue())
        if not path.exists():
            path.write_bytes(header.getvalue())
        stream = path.open("r+b")
        # Whatever lies past the last row that progress.json vouches for was cut off half-way.
        stream.truncate(self._headers[name] + self.rows * int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize)
        stream.seek(0, io.SEEK_END)
        return stream

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Append the same number of rows to every array."""
        counts = {len(array) for array in rows.values()}
        if set(rows) != set(self._shapes) or len(counts) != 1:
            raise ValueError(f"append needs equally many rows of {sorted(self._shapes)}, got {sorted(rows)}: {counts}")
        for name, array in rows.items():
            shape, dtype = self._shapes[name]
            if array.shape[1:] != shape:
                raise ValueError(f"{name}: a row has shape {array.shape[1:]}, declared {shape}")
            self._streams[name].write(np.ascontiguousarray(array, dtype=dtype).tobytes())
        self.rows += counts.pop()

    def flush(self) -> None:
        """Make the rows so far survive a kill."""
        for stream in self._streams.values():
            stream.flush()
            os.fsync(stream.fileno())
        write_atomic(self._progress, canonical({"plan": self._plan, "rows": self.rows}).encode())

    def commit(self) -> None:
        """Close, write the manifest with checksums, and move the set into place in one rename."""
        if self.rows != len(self.ids):
            raise ValueError(f"{self.rows} of {len(self.ids)} rows written")
        self.close()
        files = {name: {"crc32": _crc32(self._folder / f"{name}.npy")} for name in self._shapes}
        manifest = {"facts": self._facts, "ids": self.ids, "files": files, "rows": self.rows, "layers": self._layers}
        write_atomic(self._folder / "manifest.json", canonical(manifest).encode())
        self._progress.unlink(missing_ok=True)
        shutil.rmtree(self._final, ignore_errors=True)
        self._folder.replace(self._final)

    def close(self) -> None:
        """Close the files."""
        for stream in self._streams.values():
            stream.close()


class FeatureCache:
    """Feature sets by content key, shared by suites, runs and users: ``<root>/features/<digest>/``.

    Args:
        root: the cache folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._verified: set[str] = set()

    def folder(self, key: Mapping[str, Any]) -> Path:
        """Return the folder of a key's feature set, there or not."""
        return self.root / "features" / sha256_of(dict(key))[:24]

    def open(self, key: Mapping[str, Any]) -> Features | None:
        """Return the feature set of a key, or None; one that fails its checksums is removed, so it gets rebuilt."""
        folder = self.folder(key)
        manifest = read_json(folder / "manifest.json")
        if manifest is None:
            return None
        if folder.name not in self._verified:
            if self._damage(folder, manifest):
                shutil.rmtree(folder, ignore_errors=True)
                return None
            self._verified.add(folder.name)
        os.utime(folder / "manifest.json")
        return Features(folder, manifest)

    def lock(self, key: Mapping[str, Any]) -> FileLock:
        """Return the lock that keeps two processes from making one feature set twice; use it in a ``with``."""
        folder = self.folder(key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(folder.with_suffix(".lock"))

    def writer(
        self,
        key: Mapping[str, Any],
        ids: Sequence[str],
        shapes: Mapping[str, tuple[tuple[int, ...], str]],
        layers: Sequence[Layer] = (),
    ) -> FeatureWriter:
        """Return a writer for a key's feature set, at the row where a killed one stopped; hold `lock` meanwhile."""
        folder = self.folder(key)
        return FeatureWriter(folder.with_suffix(".partial"), folder, ids, shapes, key, layers)

    def memo(self, kind: str, key: Mapping[str, Any]) -> Path:
        """Return the path of a small JSON kept by content key (train statistics, file hashes)."""
        return self.root / kind / f"{sha256_of(dict(key))[:24]}.json"

    @staticmethod
    def _damage(folder: Path, manifest: Mapping[str, Any]) -> str:
        for name, facts in manifest["files"].items():
            path = folder / f"{name}.npy"
            if not path.exists():
                return f"{path.name} is missing"
            if _crc32(path) != facts["crc32"]:
                return f"{path.name} differs from its checksum"
        return ""

    def listing(self, *, verify: bool = False) -> list[dict[str, Any]]:
        """Return one row a feature set: name, model, suite, split, rows, bytes, age in days, state."""
        rows = []
        for folder in sorted((self.root / "features").glob("*")):
            if not folder.is_dir():
                continue
            manifest = read_json(folder / "manifest.json")
            facts = manifest["facts"] if manifest else {}
            state = "partial" if manifest is None else "ok"
            if manifest and verify:
                state = self._damage(folder, manifest) or "ok"
            rows.append(
                {
                    "name": folder.name,
                    "model": facts.get("model", ""),
                    "suite": facts.get("suite", ""),
                    "split": facts.get("split", ""),
                    "rows": manifest["rows"] if manifest else 0,
                    "bytes": sum(path.stat().st_size for path in folder.iterdir()),
                    "days": round((time.time() - _newest(folder)) / 86400, 2),
                    "state": state,
                }
            )
        return rows

    def gc(self, *, keep_bytes: int | None = None) -> list[str]:
        """Remove partial and damaged sets, then the least recently used until at most `keep_bytes` remain.

        Returns:
            The names removed. A set another process is writing now is left alone.
        """
        rows = sorted(self.listing(verify=True), key=lambda row: row["days"])
        removed, total = [], 0
        for row in rows:
            total += row["bytes"]
            if row["state"] == "ok" and (keep_bytes is None or total <= keep_bytes):
                continue
            folder = self.root / "features" / row["name"]
            lock = FileLock(folder.with_suffix(".lock"))
            try:
                with lock.acquire(timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
                    removed.append(row["name"])
            except Timeout:
                continue
        return removed


def _newest(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.iterdir()), default=folder.stat().st_mtime)


def _crc32(path: Path) -> str:
    value = 0
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            value = zlib.crc32(chunk, value)
    return f"{value:08x}"


def default_cache() -> Path:
    """Return the cache folder where none is named: ``$GEOBENCH_CACHE``, else ``~/.cache/geobench``."""
    return Path(os.environ.get("GEOBENCH_CACHE") or Path.home() / ".cache" / "geobench")
