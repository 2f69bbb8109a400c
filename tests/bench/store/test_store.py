"""Records and features survive kills, edits and rot: what is read is whole, or is found out and made again."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from bench.core import Layer, Record, RunKey
from bench.core.errors import MissingData
from bench.store import FeatureCache, Store, write_atomic

LAYERS = (Layer(name="embedding", channels=3, stride=4, depth=0.0),)


def key(**changes) -> RunKey:
    facts = dict(
        suite="toy",
        suite_version=1,
        split_hash="s",
        task="kind",
        model="m",
        model_version=1,
        weights="w",
        recipe={"bands": ["a"], "size": [16, 16]},
        protocol="probe",
        protocol_version=1,
        settings={},
        fraction=1.0,
        subset=0,
        seed=0,
    )
    return RunKey(**{**facts, **changes})


def test_digest_covers_every_field_and_nothing_else():
    digests = {key().digest}
    changes = dict(
        suite="x",
        suite_version=2,
        split_hash="x",
        task="x",
        model="x",
        model_version=2,
        weights="x",
        recipe={},
        protocol="x",
        protocol_version=2,
        settings={"c": 1},
        fraction=0.5,
        subset=1,
        seed=1,
    )
    assert set(changes) == {field.name for field in dataclasses.fields(RunKey)}
    for name, value in changes.items():
        digests.add(key(**{name: value}).digest)
    assert len(digests) == len(changes) + 1
    assert not {"device", "workers", "batch"} & set(changes)


def test_record_round_trip_and_equal_bytes(tmp_path):
    arrays = {"test.prediction": np.arange(6).reshape(2, 3), "test.ids": np.array(["a", "b", "c"])}
    record = Record(key=key(), status="ok", scores={"test": {"last": {"accuracy": 0.5}}}, arrays=sorted(arrays))
    stores = [Store(tmp_path / name) for name in ("one", "two")]
    paths = [store.put(record, arrays) for store in stores]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].with_suffix(".npz").read_bytes() == paths[1].with_suffix(".npz").read_bytes()
    back = stores[0].get(key())
    assert back is not None and back.digest == record.digest and back.scores == record.scores
    np.testing.assert_array_equal(stores[0].arrays(back)["test.prediction"], arrays["test.prediction"])
    assert [r.digest for r in stores[0].records()] == [record.digest]


def test_an_edited_or_cut_record_is_found_out(tmp_path):
    store = Store(tmp_path)
    path = store.put(Record(key=key(), status="ok"))
    content = json.loads(path.read_text())
    content["key"]["seed"] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(MissingData, match="was edited"):
        store.get(key())
    path.write_text(path.read_text()[:100])
    with pytest.raises(MissingData, match="no readable record"):
        store.get(key())


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_one_claim_at_a_time(tmp_path):
    store = Store(tmp_path)
    first = store.claim(key())
    assert first is not None
    with first:
        assert Store(tmp_path).claim(key()) is None
    assert Store(tmp_path).claim(key()) is not None


def fill(cache: FeatureCache, facts: dict, rows: int, stop: int | None = None) -> None:
    ids = [str(i) for i in range(rows)]
    writer = cache.writer(facts, ids, {"embedding.mean": ((3,), "<f2")}, LAYERS)
    for start in range(writer.rows, rows, 2):
        writer.append({"embedding.mean": np.full((2, 3), start, np.float16)})
        writer.flush()
        if stop is not None and start >= stop:
            writer.append({"embedding.mean": np.full((2, 3), 99, np.float16)})  # written, never vouched for
            writer.close()
            return
    writer.commit()


def test_a_killed_extraction_goes_on_to_the_same_bytes(tmp_path):
    whole, killed = FeatureCache(tmp_path / "a"), FeatureCache(tmp_path / "b")
    fill(whole, {"k": 1}, 10)
    fill(killed, {"k": 1}, 10, stop=4)
    assert killed.open({"k": 1}) is None
    assert killed.listing()[0]["state"] == "partial"
    fill(killed, {"k": 1}, 10)
    one, two = whole.open({"k": 1}), killed.open({"k": 1})
    assert one is not None and two is not None
    np.testing.assert_array_equal(one["embedding.mean"], two["embedding.mean"])
    assert one.manifest["files"] == two.manifest["files"]
    assert one.layers == LAYERS


def test_rot_is_found_and_rebuilt(tmp_path):
    cache = FeatureCache(tmp_path)
    fill(cache, {"k": 1}, 10)
    path = cache.folder({"k": 1}) / "embedding.mean.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert "checksum" in cache.listing(verify=True)[0]["state"]
    assert FeatureCache(tmp_path).open({"k": 1}) is None
    fill(cache, {"k": 1}, 10)
    assert FeatureCache(tmp_path).open({"k": 1}) is not None


def test_gc_removes_partial_damaged_and_least_recent(tmp_path):
    import os

    cache = FeatureCache(tmp_path)
    fill(cache, {"k": 1}, 10)
    fill(cache, {"k": 2}, 10)
    fill(cache, {"k": 3}, 10, stop=2)
    for path in cache.folder({"k": 1}).iterdir():
        os.utime(path, (1, 1))
    removed = cache.gc(keep_bytes=cache.listing()[0]["bytes"])
    assert cache.folder({"k": 1}).name in removed and len(removed) == 2
    assert cache.open({"k": 2}) is not None and cache.open({"k": 1}) is None


def test_wrong_rows_are_refused(tmp_path):
    writer = FeatureCache(tmp_path).writer({"k": 1}, ["a", "b"], {"x.mean": ((3,), "<f2")}, LAYERS)
    with pytest.raises(ValueError, match="shape"):
        writer.append({"x.mean": np.zeros((1, 4), np.float16)})
    with pytest.raises(ValueError, match="rows"):
        writer.append({"y.mean": np.zeros((1, 3), np.float16)})
    with pytest.raises(ValueError, match="0 of 2 rows"):
        writer.commit()
