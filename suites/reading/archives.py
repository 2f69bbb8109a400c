"""How publishers' archives are unpacked: below one folder, each part of them whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.core import Fetch
from bench.core.errors import MissingData

CHUNK = 1 << 20


def fetch_archive(fetch: Fetch, url: str, archive: Path, into: Path, *, md5: str = "") -> None:
    """Download a zip archive, check it, and unpack it below `into`; each of its folders appears whole or not at all.

    Raises:
        MissingData: if the archive is damaged or holds a path outside `into`.
    """
    import zipfile
    import zlib

    fetch(url, archive, md5=md5)
    try:
        with _aside(into, archive.name) as unpacked:
            with zipfile.ZipFile(archive) as file:
                for name in file.namelist():
                    if not (into / name).resolve().is_relative_to(into.resolve()):
                        raise MissingData(f"{archive} holds {name}, which would lie outside {into}; do not use it")
                file.extractall(unpacked)
            _take(unpacked, into)
    except (zipfile.BadZipFile, zlib.error, OSError) as error:
        raise MissingData(f"cannot unpack {archive}: {error}; delete it and download it again") from error


def unpack_tar(parts: Path | Sequence[Path], into: Path, *, folder: str = "") -> None:
    """Unpack a gzipped tar archive below `into`; what lies at its top appears whole or not at all.

    Args:
        parts: the archive, or the pieces it was cut into, in order.
        into: made where it is not there.
        folder: take only this folder of the archive, wherever in it that lies, or all where the archive has none of
            that name, and put it at ``into/folder``.

    Raises:
        MissingData: if the archive is damaged, cut short, or holds a path outside `into`.
    """
    import gzip
    import tarfile
    import zlib

    pieces = [parts] if isinstance(parts, Path) else list(parts)
    try:
        with _aside(into, folder or pieces[0].name) as unpacked:
            # tarfile's own reading of gzip takes a stream that is cut short for one that ends; GzipFile does not.
            with gzip.GzipFile(fileobj=_Joined(pieces)) as stream:  # type: ignore[call-overload]
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    archive.extractall(unpacked, filter="data")  # refuses paths outside it
                while stream.read(CHUNK):
                    pass
            if folder:
                places = (path for path in (unpacked / folder, *unpacked.rglob(folder)) if path.is_dir())
                next(places, unpacked).replace(into / folder)
            else:
                _take(unpacked, into)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        rest = " and what follows" if len(pieces) > 1 else ""
        raise MissingData(f"cannot unpack {pieces[0]}{rest}: {error}; delete it and download it again") from error


@contextmanager
def _aside(into: Path, name: str) -> Iterator[Path]:
    """Give a folder beside the others for what is being unpacked; it goes away whatever happens."""
    unpacked = into / f".{name}.unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        yield unpacked
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _take(unpacked: Path, into: Path) -> None:
    for entry in unpacked.iterdir():
        if not (into / entry.name).exists():
            entry.replace(into / entry.name)


class _Joined:
    """Archive parts read as the one stream they were cut from."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._chunks = self._read_all(parts)
        self._rest = b""

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
        return taken
