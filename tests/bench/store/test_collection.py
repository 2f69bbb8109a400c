"""What a cache holds, is verified in full; what is damaged or left over is collected; what is read is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from bench.core.errors import BadSetting, Unwritable
from bench.core.owners import owner_tag
from bench.store import PASSING, FeatureCache, Store, collect, listing, stamps, verify, verify_records, write_atomic
from bench.store.seals import write_sealed_bytes
from bench.store.tensors import with_checksum
from tests.builders.stored import NAMES, fill, put, unwritable, values

ROOT = Path(__file__).parents[3]


def bad(rows):
    return [row for row in rows if row["state"] not in PASSING]


@pytest.fixture
def cache(tmp_path):
    """A cache with one of everything."""
    cache = FeatureCache(tmp_path)
    fill(cache, {"k": 1, "model": "m", "suite": "toy", "split": "train"})
    fill(cache, {"k": 2}, stop=2)
    cache.memos.remember("statistics", {"a": 1}, {"s2.b04": [0.0, 1.0]})
    cache.memos.remember("hashes", {"a": 1}, "ab")
    write_sealed_bytes(tmp_path / "training" / "0a_0.pt", "0a_0.pt", b"state")
    write_atomic(tmp_path / "tuned" / "0a.safetensors", with_checksum(save({"w": np.ones(3, np.float32)})))
    return cache


def test_listing_names_what_there_is(cache):
    whole, partial = sorted(listing(cache), key=lambda row: row["state"])
    assert whole["model"] == "m" and whole["suite"] == "toy" and whole["split"] == "train" and whole["rows"] == 10
    assert whole["state"] == "ok" and whole["bytes"] > 300 and partial["state"] == "partial"
    assert list(whole) == ["name", "model", "suite", "split", "rows", "bytes", "days", "state"]


def test_a_sound_cache_is_verified(cache):
    rows = verify(cache)
    assert bad(rows) == []
    assert {row["kind"] for row in rows} == {"features", "statistics", "hashes", "checkpoint", "tuned weights"}


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "pattern", ["features/*/*.cls.npy", "features/*/manifest.json", "statistics/*", "hashes/*", "training/*", "tuned/*"]
)
@pytest.mark.parametrize("damage", ["flip", "empty", "list"])
def test_every_kind_of_damage_is_found_and_collected(cache, pattern, damage):
    path = next(path for path in sorted(cache.root.glob(pattern)) if "partial" not in str(path))
    if damage == "flip":
        flip(path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"[1, 2]")
    (row,) = bad(verify(cache))
    assert path.name in row["state"] or path.parent.name == row["name"]
    removed = collect(cache)
    assert row["name"] in removed and not path.exists()
    assert bad(verify(cache)) == [] and len(verify(cache)) >= 4


def test_verification_trusts_no_stamp(cache, monkeypatch):
    monkeypatch.setattr(stamps, "SMALL", 0)
    cache.open({"k": 1, "model": "m", "suite": "toy", "split": "train"})
    monkeypatch.setattr(cache.stamps, "_stamp", lambda folder: pytest.fail("a stamp was asked for"))
    assert bad(verify(cache)) == []


def test_least_recently_used_sets_go_first(tmp_path):
    cache = FeatureCache(tmp_path)
    for number in (1, 2):
        fill(cache, {"k": number})
    fill(cache, {"k": 3}, stop=2)
    for path in cache.folder({"k": 1}).iterdir():
        os.utime(path, (1, 1))
    removed = collect(cache, keep_bytes=next(row for row in listing(cache) if row["state"] == "ok")["bytes"])
    assert cache.folder({"k": 1}).name in removed and len(removed) == 2
    assert cache.open({"k": 2}) is not None and cache.open({"k": 1}) is None


def test_a_negative_size_is_refused_and_removes_nothing(cache):
    with pytest.raises(BadSetting, match="keep=-1: a size is 0 or more"):
        collect(cache, keep_bytes=-1)
    assert len(listing(cache)) == 2


def test_what_is_left_over_goes_and_what_is_alive_stays(cache):
    root = cache.root
    dead = owner_tag().rsplit("-", 3)[0] + "-999999999-0-00"
    left = [
        root / "statistics" / f".x.json.{dead}.part",
        root / "weights" / f".model.bin.{dead}.part",
        root / "weights" / f".model.bin.{dead}.note",
        root / "features" / f"0a.{dead}.trash",
        root / "features" / "0b.lock",
        root / "features" / "0c.lease",
    ]
    alive = [root / "weights" / f".model.bin.{owner_tag()}.part", root / "features" / "0d.lease"]
    for path in (*left, *alive):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    os.utime(left[-1], (1, 1))
    rows = [row for row in verify(cache) if row["state"] == "left over"]
    assert sorted(row["name"] for row in rows) == sorted(path.name for path in left)
    removed = collect(cache)
    assert {path.name for path in left} <= set(removed)
    assert not any(path.exists() for path in left) and all(path.exists() for path in alive)


READ = """
import sys, time
from pathlib import Path
from bench.store import FeatureCache
features = FeatureCache(Path(sys.argv[1])).open({"k": 1})
print("open", flush=True)
sys.stdin.readline()
print(float(features["embedding.mean"].sum()), flush=True)
"""


def test_what_a_running_process_reads_is_not_collected(tmp_path):
    """The arrays are opened long after the set: it has to be there all the while, and can go when the process has."""
    cache = FeatureCache(tmp_path)
    for number in (1, 2):
        fill(cache, {"k": number})
    reader = subprocess.Popen(
        [sys.executable, "-c", READ, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None and reader.stdout.readline().strip() == "open"
    assert collect(cache, keep_bytes=0) == [cache.folder({"k": 2}).name]
    out, _ = reader.communicate("\n", timeout=30)
    assert float(out) == sum(float(values(i).sum()) for i in range(0, 10, 2))
    assert list((tmp_path / "readers").iterdir()) == []
    assert collect(cache, keep_bytes=0) == [cache.folder({"k": 1}).name]


def test_the_mark_of_a_killed_reader_does_not_stay(tmp_path):
    cache = FeatureCache(tmp_path)
    fill(cache, {"k": 1})
    reader = subprocess.Popen(
        [sys.executable, "-c", READ, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None and reader.stdout.readline().strip() == "open"
    reader.kill()
    reader.communicate()
    assert len(list((tmp_path / "readers").iterdir())) == 2
    assert collect(cache, keep_bytes=0) == [cache.folder({"k": 1}).name]
    assert list((tmp_path / "readers").iterdir()) == []


def test_a_set_that_is_opened_while_it_is_collected_is_put_back(tmp_path, monkeypatch):
    cache, reader = FeatureCache(tmp_path), FeatureCache(tmp_path)
    fill(cache, {"k": 1})
    from bench.store import collection

    opened = []

    def set_aside(folder):
        opened.append(reader.open({"k": 1}))  # between the collector's look and its rename
        return original(folder)

    original = collection.set_aside
    monkeypatch.setattr(collection, "set_aside", set_aside)
    assert collect(cache, keep_bytes=0) == []
    assert opened[0] is not None
    np.testing.assert_array_equal(opened[0][NAMES[0]][:2], values(0))


def test_a_set_that_is_being_made_is_left_alone(tmp_path):
    cache = FeatureCache(tmp_path)
    with cache.lock({"k": 1}):
        writer = cache.writer({"k": 1}, ["a"], {"x.mean": ((3,), "<f2")})
        assert collect(cache, keep_bytes=0) == []
        writer.append({"x.mean": np.zeros((1, 3), np.float16)})
        writer.commit()
    assert cache.open({"k": 1}) is not None


def test_a_cache_that_cannot_be_written_is_verified_and_not_collected(cache):
    with unwritable(cache.root) as folder:
        assert bad(verify(FeatureCache(folder))) == []
        with pytest.raises(Unwritable, match="permission is denied"):
            collect(FeatureCache(folder), keep_bytes=0)
    assert collect(FeatureCache(cache.root / "gone")) == []


def test_records_are_verified(tmp_path):
    store = Store(tmp_path)
    paths = [put(store, seed=seed) for seed in range(4)]
    assert [row["state"] for row in verify_records(tmp_path)] == ["ok"] * 4
    flip(paths[0].with_suffix(".npz"))
    paths[1].write_text(paths[1].read_text().replace("0.5", "0.9"))
    paths[2].unlink()
    (tmp_path / "toy" / "records" / "0a.lease").write_text("x")
    old = time.time() - 1000
    os.utime(tmp_path / "toy" / "records" / "0a.lease", (old, old))
    rows = verify_records(tmp_path)
    assert sorted(row["name"] for row in bad(rows)) == sorted(path.name for path in paths[:2])
    left = sorted(row["name"] for row in rows if row["state"] == "left over")
    assert left == sorted(["0a.lease", paths[2].with_suffix(".npz").name])
