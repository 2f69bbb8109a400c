"""One file over HTTP: a server that stalls, contradicts itself or leads elsewhere ends in a sentence, and in time."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest

from bench.catalogue import transfer
from bench.catalogue.download import fetch
from bench.catalogue.transfer import Limits, limits_from_environment
from bench.core.errors import BadSetting, MissingData
from tests.builders.servers import raw_server, reply, trickle

BODY = bytes(range(256)) * 40
QUICK = Limits(silence=0.5, answer=0.6, window=0.3, slowest=10_000, deadline=5)


@pytest.fixture(autouse=True)
def all_hosts_reachable(monkeypatch):
    monkeypatch.setattr(transfer, "unreachable", {})


def refused(answers, tmp_path, message, limits=QUICK, seconds=5.0):
    start = time.monotonic()
    with raw_server(*answers) as (url, requests):
        with pytest.raises(MissingData, match=message) as caught:
            fetch(f"{url}/file", tmp_path / "file", limits=limits)
        assert url in str(caught.value)
    assert time.monotonic() - start < seconds and not (tmp_path / "file").exists()
    return requests


def test_the_body_is_what_is_kept(tmp_path):
    with raw_server(reply("200 OK", BODY, content_length=len(BODY))) as (url, requests):
        seen = []
        fetch(f"{url}/file", tmp_path / "file", progress=lambda done, total: seen.append((done, total)))
    assert (tmp_path / "file").read_bytes() == BODY and seen[-1] == (len(BODY), len(BODY))
    assert "Accept-Encoding: identity" in requests[0]


def test_without_a_length_the_end_of_the_connection_is_the_end(tmp_path):
    with raw_server(reply("200 OK", BODY)) as (url, _):
        assert fetch(f"{url}/file", tmp_path / "file").read_bytes() == BODY


def test_chunks_are_put_together(tmp_path):
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:100], BODY[100:])) + b"0\r\n\r\n"
    with raw_server(reply("200 OK", body, transfer_encoding="chunked")) as (url, _):
        assert fetch(f"{url}/file", tmp_path / "file").read_bytes() == BODY
    broken = reply("200 OK", body[:-200], transfer_encoding="chunked")
    refused([broken], tmp_path / "other", "connection failed")


@pytest.mark.parametrize("packed", [gzip.compress(BODY), zlib.compress(BODY)])
def test_a_body_that_is_compressed_unasked_is_unpacked(tmp_path, packed):
    encoding = "gzip" if packed[:2] == b"\x1f\x8b" else "deflate"
    answer = reply("200 OK", packed, content_length=len(packed), content_encoding=encoding, etag='"1"')
    with raw_server(answer) as (url, _):
        assert fetch(f"{url}/file", tmp_path / "file").read_bytes() == BODY
    cut = reply("200 OK", packed[:50], content_length=len(packed), content_encoding=encoding, etag='"1"')
    refused([cut], tmp_path / "other", "bytes arrived|connection failed")
    assert list((tmp_path / "other").iterdir()) == []  # what was unpacked of it cannot be continued
    wrong = reply("200 OK", BODY, content_length=len(BODY), content_encoding=encoding)
    refused([wrong], tmp_path / "third", "not what its encoding says|connection failed")


@pytest.mark.parametrize("length", ["-5", "abc", "1e3", "5, 6", "99999999999999999999", "0x10", ""])
def test_a_length_that_is_none_is_refused(tmp_path, length):
    refused([reply("200 OK", BODY, content_length=length)], tmp_path, "states the length|connection failed|Invalid")


def test_a_body_shorter_than_promised_is_refused_and_a_longer_one_ends_where_it_was_promised(tmp_path):
    refused([reply("200 OK", BODY, content_length=len(BODY) + 7)], tmp_path, "bytes arrived|connection failed")
    with raw_server(reply("200 OK", BODY + b"and more", content_length=len(BODY))) as (url, _):
        assert fetch(f"{url}/file", tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize("status", ["204 No Content", "203 Odd", "206 Partial", "404 Not Found", "500 Oh", "999 No"])
def test_other_answers_are_named(tmp_path, status):
    refused([reply(status, BODY, content_length=len(BODY))], tmp_path, f"the server answered {status[:3]}")


HALF = len(BODY) // 2
CUT = reply("200 OK", BODY[:HALF], content_length=len(BODY), etag='"1"')
WHOLE = reply("200 OK", BODY, content_length=len(BODY), etag='"2"')


def rest(content_range, body=BODY[HALF:], **more):
    return reply("206 Partial Content", body, content_length=len(body), etag='"1"', content_range=content_range, **more)


def resumed(tmp_path, *answers):
    """Break off a download half-way, go on, and return the requests of the second call."""
    with raw_server(CUT, *answers) as (url, requests):
        with pytest.raises(MissingData):
            fetch(f"{url}/file", tmp_path / "file")
        fetch(f"{url}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    return requests[1:]


def test_the_rest_is_asked_for_and_put_behind(tmp_path):
    (request,) = resumed(tmp_path, rest(f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"))
    assert f"Range: bytes={HALF}-" in request and 'If-Range: "1"' in request
    (request,) = resumed(tmp_path / "unknown", rest(f"bytes {HALF}-{len(BODY) - 1}/*"))


@pytest.mark.parametrize(
    "content_range",
    [
        f"bytes 0-{HALF - 1}/{len(BODY)}",
        f"bytes {HALF + 1}-{len(BODY)}/{len(BODY) + 1}",
        f"bytes {HALF}-{len(BODY) - 2}/{len(BODY)}",
        f"bytes {len(BODY) - 1}-{HALF}/{len(BODY)}",
        f"bytes {HALF}-{len(BODY) - 1}/{len(BODY) + 100}",
        f"items {HALF}-{len(BODY) - 1}/{len(BODY)}",
        "bytes -",
        "",
    ],
)
def test_another_range_than_asked_for_is_not_put_behind(tmp_path, content_range):
    requests = resumed(tmp_path, rest(content_range), WHOLE)
    assert "Range: bytes" in requests[0] and "Range: bytes" not in requests[1]


def test_a_range_that_is_compressed_or_of_another_length_is_not_put_behind(tmp_path):
    full = f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"
    resumed(tmp_path / "a", rest(full, content_encoding="gzip"), WHOLE)
    resumed(tmp_path / "b", rest(full, BODY[HALF:-5]), WHOLE)


@pytest.mark.parametrize("more", [{}, {"content_range": f"bytes */{HALF}"}, {"content_range": "bytes */3"}])
def test_a_range_that_cannot_be_satisfied_is_begun_anew(tmp_path, more):
    """What is here may be longer than the file there: it is not taken for the whole of it."""
    answer = reply("416 Range Not Satisfiable", content_length=0, **more)
    requests = resumed(tmp_path, answer, WHOLE)
    assert len(requests) == 2


def test_a_server_that_says_416_to_everything_is_refused(tmp_path):
    answer = reply("416 Range Not Satisfiable", content_length=0)
    with raw_server(CUT, answer) as (url, _):
        for _ in range(2):
            with pytest.raises(MissingData):
                fetch(f"{url}/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_weak_tags_are_not_gone_on_with(tmp_path):
    weak = reply("200 OK", BODY[:HALF], content_length=len(BODY), etag='W/"1"')
    with raw_server(weak, WHOLE) as (url, requests):
        with pytest.raises(MissingData):
            fetch(f"{url}/file", tmp_path / "file")
        fetch(f"{url}/file", tmp_path / "file")
    assert "Range: bytes" not in requests[1]


HEAD = reply("200 OK", content_length=10**9)


def test_silence_has_an_end(tmp_path):
    refused([lambda connection: time.sleep(3)], tmp_path / "a", "connection failed|no answer|ReadTimeout")
    refused([trickle(HEAD, b"x", pause=3)], tmp_path / "b", "connection failed")


def test_a_server_that_trickles_is_left(tmp_path):
    refused([trickle(HEAD, b"x" * 10)], tmp_path / "body", "the server stalls; run again to resume")
    refused([trickle(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")], tmp_path / "head", "no answer in|Header")


def test_a_download_has_a_deadline(tmp_path):
    quick = Limits(slowest=0, deadline=0.5)
    refused([trickle(HEAD, b"x" * 100)], tmp_path, "not done after 0 s|not done after 1 s", limits=quick)


def test_a_download_has_a_largest_size(tmp_path):
    small = Limits(most=1000)
    refused(
        [reply("200 OK", BODY, content_length=len(BODY))],
        tmp_path / "a",
        "10,240 bytes, 1,000 are allowed",
        limits=small,
    )
    refused([reply("200 OK", BODY)], tmp_path / "b", "more than 1,000 bytes", limits=small)
    bomb = gzip.compress(bytes(10**7))
    packed = reply("200 OK", bomb, content_length=len(bomb), content_encoding="gzip")
    refused([packed], tmp_path / "c", "more than 1,000,000 bytes", limits=Limits(most=10**6))


def test_limits_are_set_by_the_environment(monkeypatch):
    monkeypatch.setenv("GEOBENCH_DOWNLOAD_SECONDS", "600")
    monkeypatch.setenv("GEOBENCH_DOWNLOAD_BYTES", "1000000")
    assert limits_from_environment() == Limits(deadline=600, most=10**6)
    for text in ("0", "-1", "1.5", "nan", "many"):
        monkeypatch.setenv("GEOBENCH_DOWNLOAD_SECONDS", text)
        with pytest.raises(BadSetting, match="a whole number above 0"):
            limits_from_environment()


def moved(to):
    return reply("302 Found", content_length=0, location=to)


def test_redirects_are_followed_to_the_file(tmp_path):
    with raw_server(reply("200 OK", BODY, content_length=len(BODY))) as (there, _):
        with raw_server(moved("/again"), moved(f"{there}/file")) as (url, requests):
            assert fetch(f"{url}/file", tmp_path / "file").read_bytes() == BODY
        assert requests[1].startswith("GET /again ")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://example.org/x", "gopher://x", "data:text/plain,x"])
def test_redirects_to_other_schemes_are_refused(tmp_path, to):
    refused([moved(to)], tmp_path, "only http and https are|Invalid")


def test_redirects_in_a_circle_have_an_end(tmp_path):
    requests = refused([moved("/file")], tmp_path, "more than 10 redirects")
    assert len(requests) == transfer.REDIRECTS


PRIVATE = ["127.0.0.1", "10.0.0.7", "192.168.1.1", "169.254.169.254", "[::1]", "100.64.0.1", "0.0.0.0"]


@pytest.mark.parametrize("host", PRIVATE)
def test_redirects_from_the_internet_into_a_private_network_are_refused(host):
    with pytest.raises(MissingData, match="an address of a private network"):
        transfer.followed("https://93.184.215.14/file", "https://93.184.215.14/file", f"https://{host}/x")
    same = f"https://{host}/other"
    assert transfer.followed(f"https://{host}/file", f"https://{host}/file", same) == same


def test_redirects_to_other_hosts_of_the_internet_are_followed_and_never_to_plain_http():
    there = "https://93.184.215.15/file"
    assert transfer.followed("https://93.184.215.14/file", "https://93.184.215.14/file", there) == there
    with pytest.raises(MissingData, match="redirects from https"):
        transfer.followed("https://93.184.215.14/file", "https://93.184.215.14/file", "http://93.184.215.14/file")
