"""Store: records and their arrays below ``results/``. Every write is atomic, every record carries its checksum."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core import Record, RunKey
from bench.core.errors import BadSetting, Damaged, MissingData
from bench.core.file_names import file_name_fault
from bench.store.arrays import content_fault, pack, sha256_of_file
from bench.store.files import make_folder, write_atomic, writing
from bench.store.leases import claim, file_clock
from bench.store.seals import checksum_of, parse_json, plain
from bench.store.stamps import signature_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SEALS = ("checksum", "arrays_checksum")
"""Of a record: the SHA-256 of its whole content but for this value, and that of its ``.npz``, empty without arrays."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A stored record that is left out, or that carries no checksum.

    Attributes:
        path: its file.
        text: what is wrong, with the name of the file.
        damaged: False for a record without a checksum, which is read all the same.
    """

    path: Path
    text: str
    damaged: bool = True


class Store:
    """Records of finished runs: ``<root>/<suite>/records/<digest>.json`` and ``.npz``.

    Args:
        root: the results folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._checked: dict[Path, tuple[list[int], str]] = {}  # arrays whose checksum this process has compared

    def _path(self, suite: str, digest: str, suffix: str = ".json") -> Path:
        return self.root / suite / "records" / f"{digest}{suffix}"

    def has(self, key: RunKey) -> bool:
        """Return whether a record for the key is stored, ok or failed."""
        return self._path(key.suite, key.digest).exists()

    def get(self, key: RunKey) -> Record | None:
        """Return the stored record of a key, or None.

        Raises:
            Damaged: the record or its arrays are not what was written; the run has to be done again.
        """
        path = self._path(key.suite, key.digest)
        return self._sound(path)[0] if os.path.lexists(path) else None

    def put(self, record: Record, arrays: Mapping[str, np.ndarray] | None = None) -> Path:
        """Store a record and its arrays; the JSON is written last, so a record that exists is whole.

        Raises:
            Unwritable: the system refuses.
        """
        path, packed = self._path(record.key.suite, record.digest), pack(arrays) if arrays else b""
        content = sealed_record(asdict(record) | {"digest": record.digest, "arrays": sorted(arrays or {})}, packed)
        _record(path, content)  # nothing is stored that cannot be read back
        text = (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
        for _ in range(3):
            if packed:
                write_atomic(path.with_suffix(".npz"), packed)
            write_atomic(path, text)
            try:
                # Another process may have stored the same run meanwhile, and of each one file be left.
                self._sound(path)
            except MissingData:
                continue
            break
        return path

    def put_file(self, suite: str, name: str, content: bytes) -> Path:
        """Store a file that goes with a record, such as ``predictions/<digest>/<id>.tif``; return its path.

        A file that holds the same bytes already is left as it is.

        Raises:
            BadSetting: a part of the name cannot be part of a file name.
            Unwritable: the system refuses.
        """
        for part in (suite, *name.split("/")):
            if fault := file_name_fault(part):
                raise BadSetting(f"{suite}/{name} cannot be the name of a file: {part!r} {fault}")
        path = self.root / suite / name
        try:
            same = path.read_bytes() == content
        except OSError:
            same = False
        if not same:
            write_atomic(path, content)
        return path

    def suites(self) -> list[str]:
        """Return the names of the suites with records, sorted."""
        return sorted(folder.parent.name for folder in self.root.glob("*/records") if any(folder.glob("*.json")))

    def records(self, suite: str | None = None) -> Iterator[Record]:
        """Yield the sound records of one suite, or of all, sorted by suite and digest; `faults` names the others."""
        for path in self._paths(suite):
            try:
                record, _ = self._sound(path)
            except MissingData:
                continue
            yield record

    def recent(self, most: int) -> Iterator[Record]:
        """Yield the records written last, of all suites, newest first, without a look at their arrays.

        Args:
            most: number of files looked at; one that is no sound record is left out.
        """
        written = []
        for path in self._paths(None):
            with suppress(OSError):
                written.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(written, reverse=True)[:most]:
            with suppress(MissingData):
                yield _record(path, _content(path))

    def faults(self, suite: str | None = None) -> list[Fault]:
        """Return the records of one suite, or of all, that are damaged or carry no checksum."""
        faults = []
        for path in self._paths(suite):
            try:
                _, sealed = self._sound(path)
            except MissingData as error:
                faults.append(Fault(path=path, text=str(error)))
                continue
            if not sealed:
                text = f"{path} carries no checksum; geobench-cache verify seal=true adds it to records that are right"
                faults.append(Fault(path=path, text=text, damaged=False))
        return faults

    def _paths(self, suite: str | None) -> list[Path]:
        names = [suite] if suite else self.suites()
        return [path for name in names for path in sorted((self.root / name / "records").glob("*.json"))]

    def arrays(self, record: Record) -> Mapping[str, np.ndarray]:
        """Return a record's per-sample arrays; each is read when it is asked for.

        Raises:
            Damaged: the file is gone, or not what was written with the record.
        """
        path = self._path(record.key.suite, record.digest)
        content = _content(path)
        if fault := self._arrays_fault(path, content):
            raise Damaged(fault)
        try:
            loaded: Mapping[str, np.ndarray] = np.load(path.with_suffix(".npz"), allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise Damaged(f"{path.with_suffix('.npz')} cannot be read ({error}); run again") from error
        return loaded

    def claim(self, suite: str, name: str, *, wait: bool = False) -> AbstractContextManager[object] | None:
        """Return the claim on a group of runs, taken, or None where another process holds it; use it in a ``with``.

        Args:
            suite: of the runs.
            name: of the group, see `bench.runs.groups.Group`.
            wait: wait until the other process is done, or dead.

        Raises:
            Unwritable: nothing can be written below the results folder.
        """
        return claim(self._path(suite, name, ".lease"), wait=wait)

    def digests(self, suite: str) -> set[str]:
        """Return the digests of the records of a suite by the names of their files; none of them is read."""
        try:
            with os.scandir(self.root / suite / "records") as entries:
                return {entry.name[:-5] for entry in entries if entry.name.endswith(".json")}
        except OSError:
            return set()

    def written(self, key: RunKey) -> float:
        """Return when the record of a key was written, by the clock of its file system; 0 where there is none."""
        try:
            return self._path(key.suite, key.digest).stat().st_mtime
        except OSError:
            return 0.0

    def now(self) -> float:
        """Return the time by the clock of the results folder's file system, which need not be this machine's.

        Raises:
            Unwritable: nothing can be written there.
        """
        with writing(make_folder(self.root)):
            return file_clock(self.root)

    def seal(self, suite: str | None = None) -> list[Path]:
        """Add checksums to the records without, where they and their arrays can be read; return their paths.

        Nothing else of a record changes, its digest included.

        Raises:
            Unwritable: the system refuses.
        """
        sealed = []
        for fault in self.faults(suite):
            if fault.damaged:
                continue
            content = _content(fault.path)
            arrays = fault.path.with_suffix(".npz")
            content = sealed_record(content, arrays.read_bytes() if content["arrays"] else b"")
            write_atomic(fault.path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
            sealed.append(fault.path)
        return sealed

    def _sound(self, path: Path) -> tuple[Record, bool]:
        """Return a record whose arrays are those written with it, and whether it carries a checksum.

        Raises:
            Damaged: naming the file and what is wrong.
        """
        content = _content(path)
        record = _record(path, content)
        if fault := self._arrays_fault(path, content):
            raise Damaged(fault)
        return record, "checksum" in content

    def _arrays_fault(self, path: Path, content: Mapping[str, Any]) -> str:
        if not content["arrays"]:
            return ""
        arrays = path.with_suffix(".npz")
        expected = str(content.get("arrays_checksum", ""))
        try:
            state = signature_of(arrays)
            if self._checked.get(arrays) == (state, expected):
                return ""
            if not expected:
                fault = content_fault(arrays, content["arrays"])
            else:
                fault = "" if sha256_of_file(arrays) == expected else f"{arrays.name} differs from its checksum"
        except OSError as error:
            fault = f"{arrays.name} cannot be read ({error.strerror})"
        if fault:
            return f"{path} is left out: {fault}; run again, or delete the record"
        self._checked[arrays] = (state, expected)
        return ""


def sealed_record(content: Mapping[str, object], arrays: bytes) -> dict[str, Any]:
    """Return the content of a record with its checksums.

    Args:
        content: of the JSON, without checksums.
        arrays: of the ``.npz``, empty without one.
    """
    facts = plain({name: value for name, value in content.items() if name != "checksum"})
    facts["arrays_checksum"] = hashlib.sha256(arrays).hexdigest() if arrays else ""
    return {**facts, "checksum": checksum_of(facts)}


@lru_cache(maxsize=1)
def _form() -> TypeAdapter[Record]:
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


def _content(path: Path) -> dict[str, object]:
    """Return the JSON of a record whose checksum, if it carries one, is right.

    Raises:
        Damaged: it is no record, or was edited.
    """
    try:
        content = parse_json(path)
    except (OSError, Damaged) as error:
        raise Damaged(f"{path} is no readable record ({error}); delete it and run again") from error
    if not isinstance(content, dict) or not isinstance(content.get("arrays"), list):
        raise Damaged(f"{path} is no readable record (no object with arrays); delete it and run again")
    if "checksum" in content:
        facts = {name: value for name, value in content.items() if name != "checksum"}
        if content["checksum"] != checksum_of(facts):
            raise Damaged(f"{path} differs from its checksum: it was edited; delete it and run again")
    elif "arrays_checksum" in content:
        raise Damaged(f"{path} has lost its checksum: it was edited; delete it and run again")
    return content


def _record(path: Path, content: Mapping[str, object]) -> Record:
    """Return the record that a JSON holds.

    Raises:
        Damaged: a part is missing or of another kind, or it is the record of another run, suite or unsafe name.
    """
    facts = {name: value for name, value in content.items() if name not in (*SEALS, "digest")}
    try:
        _form().validate_json(json.dumps(facts), strict=True)
        record = Record(**{**facts, "key": RunKey(**facts["key"])})  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise Damaged(f"{path} is no readable record ({reason}); delete it and run again") from error
    digest = content.get("digest")
    if record.digest != digest or path.stem != digest:
        raise Damaged(f"{path} names run {digest} but its key is that of {record.digest}: it was edited; delete it")
    if path.parent.name == "records" and path.parent.parent.name != record.key.suite:
        raise Damaged(f"{path} is a record of suite {record.key.suite!r}, in the folder of another; move it there")
    key = record.key
    names: Sequence[tuple[str, object]] = [
        ("suite", key.suite),
        ("task", key.task),
        ("model", key.model),
        ("protocol", key.protocol),
        *(("split", split) for split in record.scores),
        *(("array", part) for name in record.arrays for part in name.split("/")),
    ]
    for what, name in names:
        if fault := file_name_fault(name):
            raise Damaged(f"{path} names the {what} {name!r}, which {fault}: no file can be called so; delete it")
    return record


def read_record(path: Path) -> Record:
    """Return the record stored at `path`; its arrays are not looked at.

    Raises:
        Damaged: it is not a record of this format, or was edited.
    """
    return _record(path, _content(path))
