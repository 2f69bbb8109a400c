"""How publishers' archives are unpacked: below one folder, each part of them whole or not at all, and within limits."""

from __future__ import annotations

import errno
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Fetch
from bench.core.errors import MissingData, Unwritable
from bench.core.owners import owner_is_gone, owner_tag
from bench.core.wording import os_error_remedy

if TYPE_CHECKING:
    import tarfile
    import zipfile

CHUNK = 1 << 20
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR)
"""Errors on unpacking that are not faults of the archive."""


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """What one archive may unpack to.

    Attributes:
        most: bytes in all.
        members: files and folders.
        ratio: unpacked bytes per byte of the archive, above `free` bytes; imagery and masks stay below 50.
        free: bytes that may be unpacked at any ratio.
    """

    most: int = 2 * 10**12
    members: int = 20_000_000
    ratio: float = 200
    free: int = 1 << 30

    def check(self, archive: Path, unpacked: int, members: int, packed: int) -> None:
        """Raise MissingData where an archive goes beyond the limits."""
        if members > self.members:
            raise MissingData(f"{archive} holds more than {self.members:,} files; it is not unpacked")
        if unpacked > self.most:
            raise MissingData(f"{archive} unpacks to more than {self.most:,} bytes; it is not unpacked")
        if unpacked > self.free and unpacked > self.ratio * packed:
            raise MissingData(
                f"{archive} unpacks to more than {self.ratio:g} times its size ({packed:,} bytes), as no images do; "
                "it is not unpacked"
            )


LIMITS = ArchiveLimits()


def fetch_archive(
    fetch: Fetch, url: str, archive: Path, into: Path, *, md5: str = "", limits: ArchiveLimits = LIMITS
) -> None:
    """Download a zip archive, check it, and unpack it below `into`; each of its folders appears whole or not at all.

    Args:
        fetch: gets the file.
        url: of the archive.
        archive: where it is put.
        into: the folder.
        md5: of the archive, where its publisher states it.
        limits: on what it unpacks to.

    Raises:
        MissingData: if the archive is damaged, encrypted, beyond the limits, or holds a link or a path outside `into`.
        Unwritable: the disk is full or cannot be written.
    """
    fetch(url, archive, md5=md5)
    unpack_zip(archive, into, limits=limits)


def unpack_zip(archive: Path, into: Path, *, limits: ArchiveLimits = LIMITS) -> None:
    """Unpack a zip archive below `into`; what lies at its top appears whole or not at all.

    Args:
        archive: the file.
        into: made where it is not there.
        limits: on what it unpacks to.

    Raises:
        MissingData: see `fetch_archive`.
        Unwritable: the disk is full or cannot be written.
    """
    import zipfile
    import zlib

    faults = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)
    try:
        with _aside(into, archive.name) as unpacked:
            with zipfile.ZipFile(archive) as file:
                entries = file.infolist()
                size = sum(entry.file_size for entry in entries)
                limits.check(archive, size, len(entries), archive.stat().st_size)
                if size > (free := shutil.disk_usage(into).free):
                    raise Unwritable(f"{archive} unpacks to {size:,} bytes, and {into} has {free:,} free; make room")
                for entry in entries:
                    _check_zip_entry(archive, entry, into)
                file.extractall(unpacked)
            _take(unpacked, into)
    except faults as error:
        raise _refused(archive, into, error) from error


def _check_zip_entry(archive: Path, entry: zipfile.ZipInfo, into: Path) -> None:
    """Raise MissingData for an entry that is encrypted, a link, or lies outside the folder."""
    if entry.flag_bits & 1:
        raise MissingData(f"{archive} is encrypted, and no password is known; unpack it below {into} yourself")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise MissingData(f"{archive} holds the link {entry.filename}, which is not followed; do not use it")
    if not (into / entry.filename).resolve().is_relative_to(into.resolve()):
        raise MissingData(f"{archive} holds {entry.filename}, which would lie outside {into}; do not use it")


