"""Weights are found, verified and remembered: what a network is made of has the hash that its runs are named by."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os

import pytest

from bench.catalogue.weights import TO_BE_FETCHED, WeightSources, verify_weights
from bench.core import Weights
from bench.core.errors import MissingWeights
from bench.store import PASSING
from tests.builders.servers import CONTENT, SHA, hub_server, raw_server, reply
from tests.builders.sessions import ENTRY, a_run, new_session
from tests.builders.stored import unwritable
from tests.builders.suite_and_model import toy_entry, toy_weights


@pytest.fixture
def hub():
    with hub_server() as server:
        yield server


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


def test_weights_of_a_user_are_told_apart_by_their_hash_and_never_enforced(tmp_path):
    file = tmp_path / "mine.bin"
    file.write_bytes(b"one")
    entry = dataclasses.replace(ENTRY, weights=Weights(file=str(file)))
    shelf = WeightSources(folder=tmp_path, cache=tmp_path / "cache")
    first = shelf.digest(entry)
    file.write_bytes(b"three")
    assert shelf.digest(entry) != first


def at(folder, content=CONTENT):
    path = folder / "toy" / "model.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def rot(path):
    """Change a byte and set the time of change back."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rot_without_a_trace(path, shelf, entry):
    """Change a byte, and let the memo of the old hash be of the file as it is now: as if no time had changed."""
    digest = shelf.digest(entry)
    rot(path)
    for memo in (shelf.cache / "hashes").glob("*.json"):
        memo.unlink()
    from bench.store import Memos
    from bench.store.stamps import signature_of

    Memos(shelf.cache).remember("hashes", {"path": str(path.resolve()), "signature": signature_of(path)}, digest)
    assert WeightSources(folder=shelf.folder, cache=shelf.cache).digest(entry) == digest


@pytest.mark.parametrize("sha256", [SHA, ""])
@pytest.mark.parametrize("trace", [True, False])
def test_rotten_weights_are_never_loaded(tmp_path, sha256, trace):
    entry = toy_entry(weights=toy_weights(sha256=sha256))
    path = at(tmp_path / "weights")
    shelf = WeightSources(folder=tmp_path / "weights", cache=tmp_path / "cache")
    assert shelf.find(entry) == path
    if trace:
        rot(path)
    else:
        rot_without_a_trace(path, shelf, entry)
    for place in (shelf, WeightSources(folder=tmp_path / "weights", cache=tmp_path / "cache")):
        with pytest.raises(MissingWeights, match="a damaged or another file"):
            place.find(entry)


def test_a_rotten_download_is_fetched_again(hub, tmp_path):
    handler, url = hub
    entry = toy_entry(weights=toy_weights(url=f"{url}/model"))
    shelf = WeightSources(folder=None, cache=tmp_path)
    path = shelf.find(entry)
    rot(path)
    assert shelf.planned_digest(entry) == f"{TO_BE_FETCHED}{url}/model" and len(handler.ranges) == 1
    assert shelf.find(entry).read_bytes() == CONTENT and len(handler.ranges) == 2
    rot(path)
    offline = WeightSources(folder=None, cache=tmp_path, download=False)
    with pytest.raises(MissingWeights, match="a damaged or another file"):
        offline.planned_digest(entry)
    with pytest.raises(MissingWeights, match="a damaged or another file"):
        offline.find(entry)


def test_a_login_page_is_not_remembered_as_the_weights(hub, tmp_path):
    """Served once, with status 200 and no hash to hold it against."""
    _, sound = hub
    page = b"<!DOCTYPE html><html>log in</html>"
    shelf = WeightSources(folder=None, cache=tmp_path)
    for media in ("text/html", "application/octet-stream"):
        answer = reply("200 OK", page, content_length=len(page), content_type=media)
        with raw_server(answer) as (url, _), pytest.raises(MissingWeights, match="web page"):
            shelf.find(toy_entry(weights=toy_weights(url=f"{url}/model")))
    at(tmp_path / "weights", page)  # kept by an earlier version
    entry = toy_entry(weights=toy_weights(url=f"{sound}/model"))
    assert shelf.state(entry) == "downloadable" and shelf.planned_digest(entry).startswith(TO_BE_FETCHED)
    assert shelf.find(entry).read_bytes() == CONTENT
    with pytest.raises(MissingWeights, match="is a web page"):
        WeightSources(folder=at(tmp_path / "mine", page).parents[1], cache=tmp_path).find(entry)


