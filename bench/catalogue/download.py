"""Downloads that resume, are checked against digests, and appear under their final name only when complete."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from bench.catalogue.transfer import Limits, Transfer, limits_from_environment, open_transfer
from bench.core.contents import REFUSALS, head_of, kind_of
from bench.core.errors import BadSetting, Damaged, MissingData, Unwritable
from bench.core.owners import owner_is_gone, owner_tag
from bench.store.files import discard, make_folder, owner_of, writing
from bench.store.leases import claimed
from bench.store.seals import read_sealed, write_sealed

CHUNK = 1 << 20
VOUCHED = 64 << 20  # bytes between two notes on progress: at most this much is lost when a download is killed
PAGES = (".html", ".htm", ".xml", ".kml", ".svg")  # files that may look like a web page
NEVER = ("empty", "html", "lfs")  # kinds of content that servers send in place of a missing file


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """Return the hex digest of a file, read in chunks."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check(path: Path, *, sha256: str = "", md5: str = "") -> None:
    """Raise MissingData if a file's digest does not begin with the stated digits; empty strings are not checked.

    A file without stated digits must not be empty, a web page or a Git LFS pointer, as servers send in place of files.
    """
    _check(path, path.name, sha256, md5)


def _check(path: Path, name: str, sha256: str, md5: str) -> None:
    """Check the file at `path`, whose own name is `name`."""
    try:
        kind = kind_of(head_of(path))
        if kind in NEVER and not sha256 and not md5 and not (kind == "html" and name.lower().endswith(PAGES)):
            raise MissingData(f"{path} {REFUSALS[kind]}; delete it to fetch it again")
        for algorithm, expected in (("sha256", sha256), ("md5", md5)):
            if expected and not (digest := file_hash(path, algorithm)).startswith(expected.lower()):
                is_other = f"it {REFUSALS[kind]}" if kind in NEVER else "the file is damaged or another one"
                raise MissingData(
                    f"{path} has {algorithm} {digest}, expected {expected}: {is_other}; delete it to fetch it again"
                )
    except OSError as error:
        raise MissingData(f"{path} cannot be read ({error.strerror})") from error


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str = "",
    md5: str = "",
    progress: Callable[[int, int], None] | None = None,
    limits: Limits | None = None,
) -> Path:
    """Download `url` to `path` and return `path`.

    An existing file is checked and kept. An interrupted download is continued where the server allows ranges and the
    file has not changed since. Two processes that fetch the same file download it once.

    Args:
        url: http or https.
        path: where the file ends up, in one rename.
        sha256: expected hex digest or its first digits, ``""`` for no check.
        md5: as `sha256`.
        progress: called with (bytes so far, bytes in all or 0).
        limits: on size and time; those of the environment where none are given, see `limits_from_environment`.

    Raises:
        BadSetting: another scheme than http and https.
        MissingData: the server is out of reach, refuses, is too slow, or serves something else; `path` is left as it
            was.
        Unwritable: the folder cannot be written, or the disk is full.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadSetting(f"cannot fetch {url!r}: only http and https are known")
    limits = limits or limits_from_environment()
    if path.exists():
        check(path, sha256=sha256, md5=md5)
        return path
    make_folder(path.parent)
    with claimed(path.with_name(f".{path.name}.lease")):
        if path.exists():
            check(path, sha256=sha256, md5=md5)
            return path
        part = Part(url, path)
        try:
            part.fill(limits, progress)
            _check(part.path, path.name, sha256, md5)
        except MissingData as error:
            if part.complete:
                part.discard()
                reason = str(error).replace(str(part.path), "what it sends").partition("; delete it")[0]
                raise MissingData(f"{url} does not serve the file expected: {reason}") from None
            raise
        with writing(path):
            part.path.replace(path)
        part.discard()
    return path


class Part:
    """The beginning of a file that one process is fetching: ``.NAME.OWNER.part``, with a note on what has arrived.

    The note, ``.NAME.OWNER.note``, holds the number of bytes that have arrived, their SHA-256 and the version of the
    file (its entity tag); a download continues only from bytes that match the note. A process takes over the part of a
    process that has ended.

    Args:
        url: of the file.
        path: where it is to be put.
    """

    def __init__(self, url: str, path: Path) -> None:
        self._url, self._name = url, path.name
        self.path = path.with_name(f".{path.name}.{owner_tag()}.part")
        self.complete = False
        self._note = self.path.with_suffix(".note")
        self._hash = hashlib.sha256()
        self._bytes, self._tag = 0, ""
        for other in path.parent.glob(f".{path.name}.*.part"):
            # This process holds the claim, so that a part written on another machine has no owner any more.
            if other != self.path and owner_is_gone(owner_of(other.name)) is not False:
                if not self._bytes:
                    self._take_over(other)
                discard(other)
                discard(other.with_suffix(".note"))

    def _take_over(self, other: Path) -> None:
        try:
            note = read_sealed(other.with_suffix(".note"), self._url)
            if not note or not other.is_file():
                return
            other.rename(self.path)
            with self.path.open("r+b") as stream:
                left = int(note["bytes"])
                digest = hashlib.sha256()
                while left and (chunk := stream.read(min(CHUNK, left))):
                    digest.update(chunk)
                    left -= len(chunk)
                if left or digest.hexdigest() != note["sha256"]:
                    return
                stream.truncate(int(note["bytes"]))
            self._bytes, self._tag, self._hash = int(note["bytes"]), str(note["tag"]), digest
        except (Damaged, OSError, KeyError, TypeError, ValueError):
            return

    def _vouch(self) -> None:
        with suppress(Unwritable):
            facts = {"bytes": self._bytes, "sha256": self._hash.hexdigest(), "tag": self._tag}
            write_sealed(self._note, self._url, facts)

    def fill(self, limits: Limits, progress: Callable[[int, int], None] | None) -> None:
        """Download the missing bytes.

        Raises:
            MissingData: see `fetch`; what has arrived is kept for the next time where it can be continued.
            Unwritable: the disk is full.
        """
        try:
            with open_transfer(self._url, limits, start=self._bytes, tag=self._tag) as transfer:
                if transfer.start != self._bytes:  # the server does not continue, or has another file by now
                    self._bytes, self._hash = 0, hashlib.sha256()
                self._tag = transfer.tag
                self._refuse_page(transfer)
                self._require_space(transfer.total - self._bytes)
                with writing(self.path):
                    stream = self.path.open("r+b" if self._bytes else "wb")
                with stream:
                    stream.seek(self._bytes)
                    self._receive(transfer, stream, progress)
                    with writing(self.path):
                        stream.flush()
                        os.fsync(stream.fileno())
        except BaseException:
            self._leave()
            raise
        self.complete = True

    def _receive(self, transfer: Transfer, stream: IO[bytes], progress: Callable[[int, int], None] | None) -> None:
        vouched = self._bytes
        for chunk in transfer.chunks():
            with writing(self.path):
                stream.write(chunk)
            self._hash.update(chunk)
            self._bytes += len(chunk)
            if self._bytes - vouched >= VOUCHED and self._tag:
                with writing(self.path):
                    stream.flush()
                self._vouch()
                vouched = self._bytes
            if progress:
                progress(self._bytes, transfer.total)

    def _refuse_page(self, transfer: Transfer) -> None:
        pages = (self._name, urlsplit(self._url).path)
        is_page = transfer.media_type in ("text/html", "application/xhtml+xml")
        if is_page and not any(name.lower().endswith(PAGES) for name in pages):
            raise MissingData(f"{self._url}: the server sends a web page, not the file (a login or error page)")

    def _require_space(self, size: int) -> None:
        with suppress(OSError):
            free = shutil.disk_usage(self.path.parent).free
            if size > free:
                raise Unwritable(f"{self._url} has {size:,} bytes left to send, and {self.path.parent} {free:,} free")

    def _leave(self) -> None:
        """Keep what has arrived for the next time, if a server can continue it; else remove it."""
        if not (self._tag and self._bytes):
            self.discard()
            return
        self._vouch()
        left = self.path.with_name(f".{self._name}.left.part")
        with suppress(OSError):
            self.path.rename(left)
            self._note.rename(left.with_suffix(".note"))

    def discard(self) -> None:
        """Remove the part and its note."""
        discard(self.path)
        discard(self._note)