def unpack_tar(parts: Path | Sequence[Path], into: Path, *, folder: str = "", limits: ArchiveLimits = LIMITS) -> None:
    """Unpack a gzipped tar archive below `into`; what lies at its top appears whole or not at all.

    Args:
        parts: the archive, or the pieces it was cut into, in order.
        into: made where it is not there.
        folder: take only this folder of the archive, wherever in it that lies, or all where the archive has none of
            that name, and put it at ``into/folder``.
        limits: on what it unpacks to.

    Raises:
        MissingData: if the archive is damaged, cut short, beyond the limits, or holds a path or a link outside `into`.
        Unwritable: the disk is full or cannot be written.
    """
    import gzip
    import tarfile
    import zlib

    pieces = [parts] if isinstance(parts, Path) else list(parts)
    try:
        with _aside(into, folder or pieces[0].name) as unpacked:
            joined = _Joined(pieces)
            # tarfile's own reading of gzip takes a stream that is cut short for one that ends; GzipFile does not.
            with gzip.GzipFile(fileobj=joined) as file:  # type: ignore[call-overload]
                stream = _Counted(file, joined, pieces[0], limits)
                with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
                    archive.extractall(unpacked, filter=_filter(pieces[0], stream))
                while stream.read(CHUNK):
                    pass
            if folder:
                places = (path for path in (unpacked / folder, *unpacked.rglob(folder)) if path.is_dir())
                _put(next(places, unpacked), into / folder)
            else:
                _take(unpacked, into)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise _refused(pieces[0], into, error, more=len(pieces) > 1) from error


def _filter(archive: Path, stream: _Counted) -> object:
    """Return a filter for tarfile that refuses paths and links outside the folder, devices, and too many members."""
    import tarfile

    def accept(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
        if member.name.startswith("/"):
            raise MissingData(f"{archive} holds the absolute path {member.name}; do not use it")
        stream.expect(member.size)
        return tarfile.data_filter(member, folder)

    return accept


def _refused(archive: Path, into: Path, error: Exception, *, more: bool = False) -> MissingData | Unwritable:
    """Return what an error on unpacking means: of the disk, or of the archive."""
    if isinstance(error, OSError) and error.errno in OF_THE_DISK:
        return Unwritable(f"cannot unpack {archive} below {into}: {os_error_remedy(error)}")
    rest = " and what follows" if more else ""
    return MissingData(f"cannot unpack {archive}{rest}: {error}; delete it and download it again")


@contextmanager
def _aside(into: Path, name: str) -> Iterator[Path]:
    """Give a folder of this process, below `into`, for what is being unpacked; it goes away whatever happens."""
    into.mkdir(parents=True, exist_ok=True)
    for left in into.glob(f".{name}.*.unpacked"):
        if owner_is_gone(left.name.removesuffix(".unpacked").rpartition(".")[2]):
            shutil.rmtree(left, ignore_errors=True)
    unpacked = into / f".{name}.{owner_tag()}.unpacked"
    unpacked.mkdir()
    try:
        yield unpacked
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _take(unpacked: Path, into: Path) -> None:
    """Move what was unpacked into place; what is there already stays."""
    for entry in unpacked.iterdir():
        _put(entry, into / entry.name)


def _put(entry: Path, place: Path) -> None:
    if place.exists():
        return
    with suppress(FileExistsError):  # another process has put it there meanwhile
        try:
            entry.rename(place)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise


class _Joined:
    """Archive parts read as the one stream they were cut from; `count` bytes have been read."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._chunks = self._read_all(parts)
        self._rest = b""
        self.count = 0

    @staticmethod
    def _read_all(parts: Sequence[Path]) -> Iterator[bytes]:
        for part in parts:
            with part.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        taken, self._rest = self._rest[:size], self._rest[size:]
        self.count += len(taken)
        return taken


class _Counted:
    """An unpacked stream that is held to the limits while it is read."""

    def __init__(self, stream: Any, packed: _Joined, archive: Path, limits: ArchiveLimits) -> None:
        self._stream, self._packed, self._archive, self._limits = stream, packed, archive, limits
        self._count, self.members = 0, 0

    def expect(self, size: int) -> None:
        """Check the size that the next member states, before anything of it is written."""
        self.members += 1
        self._limits.check(self._archive, self._count + size, self.members, max(self._count + size, 1))

    def read(self, size: int) -> bytes:
        content: bytes = self._stream.read(size)
        self._count += len(content)
        self._limits.check(self._archive, self._count, self.members, max(1, self._packed.count))
        return content
