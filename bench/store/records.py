"""Store: records and their arrays below ``results/``, and the feature cache. Every write is atomic."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from bench.core import Record, RunKey
from bench.core.errors import MissingData
from bench.store.files import write_atomic


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a compressed ``.npz`` with equal bytes for equal arrays (numpy's own writer stamps the time)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(arrays):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, part.getvalue())
    return buffer.getvalue()


class Store:
    """Records of finished runs: ``<root>/<suite>/records/<digest>.json`` and ``.npz``.

    Args:
        root: the results folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def _path(self, suite: str, digest: str, suffix: str = ".json") -> Path:
        return self.root / suite / "records" / f"{digest}{suffix}"

    def has(self, key: RunKey) -> bool:
        """Return whether a record for the key is stored, ok or failed."""
        return self._path(key.suite, key.digest).exists()

    def get(self, key: RunKey) -> Record | None:
        """Return the stored record of a key, or None."""
        path = self._path(key.suite, key.digest)
        return read_record(path) if path.exists() else None

    def put(self, record: Record, arrays: Mapping[str, np.ndarray] | None = None) -> Path:
        """Store a record and its arrays; the JSON is written last, so a record that exists is whole."""
        arrays = arrays or {}
        path = self._path(record.key.suite, record.digest)
        if arrays:
            write_atomic(path.with_suffix(".npz"), _npz(arrays))
        content = asdict(record) | {"digest": record.digest, "arrays": sorted(arrays)}
        write_atomic(path, (json.dumps(content, indent=1, sort_keys=True, default=str) + "\n").encode())
        return path

    def put_file(self, suite: str, name: str, content: bytes) -> Path:
        """Store a file that goes with a record, such as ``predictions/<digest>/<id>.tif``; return its path."""
        path = self.root / suite / name
        write_atomic(path, content)
        return path

    def suites(self) -> list[str]:
        """Return the names of the suites with records, sorted."""
        return sorted(folder.parent.name for folder in self.root.glob("*/records") if any(folder.glob("*.json")))

    def records(self, suite: str | None = None) -> Iterator[Record]:
        """Yield the records of one suite, or of all, sorted by suite and digest."""
        for name in [suite] if suite else self.suites():
            for path in sorted((self.root / name / "records").glob("*.json")):
                yield read_record(path)

    def arrays(self, record: Record) -> Mapping[str, np.ndarray]:
        """Return a record's per-sample arrays; each is read when it is asked for.

        Raises:
            MissingData: if the file is gone or damaged.
        """
        path = self._path(record.key.suite, record.digest, ".npz")
        try:
            loaded: Mapping[str, np.ndarray] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise MissingData(f"{path} cannot be read ({error}); delete its .json beside it and run again") from error
        return loaded

    def claim(self, key: RunKey, *, wait: bool = False) -> AbstractContextManager[Any] | None:
        """Return a lock on a key, taken, or None where another process holds it. It ends with its process."""
        path = self._path(key.suite, key.digest, ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            return lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return None

    def release(self, key: RunKey) -> None:
        """Remove the lock file of a finished run."""
        self._path(key.suite, key.digest, ".lock").unlink(missing_ok=True)


def read_record(path: Path) -> Record:
    """Return the record stored at `path`.

    Raises:
        MissingData: if it is not a record of this format.
    """
    try:
        content = json.loads(path.read_text())
        digest = content.pop("digest")
        record = Record(**{**content, "key": RunKey(**content["key"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingData(f"{path} is no readable record ({error}); delete it and run again") from error
    if record.digest != digest or path.stem != digest:
        raise MissingData(f"{path} names run {digest} but its key is that of {record.digest}: it was edited; delete it")
    return record