def test_plans_fetch_nothing(hub, tmp_path):
    handler, url = hub
    entry = toy_entry(weights=toy_weights(url=f"{url}/model"))
    shelf = WeightSources(folder=None, cache=tmp_path)
    assert shelf.planned_digest(entry) == f"{TO_BE_FETCHED}{url}/model" and handler.ranges == []
    shelf.find(entry)
    assert shelf.planned_digest(entry) == SHA and len(handler.ranges) == 1
    with pytest.raises(MissingWeights, match="no weights at hand"):
        shelf.planned_digest(toy_entry(weights=toy_weights(file="toy/other.bin")))
    assert shelf.planned_digest(toy_entry(origin="random")) == "random"


def test_weights_that_changed_since_the_plan_are_refused(tmp_path):
    path = at(tmp_path / "mine")
    entry = dataclasses.replace(ENTRY, weights=Weights(file=str(path)))
    session = new_session(tmp_path)
    run = a_run(0, entry=entry)
    run = dataclasses.replace(run, key=dataclasses.replace(run.key, weights=SHA))
    session.backbone(run)
    at(tmp_path / "mine", CONTENT[::-1])
    with pytest.raises(MissingWeights, match="it has changed; run again"):
        session.own_backbone(run)


MEMO_DAMAGE = ["", "[]", "[1, 2]", "{}", "null", '"text"', '{"content": "0"}']


@pytest.mark.parametrize("text", MEMO_DAMAGE)
@pytest.mark.parametrize("kind", ["hashes", "first_hashes"])
def test_damaged_memos_are_made_again(tmp_path, kind, text):
    entry = toy_entry(weights=toy_weights())
    at(tmp_path / "weights")
    shelf = WeightSources(folder=tmp_path / "weights", cache=tmp_path / "cache")
    assert shelf.digest(entry) == SHA
    (memo,) = (tmp_path / "cache" / kind).glob("*.json")
    memo.write_text(text)
    again = WeightSources(folder=tmp_path / "weights", cache=tmp_path / "cache")
    assert again.digest(entry) == SHA and again.find(entry) is not None
    assert json.loads(memo.read_text())["content"] == SHA


@pytest.mark.parametrize("name", ["hashes.json", "recorded_hashes.json"])
def test_ledgers_of_version_0_1_are_no_obstacle(tmp_path, name):
    at(tmp_path / "cache" / "weights")
    (tmp_path / "cache" / "weights" / name).write_text("[1, 2]")
    shelf = WeightSources(folder=None, cache=tmp_path / "cache")
    assert shelf.digest(toy_entry(weights=toy_weights())) == SHA


def test_a_cache_that_cannot_be_written_serves_its_weights(tmp_path):
    at(tmp_path / "cache" / "weights")
    entry = toy_entry(weights=toy_weights())
    with unwritable(tmp_path / "cache") as folder:
        shelf = WeightSources(folder=None, cache=folder)
        assert shelf.digest(entry) == SHA and shelf.find(entry) is not None


def test_downloads_are_verified_in_full(hub, tmp_path):
    _, url = hub
    stated = toy_entry(weights=toy_weights(url=f"{url}/model", sha256=SHA))
    other = toy_entry(name="other", weights=toy_weights(url=f"{url}/model", file="toy/other.bin"))
    shelf = WeightSources(folder=None, cache=tmp_path)
    for entry in (stated, other):
        shelf.find(entry)
    (tmp_path / "weights" / "own.bin").write_bytes(b"put there by somebody")
    rows = {row["name"]: row["state"] for row in verify_weights(tmp_path, (stated, other))}
    assert rows == {"own.bin": "no checksum known", "toy/model.bin": "ok", "toy/other.bin": "ok"}
    for name in ("model", "other"):
        rot(tmp_path / "weights" / "toy" / f"{name}.bin")
    rows = {row["name"]: row["state"] for row in verify_weights(tmp_path, (stated, other))}
    assert [name for name, state in rows.items() if state not in PASSING] == ["toy/model.bin", "toy/other.bin"]
    assert all("expected" in rows[name] for name in ("toy/model.bin", "toy/other.bin"))
