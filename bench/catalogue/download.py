"""Downloads that resume, are checked and appear whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from bench.core.errors import BadSetting, MissingData

CHUNK = 1 << 16  # what a broken connection can lose
TIMEOUT = (8, 60)  # seconds to connect, seconds between bytes
_unreachable: dict[str, str] = {}


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """Return the hex digest of a file, read in chunks."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check(path: Path, *, sha256: str = "", md5: str = "") -> None:
    """Raise MissingData if a file's digest does not begin with the digits stated; empty ones are not checked."""
    for algorithm, expected in (("sha256", sha256), ("md5", md5)):
        if expected and not (found := file_hash(path, algorithm)).startswith(expected.lower()):
            raise MissingData(
                f"{path} has {algorithm} {found}, expected {expected}: the file is damaged or another one; "
                "delete it to fetch it again"
            )


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str = "",
    md5: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Return `path`, holding what `url` serves.

    A file that is there is checked and kept. What a broken download left in ``<path>.part`` is continued where the
    server allows ranges and the file has not changed meanwhile. Two processes fetch one file once.

    Args:
        url: http or https.
        path: where the file ends up, in one rename.
        sha256: expected hex digest, its first digits where a publisher states no more, or ``""``.
        md5: likewise.
        progress: called with (bytes so far, bytes in all or 0).

    Raises:
        MissingData: the server is out of reach, refuses, or serves something else; `path` is left as it was.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadSetting(f"cannot fetch {url!r}: only http and https are known")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not path.exists():
            part = path.with_name(f"{path.name}.part")
            _stream(url, part, progress)
            try:
                check(part, sha256=sha256, md5=md5)
            except MissingData as error:
                part.unlink()
                raise MissingData(f"{url} does not serve the file expected: {error}") from None
            part.replace(path)
        else:
            check(path, sha256=sha256, md5=md5)
    return path


def _stream(url: str, part: Path, progress: Callable[[int, int], None] | None) -> None:
    import requests

    host = urlsplit(url).netloc
    if host in _unreachable:  # one failed connection speaks for every file of that host
        raise MissingData(f"{url}: {_unreachable[host]}")
    tag = part.with_name(f"{part.name}.etag")
    done = part.stat().st_size if part.exists() and tag.exists() else 0
    headers = {"Range": f"bytes={done}-", "If-Range": tag.read_text()} if done else {}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # nothing left to send: the part is the whole file
                return
            if response.status_code not in (200, 206):
                raise MissingData(f"{url}: the server answered {response.status_code} {response.reason}")
            resumed = response.status_code == 206
            done = done if resumed else 0
            total = int(response.headers.get("Content-Length", 0)) + done
            if etag := response.headers.get("ETag", ""):
                tag.write_text(etag)
            with part.open("ab" if resumed else "wb") as stream:
                for chunk in response.iter_content(CHUNK):
                    stream.write(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, total)
    except requests.ConnectionError as error:
        if not part.exists():
            _unreachable[host] = f"{host} cannot be reached from here"
        raise MissingData(f"{url}: the connection failed ({type(error).__name__}); run again to resume") from error
    except requests.RequestException as error:
        raise MissingData(f"{url}: {type(error).__name__}: {error}; run again to resume") from error
    if total and done != total:
        raise MissingData(f"{url}: {done} of {total} bytes arrived; run again to resume")
    tag.unlink(missing_ok=True)
