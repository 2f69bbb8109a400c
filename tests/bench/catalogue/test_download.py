"""Downloads resume, are checked and appear whole, or not at all. A local server plays hub."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest

from bench.catalogue import transfer
from bench.catalogue.download import check, fetch
from bench.core.errors import BadSetting, MissingData, Unwritable
from bench.core.owners import owner_tag
from tests.builders.servers import CONTENT, SHA, hub_server, raw_server, reply
from tests.builders.stored import unwritable


@pytest.fixture
def hub():
    with hub_server() as server:
        yield server


def test_fetches_once_and_checks(hub, tmp_path):
    handler, url = hub
    path = fetch(f"{url}/file", tmp_path / "a" / "file", sha256=SHA)
    assert path.read_bytes() == CONTENT
    fetch(f"{url}/file", path, sha256=SHA)
    assert len(handler.ranges) == 1
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_resumes_where_it_broke(hub, tmp_path):
    handler, url = hub
    handler.cut = 300_000
    with pytest.raises(MissingData, match="run again to resume"):
        fetch(f"{url}/file", tmp_path / "file", sha256=SHA)
    (part,) = tmp_path.glob(".file.*.part")
    kept = part.stat().st_size
    assert not (tmp_path / "file").exists() and 200_000 < kept <= 300_000
    handler.cut = None
    assert fetch(f"{url}/file", tmp_path / "file", sha256=SHA).read_bytes() == CONTENT
    assert handler.ranges[-1] == f"bytes={kept}-"


def test_a_file_that_changed_meanwhile_is_fetched_anew(hub, tmp_path):
    handler, url = hub
    handler.cut = 300_000
    with pytest.raises(MissingData):
        fetch(f"{url}/file", tmp_path / "file")
    handler.cut, handler.etag, handler.content = None, '"two"', CONTENT[::-1]
    assert fetch(f"{url}/file", tmp_path / "file").read_bytes() == CONTENT[::-1]


def test_wrong_content_never_appears(hub, tmp_path):
    _, url = hub
    with pytest.raises(MissingData, match="does not serve the file expected"):
        fetch(f"{url}/file", tmp_path / "file", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MissingData, match="404"):
        fetch(f"{url}/absent", tmp_path / "file")
    with pytest.raises(BadSetting, match="only http"):
        fetch("file:///etc/passwd", tmp_path / "file")


def test_an_unreachable_host_is_asked_once(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "unreachable", {})
    with pytest.raises(MissingData, match="connection failed"):
        fetch("http://127.0.0.1:9/one", tmp_path / "one")
    with pytest.raises(MissingData, match="cannot be reached"):
        fetch("http://127.0.0.1:9/two", tmp_path / "two")


PART_DAMAGE = {
    "a flipped byte": lambda part, note: part.write_bytes(b"\xff" + part.read_bytes()[1:]),
    "shorter than noted": lambda part, note: part.write_bytes(part.read_bytes()[:100]),
    "longer than noted": lambda part, note: part.write_bytes(part.read_bytes() + b"more"),
    "empty": lambda part, note: part.write_bytes(b""),
    "no note": lambda part, note: note.unlink(),
    "a list for a note": lambda part, note: note.write_text("[1]"),
    "an empty note": lambda part, note: note.write_text(""),
}


@pytest.mark.parametrize("damage", PART_DAMAGE)
def test_a_beginning_that_is_not_what_arrived_is_never_gone_on_from(hub, tmp_path, damage):
    """No hash of the file is stated: what was damaged on this disk would be taken for it."""
    handler, url = hub
    handler.cut = 300_000
    with pytest.raises(MissingData):
        fetch(f"{url}/file", tmp_path / "file")
    (part,), (note,) = tmp_path.glob(".file.*.part"), tmp_path.glob(".file.*.note")
    PART_DAMAGE[damage](part, note)
    handler.cut = None
    assert fetch(f"{url}/file", tmp_path / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_beginning_of_another_address_is_not_gone_on_from(hub, tmp_path):
    handler, url = hub
    handler.cut = 300_000
    with pytest.raises(MissingData):
        fetch(f"{url}/file", tmp_path / "file")
    handler.cut = None
    fetch(f"{url}/other", tmp_path / "file")
    assert handler.ranges == [None, None]


def test_the_part_of_a_running_process_is_left_alone(hub, tmp_path):
    _, url = hub
    other = tmp_path / f".file.{owner_tag()}.part"
    other.write_bytes(b"being written")
    assert fetch(f"{url}/file", tmp_path / "file").read_bytes() == CONTENT
    assert other.read_bytes() == b"being written"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<!doctype html><html>log in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"", "is empty"),
    ],
)
@pytest.mark.parametrize("media", ["application/octet-stream", "text/html; charset=utf-8"])
def test_a_page_in_place_of_a_file_is_never_remembered(tmp_path, body, message, media):
    with raw_server(reply("200 OK", body, content_length=len(body), content_type=media)) as (url, _):
        with pytest.raises(MissingData, match=message if media != "text/html; charset=utf-8" else "web page"):
            fetch(f"{url}/weights.pt", tmp_path / "weights.pt")
        assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_asked_for_is_one(tmp_path):
    body = b"<?xml version='1.0'?><boxes/>"
    with raw_server(reply("200 OK", body, content_length=len(body), content_type="text/html")) as (url, _):
        assert fetch(f"{url}/boxes.xml", tmp_path / "boxes.xml").read_bytes() == body
    sha = hashlib.sha256(body).hexdigest()
    (tmp_path / "x").write_bytes(body)
    check(tmp_path / "x", sha256=sha)
    with pytest.raises(MissingData, match="is a web page"):
        check(tmp_path / "x")


def test_a_file_that_is_there_needs_no_folder_to_write_in(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "file").write_bytes(CONTENT)
    with unwritable(tmp_path / "files") as folder:
        assert fetch("http://127.0.0.1:9/file", folder / "file", sha256=SHA) == folder / "file"
        with pytest.raises(Unwritable, match="permission is denied"):
            fetch("http://127.0.0.1:9/file", folder / "other")


def test_a_full_disk_is_a_sentence(hub, tmp_path, monkeypatch):
    _, url = hub

    def fsync(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Unwritable, match="no space is left"):
        fetch(f"{url}/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_file_larger_than_the_disk_is_not_begun(tmp_path):
    with (
        raw_server(reply("200 OK", b"x", content_length=4 * 10**17)) as (url, _),
        pytest.raises(Unwritable, match="bytes left to send"),
    ):
        fetch(f"{url}/file", tmp_path / "file", limits=transfer.Limits(most=10**18))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(MissingData, match="cannot be read"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file")


def test_two_fetch_a_file_once(hub, tmp_path):
    handler, url = hub
    threads = [threading.Thread(target=fetch, args=(f"{url}/file", tmp_path / "file")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(handler.ranges) == 1 and (tmp_path / "file").read_bytes() == CONTENT
