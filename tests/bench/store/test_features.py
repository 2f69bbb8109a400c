"""Feature sets survive kills, rot and company: what is opened is whole, or is found out and made again."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from bench.core.errors import Unwritable
from bench.store import FeatureCache, stamps
from tests.builders.stored import LAYERS, NAMES, fill, unwritable, values

KEY = {"k": 1, "model": "toy"}


def whole(features) -> None:
    assert features is not None
    for number, name in enumerate(NAMES):
        np.testing.assert_array_equal(features[name], np.concatenate([values(i, number) for i in range(0, 10, 2)]))


def test_what_is_written_comes_back(tmp_path):
    cache = FeatureCache(tmp_path)
    assert cache.open(KEY) is None
    fill(cache, KEY)
    features = cache.open(KEY)
    whole(features)
    assert features.layers == LAYERS and features.ids == [str(i) for i in range(10)] and features.names == sorted(NAMES)
    assert [path.name for path in (tmp_path / "features").iterdir()] == [cache.folder(KEY).name]


def test_a_killed_extraction_goes_on_to_the_same_bytes(tmp_path):
    unbroken, killed = FeatureCache(tmp_path / "a"), FeatureCache(tmp_path / "b")
    fill(unbroken, KEY)
    fill(killed, KEY, stop=4)
    assert killed.open(KEY) is None
    writer = killed.writer(KEY, [str(i) for i in range(10)], {name: ((3,), "<f2") for name in NAMES}, LAYERS)
    assert writer.rows == 6
    writer.close()
    fill(killed, KEY)
    whole(killed.open(KEY))
    assert unbroken.open(KEY).manifest == killed.open(KEY).manifest
    assert len(list((tmp_path / "b" / "features").iterdir())) == 1


def partial(tmp_path):
    (folder,) = (tmp_path / "features").glob("*.partial")
    return folder


PARTIAL_DAMAGE = {
    "a flipped byte": lambda folder: flip(folder / f"{NAMES[1]}.npy", 130),
    "a short array": lambda folder: (folder / f"{NAMES[0]}.npy").write_bytes(b"\x93NUMPY"),
    "no array": lambda folder: (folder / f"{NAMES[0]}.npy").unlink(),
    "no progress": lambda folder: (folder / "progress.json").unlink(),
    "progress of version 0.1": lambda folder: (folder / "progress.json").write_text('{"plan": "x", "rows": 4}'),
    "a list for progress": lambda folder: (folder / "progress.json").write_text("[1]"),
    "more rows than there are": lambda folder: edit(folder / "progress.json", rows=8),
}


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def edit(path, **changes):
    content = json.loads(path.read_text())
    content["content"] |= changes
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("damage", PARTIAL_DAMAGE)
def test_a_damaged_beginning_is_begun_again(tmp_path, damage):
    cache = FeatureCache(tmp_path)
    fill(cache, KEY, stop=4)
    PARTIAL_DAMAGE[damage](partial(tmp_path))
    fill(cache, KEY)
    whole(FeatureCache(tmp_path).open(KEY))


def test_rows_of_another_plan_are_not_gone_on_from(tmp_path):
    cache = FeatureCache(tmp_path)
    fill(cache, KEY, rows=12, stop=4)
    fill(cache, KEY)
    whole(cache.open(KEY))


def test_two_writers_of_one_set_never_share_a_file(tmp_path):
    """Where claims do not reach each other: both write to the end, the first is kept, the second drops its own."""
    first, second = FeatureCache(tmp_path), FeatureCache(tmp_path)
    shapes = {name: ((3,), "<f2") for name in NAMES}
    writers = [cache.writer(KEY, [str(i) for i in range(10)], shapes, LAYERS) for cache in (first, second)]
    for start in range(0, 10, 2):
        for writer in writers:
            writer.append({name: values(start, number) for number, name in enumerate(NAMES)})
            writer.flush()
    for writer in writers:
        writer.commit()
        writer.close()
        whole(FeatureCache(tmp_path).open(KEY))
    assert len(list((tmp_path / "features").iterdir())) == 1


def test_files_that_differ_from_the_rows_handed_over_are_found_out(tmp_path):
    """The checksum is of what was appended, not of a file that another process has written to meanwhile."""
    cache = FeatureCache(tmp_path)
    writer = cache.writer(KEY, [str(i) for i in range(10)], {NAMES[0]: ((3,), "<f2")}, LAYERS)
    for start in range(0, 10, 2):
        writer.append({NAMES[0]: values(start)})
    writer.flush()
    flip(partial(tmp_path) / f"{NAMES[0]}.npy", 140)
    writer.commit()
    assert FeatureCache(tmp_path).open(KEY) is None


def test_a_damaged_set_in_the_place_of_a_new_one_is_replaced(tmp_path):
    cache = FeatureCache(tmp_path)
    fill(cache, KEY)
    flip(cache.folder(KEY) / f"{NAMES[0]}.npy", 140)
    fill(cache, KEY)  # the writer does not look before it publishes
    whole(FeatureCache(tmp_path).open(KEY))


def test_the_furthest_of_several_beginnings_is_taken(tmp_path):
    cache = FeatureCache(tmp_path)
    fill(cache, KEY, stop=2)
    shutil.copytree(partial(tmp_path), tmp_path / "aside")
    shutil.rmtree(partial(tmp_path))
    fill(cache, KEY, stop=6)
    shutil.move(tmp_path / "aside", tmp_path / "features" / f"{cache.folder(KEY).name}.left_0.partial")
    writer = cache.writer(KEY, [str(i) for i in range(10)], {name: ((3,), "<f2") for name in NAMES}, LAYERS)
    assert writer.rows == 8
    writer.close()


SET_DAMAGE = {
    "a flipped byte": lambda folder: flip(folder / f"{NAMES[0]}.npy", -1),
    "a flipped byte of a header": lambda folder: flip(folder / f"{NAMES[0]}.npy", 30),
    "a short array": lambda folder: (folder / f"{NAMES[0]}.npy").write_bytes(b""),
    "no array": lambda folder: (folder / f"{NAMES[0]}.npy").unlink(),
    "swapped arrays": lambda folder: swap(*(folder / f"{name}.npy" for name in NAMES)),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "an empty manifest": lambda folder: (folder / "manifest.json").write_text(""),
    "a list": lambda folder: (folder / "manifest.json").write_text("[]"),
    "text": lambda folder: (folder / "manifest.json").write_text('"manifest"'),
    "wrong keys": lambda folder: (folder / "manifest.json").write_text('{"ids": []}'),
    "fewer ids": lambda folder: edit(folder / "manifest.json", ids=["0"]),
    "other ids": lambda folder: edit(folder / "manifest.json", ids=[f"x{i}" for i in range(10)]),
    "no files": lambda folder: edit(folder / "manifest.json", files={}),
    "another model": lambda folder: edit(folder / "manifest.json", facts={"model": "other"}),
    "other layers": lambda folder: edit(folder / "manifest.json", layers=[]),
    "version 0.1": lambda folder: (folder / "manifest.json").write_text(
        json.dumps(json.loads((folder / "manifest.json").read_text())["content"])
    ),
}


def swap(path, other):
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("damage", SET_DAMAGE)
def test_rot_is_found_and_rebuilt(tmp_path, damage, opened):
    cache = FeatureCache(tmp_path)
    fill(cache, KEY)
    if opened:
        whole(cache.open(KEY))  # a process that has checked the set before looks again
    SET_DAMAGE[damage](cache.folder(KEY))
    assert cache.open(KEY) is None and not cache.folder(KEY).exists()
    fill(cache, KEY)
    whole(FeatureCache(tmp_path).open(KEY))


def test_a_set_in_the_place_of_another_is_not_taken_for_it(tmp_path):
    cache = FeatureCache(tmp_path)
    other = {"k": 2, "model": "toy"}
    fill(cache, KEY)
    shutil.copytree(cache.folder(KEY), cache.folder(other))
    assert cache.open(other) is None
    whole(cache.open(KEY))


def test_rot_with_unchanged_size_and_time_is_found(tmp_path, monkeypatch):
    """Large sets are trusted by their stamp; setting the time of a file back is itself a change of its status."""
    monkeypatch.setattr(stamps, "SMALL", 0)
    fill(FeatureCache(tmp_path), KEY)
    whole(FeatureCache(tmp_path).open(KEY))
    path = FeatureCache(tmp_path).folder(KEY) / f"{NAMES[0]}.npy"
    before = path.stat()
    flip(path, -1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert FeatureCache(tmp_path).open(KEY) is None


def test_a_large_set_is_read_in_full_once_per_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(stamps, "SMALL", 0)
    read = []
    original = stamps.crc32_of
    monkeypatch.setattr(stamps, "crc32_of", lambda path: read.append(path.name) or original(path))
    fill(FeatureCache(tmp_path), KEY)
    for _ in range(3):
        whole(FeatureCache(tmp_path).open(KEY))
    assert sorted(read) == sorted(f"{name}.npy" for name in NAMES)
    for path in (tmp_path / "verified").rglob("*.json"):
        path.write_text("[]")
    whole(FeatureCache(tmp_path).open(KEY))
    assert len(read) == 4


@pytest.mark.parametrize("small", [True, False])
def test_a_cache_that_cannot_be_written_serves_what_it_holds(tmp_path, monkeypatch, small):
    monkeypatch.setattr(stamps, "SMALL", stamps.SMALL if small else 0)
    fill(FeatureCache(tmp_path / "cache"), KEY)
    with unwritable(tmp_path / "cache") as folder:
        cache = FeatureCache(folder)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        whole(cache.open(KEY))
        cache.memos.remember("statistics", {"a": 1}, {"b": [0, 1]})
        assert cache.memos.recall("statistics", {"a": 1}) is None
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
        with pytest.raises(Unwritable, match="permission is denied"), cache.lock({"k": 2}):
            pass
        with pytest.raises(Unwritable, match="permission is denied"):
            fill(cache, {"k": 2})


def test_a_full_disk_is_a_sentence_and_what_is_there_is_gone_on_from(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    original = os.fsync
    calls = []

    def fsync(handle):
        calls.append(handle)
        if len(calls) == 12:  # two arrays and one note per flush: in the fourth
            raise OSError(28, "No space left on device")
        original(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Unwritable, match="no space is left"):
        fill(cache, KEY)
    assert cache.open(KEY) is None
    fill(cache, KEY)
    whole(cache.open(KEY))


def test_wrong_rows_are_refused(tmp_path):
    writer = FeatureCache(tmp_path).writer({"k": 1}, ["a", "b"], {"x.mean": ((3,), "<f2")}, LAYERS)
    with pytest.raises(ValueError, match="shape"):
        writer.append({"x.mean": np.zeros((1, 4), np.float16)})
    with pytest.raises(ValueError, match="rows"):
        writer.append({"y.mean": np.zeros((1, 3), np.float16)})
    with pytest.raises(ValueError, match="0 of 2 rows"):
        writer.commit()
    writer.close()


def test_a_file_in_place_of_the_cache_is_named(tmp_path):
    (tmp_path / "cache").write_text("x")
    cache = FeatureCache(tmp_path / "cache")
    assert cache.open(KEY) is None
    with pytest.raises(Unwritable, match="a file lies where a folder is needed"), cache.lock(KEY):
        pass
