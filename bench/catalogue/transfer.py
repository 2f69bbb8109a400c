"""Transfer of one file over HTTP: redirects, ranges and lengths are verified, size and time are limited."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from bench.core.errors import BadSetting, MissingData

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16
REDIRECTS = 10
unreachable: dict[str, str] = {}
"""Host -> reason why it could not be reached; after one failed connection no other file of the host is tried."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one download on size and time.

    Attributes:
        connect: seconds to connect.
        silence: seconds between two bytes.
        answer: seconds until the headers of the response have arrived.
        slowest: smallest rate in bytes per second, measured over `window` seconds.
        window: seconds over which the rate is measured.
        deadline: seconds for the whole file, over all attempts of one call.
        most: bytes of the file.
    """

    connect: float = 8
    silence: float = 60
    answer: float = 120
    slowest: float = 1_000
    window: float = 60
    deadline: float = 24 * 3600
    most: int = 500 * 10**9


def limits_from_environment() -> Limits:
    """Return the limits with ``GEOBENCH_DOWNLOAD_SECONDS`` and ``GEOBENCH_DOWNLOAD_BYTES`` (of one file) in place.

    Raises:
        BadSetting: one of them is no positive number.
    """
    limits = Limits()
    for variable, name in (("GEOBENCH_DOWNLOAD_SECONDS", "deadline"), ("GEOBENCH_DOWNLOAD_BYTES", "most")):
        if text := os.environ.get(variable):
            if not re.fullmatch(r"\d{1,18}", text) or not int(text):
                raise BadSetting(f"{variable}={text}: it has to be a whole number above 0")
            limits = replace(limits, **{name: int(text)})  # type: ignore[arg-type]
    return limits


@dataclass
class Transfer:
    """The response of a server, its body not yet read.

    Attributes:
        url: the requested address.
        start: byte of the file at which the body begins: the requested one, or 0.
        total: bytes of the file, 0 where the server does not state them.
        tag: version of the file (its strong entity tag), ``""`` where there is none.
        media_type: e.g. ``text/html``.
        response: of requests.
        limits: on size and time.
        since: `time.monotonic` when the call began.
    """

    url: str
    start: int
    total: int
    tag: str
    media_type: str
    response: requests.Response
    limits: Limits
    since: float

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives, decompressed where the server compressed it.

        Raises:
            MissingData: the body ends early, stalls, or is longer than stated or than the limits allow.
        """
        import urllib3

        limits, raw = self.limits, self.response.raw
        count, window, in_window = self.start, time.monotonic(), 0
        try:
            while chunk := raw.read1(CHUNK, decode_content=True):
                count += len(chunk)
                in_window += len(chunk)
                if count > limits.most:
                    raise MissingData(f"{self.url}: more than {limits.most:,} bytes; set GEOBENCH_DOWNLOAD_BYTES")
                now = time.monotonic()
                if now - self.since > limits.deadline:
                    raise MissingData(
                        f"{self.url}: not done after {limits.deadline:,.0f} s; run again to resume, or set "
                        "GEOBENCH_DOWNLOAD_SECONDS"
                    )
                if now - window >= limits.window:
                    if in_window < limits.slowest * (now - window):
                        raise MissingData(
                            f"{self.url}: {in_window:,} bytes in {now - window:.0f} s, the server stalls; run again to "
                            "resume"
                        )
                    window, in_window = now, 0
                yield chunk
        except urllib3.exceptions.DecodeError as error:
            raise MissingData(f"{self.url}: the body is not what its encoding says ({error})") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = type(error).__name__
            raise MissingData(f"{self.url}: the connection failed ({reason}); run again to resume") from error
        promised = self.response.headers.get("Content-Length") if not _chunked(self.response) else None
        if promised is not None and raw.tell() != int(promised):
            raise MissingData(f"{self.url}: {raw.tell()} of {promised} bytes arrived; run again to resume")
        if self.total and count != self.total:
            raise MissingData(f"{self.url}: {count} of {self.total} bytes arrived; run again to resume")


@contextmanager
def open_transfer(url: str, limits: Limits, *, start: int = 0, tag: str = "") -> Iterator[Transfer]:
    """Request a file, or the rest of it, and yield the response.

    Args:
        url: http or https.
        limits: on size and time.
        start: bytes that have arrived already.
        tag: entity tag of the version that they belong to; without it the whole file is requested.

    Raises:
        MissingData: the server is out of reach, refuses, redirects where it may not, or contradicts itself.
    """
    since = time.monotonic()
    host = urlsplit(url).netloc
    if host in unreachable:
        raise MissingData(f"{url}: {unreachable[host]}")
    start = start if tag else 0
    response = _ask(url, limits, start, tag)
    try:
        if start and response.status_code == 416:  # the file is shorter than what is here
            response.close()
            start = 0
            response = _ask(url, limits, 0, "")
        if response.status_code not in (200, 206) or (response.status_code == 206 and not start):
            raise MissingData(f"{url}: the server answered {response.status_code} {response.reason}")
        begins, total = _extent(url, response, start)
        if response.status_code == 206 and begins != start:
            response.close()
            response = _ask(url, limits, 0, "")  # it sends another part than the one asked for
            if response.status_code != 200:
                raise MissingData(f"{url}: the server answered {response.status_code} {response.reason}")
            begins, total = _extent(url, response, 0)
        if total > limits.most:
            raise MissingData(f"{url} has {total:,} bytes, {limits.most:,} are allowed; set GEOBENCH_DOWNLOAD_BYTES")
        strong = response.headers.get("ETag", "")
        yield Transfer(
            url=url,
            start=begins,
            total=total,
            tag="" if strong.startswith("W/") or _encoding(response) else strong,
            media_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            response=response,
            limits=limits,
            since=since,
        )
    finally:
        response.close()


