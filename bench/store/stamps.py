"""Stamps on large feature sets that this machine has read in full and verified, so that it need not read them again.

A stamp holds size, times of change and checksum of every file of a set; a file that was touched is read again. What
rots on the disk and leaves the times alone is found by ``geobench-cache verify``, which trusts no stamp.
"""

from __future__ import annotations

import re
import socket
import zlib
from collections.abc import Mapping
from pathlib import Path

from bench.core import sha256_of
from bench.core.errors import Damaged, Unwritable
from bench.store.files import discard
from bench.store.seals import read_sealed, write_sealed

SMALL = 64 << 20  # bytes of a set that every process reads in full once: some 70 ms
CHUNK = 1 << 22


def crc32_of(path: Path) -> str:
    """Return the CRC-32 of a file in 8 hex digits."""
    value = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return f"{value:08x}"


def signature_of(path: Path) -> list[int]:
    """Return what changes when a file is written: size, time of modification and of status change in ns, inode.

    The time of status change also shows writes whose time of modification was set back.

    Raises:
        OSError: there is no such file.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


class Stamps:
    """Stamps of one machine on the feature sets of a cache.

    Args:
        folders: where they are kept, in the order tried; a cache that is read-only takes none.
    """

    def __init__(self, folders: list[Path]) -> None:
        machine = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:40] or "host"
        self._folders = [folder / "verified" / machine for folder in folders]
        self._seen: dict[str, str] = {}  # folder -> signature that this process has checked

    def fault(self, folder: Path, files: Mapping[str, Mapping[str, object]], *, full: bool = False) -> str:
        """Return the fault of a feature set's arrays, ``""`` where each is as it was written.

        Args:
            folder: the set.
            files: array name -> ``{"crc32": ...}``.
            full: whether to read every file regardless of its stamp.
        """
        try:
            signatures = {name: signature_of(folder / f"{name}.npy") for name in sorted(files)}
        except OSError as error:
            return f"{Path(error.filename or folder).name} is missing"
        size = sum(signature[0] for signature in signatures.values())
        state = sha256_of([signatures, {name: facts["crc32"] for name, facts in files.items()}])
        if not full and (self._seen.get(str(folder)) == state or (size > SMALL and self._stamp(folder) == state)):
            self._seen[str(folder)] = state
            return ""
        for name, facts in files.items():
            try:
                crc32 = crc32_of(folder / f"{name}.npy")
            except OSError as error:
                return f"{name}.npy cannot be read ({error.strerror})"
            if crc32 != facts["crc32"]:
                return f"{name}.npy differs from its checksum"
        self._seen[str(folder)] = state
        if size > SMALL:
            self._write(folder, state)
        return ""

    @staticmethod
    def _about(folder: Path) -> dict[str, str]:
        return {"verified": str(folder.absolute())}

    def _places(self, folder: Path) -> list[Path]:
        return [place / f"{sha256_of(self._about(folder))[:24]}.json" for place in self._folders]

    def _stamp(self, folder: Path) -> str:
        for path in self._places(folder):
            try:
                if stamp := read_sealed(path, self._about(folder)):
                    return str(stamp["state"])
            except (Damaged, KeyError, TypeError):
                continue  # as if there were none; the next full reading writes it again
        return ""

    def _write(self, folder: Path, state: str) -> None:
        for path in self._places(folder):
            try:
                write_sealed(path, self._about(folder), {"state": state, "folder": str(folder.absolute())})
            except Unwritable:
                continue
            return

    def prune(self) -> list[Path]:
        """Remove the stamps on sets that are gone, of any machine, and unreadable ones; return their paths."""
        removed = []
        for path in sorted(self._folders[0].parent.glob("*/*.json")):
            try:
                stamp = read_sealed(path)
                if Path(stamp["folder"]).is_dir():
                    continue
            except (Damaged, KeyError, TypeError):
                pass
            if discard(path):
                removed.append(path)
        return removed
