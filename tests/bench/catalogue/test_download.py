"""Downloads resume, are checked and appear whole; weights are found, verified, remembered. A local server plays hub."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.catalogue import transfer
from bench.catalogue.download import fetch
from bench.catalogue.weights import WeightSources
from bench.core.errors import BadSetting, MissingData, MissingWeights
from tests.builders.suite_and_model import toy_entry, toy_weights

CONTENT = bytes(range(256)) * 4000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Hub(BaseHTTPRequestHandler):
    content, etag, cut, ranges = CONTENT, '"one"', None, []

    def do_GET(self):
        if self.path == "/absent":
            self.send_error(404, "Not Found")
            return
        start = 0
        wanted = self.headers.get("Range")
        type(self).ranges.append(wanted)
        if wanted and self.headers.get("If-Range") == self.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        else:
            self.send_response(200)
        body = self.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.etag)
        self.end_headers()
        self.wfile.write(body if self.cut is None else body[: self.cut])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    handler = type("OneHub", (Hub,), {"ranges": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


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


def test_the_first_digits_of_a_hash_and_an_md5_are_enforced(hub, tmp_path):
    """Publishers put eight digits of the hash into a file's name, and Zenodo states an md5."""
    _, url = hub
    entry = toy_entry(weights=toy_weights(url=f"{url}/model", sha256=SHA[:8]))
    shelf = WeightSources(folder=None, cache=tmp_path / "cache")
    path = shelf.find(entry)
    assert path is not None and shelf.digest(entry) == SHA
    path.write_bytes(b"another file")
    with pytest.raises(MissingWeights, match=f"but {SHA[:8]} is what its publisher states"):
        shelf.digest(entry)
    assert shelf.find(entry).read_bytes() == CONTENT  # a damaged download is made again
    wrong = toy_entry(weights=toy_weights(url=f"{url}/model", file="toy/wrong.bin", sha256="0" * 8))
    with pytest.raises(MissingWeights, match="does not serve the file expected"):
        shelf.find(wrong)
    for md5, right in ((hashlib.md5(CONTENT).hexdigest(), True), ("0" * 32, False)):
        other = toy_entry(weights=toy_weights(url=f"{url}/model", file=f"toy/{md5}.bin", md5=md5))
        if right:
            assert shelf.find(other).read_bytes() == CONTENT
            continue
        with pytest.raises(MissingWeights, match="does not serve the file expected"):
            shelf.find(other)


def test_an_unreachable_host_is_asked_once(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "unreachable", {})
    with pytest.raises(MissingData, match="connection failed"):
        fetch("http://127.0.0.1:9/one", tmp_path / "one")
    with pytest.raises(MissingData, match="cannot be reached"):
        fetch("http://127.0.0.1:9/two", tmp_path / "two")


def test_weights_come_from_the_folder_then_the_cache_then_the_hub(hub, tmp_path):
    handler, url = hub
    entry = toy_entry(weights=toy_weights(url=f"{url}/model", sha256=SHA))
    shelf = WeightSources(folder=tmp_path / "weights", cache=tmp_path / "cache")
    assert shelf.state(entry) == "downloadable"
    path = shelf.find(entry)
    assert path == tmp_path / "cache" / "weights" / "toy" / "model.bin" and shelf.state(entry) == "present"
    own = tmp_path / "weights" / "toy" / "model.bin"
    own.parent.mkdir(parents=True)
    own.write_bytes(CONTENT)
    assert shelf.find(entry) == own and shelf.digest(entry) == SHA
    assert len(handler.ranges) == 1


def test_missing_weights_say_where_and_how(tmp_path):
    entry = toy_entry(weights=toy_weights(how="ask its authors"))
    shelf = WeightSources(folder=None, cache=tmp_path)
    assert shelf.state(entry) == "missing"
    with pytest.raises(MissingWeights, match=r"looked at .*toy/model\.bin.*ask its authors"):
        shelf.find(entry)
    offline = WeightSources(folder=None, cache=tmp_path, download=False)
    assert offline.state(toy_entry(weights=toy_weights(url="http://127.0.0.1:9/x"))) == "missing"


def test_wrong_checksum_is_refused(tmp_path):
    path = tmp_path / "toy" / "model.bin"
    path.parent.mkdir()
    path.write_bytes(b"something else")
    with pytest.raises(MissingWeights, match="its publisher states"):
        WeightSources(folder=tmp_path, cache=tmp_path / "c").find(toy_entry(weights=toy_weights(sha256=SHA)))


def test_an_unpublished_hash_is_recorded_then_enforced(tmp_path):
    path = tmp_path / "toy" / "model.bin"
    path.parent.mkdir()
    path.write_bytes(b"first")
    shelf, entry = WeightSources(folder=tmp_path, cache=tmp_path / "c"), toy_entry(weights=toy_weights())
    assert shelf.digest(entry) == hashlib.sha256(b"first").hexdigest()
    path.write_bytes(b"second")
    with pytest.raises(MissingWeights, match="at first sight"):
        shelf.find(entry)


def test_controls_have_words_for_hashes(tmp_path):
    shelf = WeightSources(folder=None, cache=tmp_path)
    assert shelf.digest(toy_entry(origin="random")) == "random"
    assert shelf.digest(toy_entry(origin="baseline")) == "none"