def _extent(url: str, response: requests.Response, start: int) -> tuple[int, int]:
    """Return the position in the file at which the body begins, and the bytes of the file (0 where not stated).

    Raises:
        MissingData: length or range are no numbers, or contradict each other.
    """
    text = response.headers.get("Content-Length")
    if text is not None and not re.fullmatch(r"\d{1,18}", text.strip()):
        raise MissingData(f"{url}: the server states the length {text[:40]!r}, which is none")
    length = None if text is None or _chunked(response) or _encoding(response) else int(text)
    if response.status_code == 200:
        return 0, length or 0
    stated = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", stated.strip())
    if not match or _encoding(response):
        return -1, 0  # it cannot be continued, so the whole file is requested again
    first, last = int(match[1]), int(match[2])
    total = 0 if match[3] == "*" else int(match[3])
    if last < first or (total and last + 1 != total) or (length is not None and length != last + 1 - first):
        return -1, 0
    return first, total or last + 1


def _chunked(response: requests.Response) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()


def _encoding(response: requests.Response) -> str:
    return response.headers.get("Content-Encoding", "").strip().lower().replace("identity", "")


def _ask(url: str, limits: Limits, start: int, tag: str) -> requests.Response:
    """Return the response to a request after following redirects to permitted addresses.

    Raises:
        MissingData: see `open_transfer`.
    """
    import requests

    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": tag}
    place = url
    try:
        with requests.Session() as session:
            for _ in range(REDIRECTS):
                ask = _request(session, place, headers, limits)
                response = _within(limits.answer, ask)
                if response is None:
                    raise MissingData(f"{url}: no answer in {limits.answer:.0f} s; run again to resume")
                target = session.get_redirect_target(response)
                if target is None:
                    return response
                response.close()
                place = followed(url, place, target)
    except requests.ConnectionError as error:
        if not start and not isinstance(error, requests.exceptions.ChunkedEncodingError):
            unreachable[urlsplit(url).netloc] = f"{urlsplit(url).netloc} cannot be reached from here"
        raise MissingData(f"{url}: the connection failed ({type(error).__name__}); run again to resume") from error
    except (requests.RequestException, ValueError) as error:
        raise MissingData(f"{url}: {type(error).__name__}: {error}; run again to resume") from error
    raise MissingData(f"{url}: more than {REDIRECTS} redirects")


def _request(
    session: requests.Session, place: str, headers: dict[str, str], limits: Limits
) -> Callable[[], requests.Response]:
    def ask() -> requests.Response:
        timeout = (limits.connect, limits.silence)
        return session.get(place, headers=headers, stream=True, timeout=timeout, allow_redirects=False)

    return ask


def _within(seconds: float, call: Callable[[], requests.Response]) -> requests.Response | None:
    """Return the result of a call, or None after `seconds`: a server may send headers without end."""
    answers: list[requests.Response] = []
    problems: list[BaseException] = []
    late = threading.Event()

    def work() -> None:
        try:
            response = call()
        except BaseException as error:
            problems.append(error)
            return
        if late.is_set():
            response.close()
        answers.append(response)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if problems:
        raise problems[0]
    if not answers:
        late.set()
        return None
    return answers[0]


def followed(url: str, place: str, target: str) -> str:
    """Return where a redirect leads.

    Raises:
        MissingData: to another scheme than http and https, from https to http, or from a public to a private address.
    """
    led = urljoin(place, target)
    parts, asked = urlsplit(led), urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise MissingData(
            f"{url}: the server redirects to {led[:200]!r}, which is not fetched: only http and https are"
        )
    if urlsplit(place).scheme == "https" and parts.scheme == "http":
        raise MissingData(f"{url}: the server redirects from https to {led[:200]!r}, which is not followed")
    if parts.hostname != asked.hostname and _is_private(parts.hostname) and not _is_private(asked.hostname or ""):
        raise MissingData(
            f"{url}: the server redirects to {led[:200]!r}, an address of a private network: not followed"
        )
    return led


def _is_private(host: str) -> bool:
    """Return whether a host has an address that is not of the public Internet."""
    try:
        addresses: list[Any] = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return any(not ipaddress.ip_address(str(address[4][0]).partition("%")[0]).is_global for address in addresses)
