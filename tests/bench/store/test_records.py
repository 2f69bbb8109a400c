"""Records: what is read is what was written, and of the run asked for; the rest is named and left out."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from bench.core import RunKey
from bench.core.errors import BadSetting, Damaged, Unwritable
from bench.store import Store
from tests.builders.stored import arrays, key, put, record, unwritable


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
    stores = [Store(tmp_path / name) for name in ("one", "two")]
    paths = [put(store) for store in stores]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].with_suffix(".npz").read_bytes() == paths[1].with_suffix(".npz").read_bytes()
    back = stores[0].get(key())
    assert back == record(arrays=sorted(arrays()))
    np.testing.assert_array_equal(stores[0].arrays(back)["test.prediction"], arrays()["test.prediction"])
    assert [stored.digest for stored in stores[0].records()] == [record().digest]
    assert stores[0].faults() == []


def test_numbers_of_numpy_and_scores_that_are_no_number_come_back(tmp_path):
    store = Store(tmp_path)
    store.put(record(scores={"test": {"last": {"accuracy": np.float32(0.5), "r2": float("nan")}}}))
    scores = store.get(key()).scores["test"]["last"]
    assert scores["accuracy"] == 0.5 and np.isnan(scores["r2"])


EDITS = {
    "a better score": lambda content: content["scores"]["test"]["last"].update(accuracy=0.9999),
    "another curve": lambda content: content["curves"][0].update(test=0.9),
    "no notes": lambda content: content.update(notes=[]),
    "another origin": lambda content: content["facts"].update(origin="random"),
    "exposure": lambda content: content["facts"].update(trained_on_this="no"),
    "another commit": lambda content: content["environment"].update(commit="0000000"),
    "other arrays": lambda content: content.update(arrays_checksum="0" * 64),
    "another key": lambda content: content["key"].update(seed=7),
    "no checksum": lambda content: content.pop("checksum"),
    "one more value": lambda content: content.update(extra=1),
}


@pytest.mark.parametrize("edit", EDITS)
def test_any_edit_is_noticed(tmp_path, edit):
    store = Store(tmp_path)
    path = put(store)
    put(store, seed=1)
    content = json.loads(path.read_text())
    EDITS[edit](content)
    path.write_text(json.dumps(content, indent=1, sort_keys=True))
    with pytest.raises(Damaged, match=path.name):
        store.get(key())
    assert [stored.key.seed for stored in store.records()] == [1]
    (fault,) = store.faults()
    assert fault.path == path and fault.damaged and path.name in fault.text


def test_the_order_of_keys_and_white_space_are_free(tmp_path):
    path = put(Store(tmp_path))
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items()))).replace("\n", "\r\n"))
    assert Store(tmp_path).get(key()) is not None


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "gone", "of another record"])
def test_arrays_are_those_written_with_their_record(tmp_path, damage):
    store = Store(tmp_path)
    path, other = put(store), put(store, seed=1)
    store.get(key())  # a process that has looked before looks again
    file = path.with_suffix(".npz")
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "of another record":
        shutil.copy(other.with_suffix(".npz"), file)
    else:
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        file.write_bytes({"cut": content[:half], "empty": b"", "flipped": flipped}[damage])
    for place in (store, Store(tmp_path)):
        with pytest.raises(Damaged, match=file.name):
            place.get(key())
        with pytest.raises(Damaged, match=file.name):
            place.arrays(record(arrays=("test.ids",)))
        assert [stored.key.seed for stored in place.records()] == [1]
    put(store)
    assert store.get(key()) is not None and store.faults() == []


def unseal(path):
    content = json.loads(path.read_text())
    bare = {name: value for name, value in content.items() if name not in ("checksum", "arrays_checksum")}
    path.write_text(json.dumps(bare, indent=1, sort_keys=True) + "\n")
    return content, bare


def test_records_without_a_checksum_are_read_reported_and_sealed_once(tmp_path):
    store = Store(tmp_path)
    path = put(store)
    sealed, _ = unseal(path)
    text = path.read_text()
    assert store.get(key()) is not None
    (fault,) = store.faults()
    assert not fault.damaged and "no checksum" in fault.text and path.name in fault.text
    assert store.seal() == [path] and store.seal() == []
    assert store.faults() == [] and json.loads(path.read_text()) == sealed
    # Nothing else has moved: without the two lines that are new, the file is the one it was.
    kept = [
        line for line in path.read_text().splitlines() if '"checksum"' not in line and "arrays_checksum" not in line
    ]
    assert kept == text.splitlines()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not an archive", None])
def test_unsealed_arrays_that_cannot_be_read_are_found_and_never_sealed(tmp_path, damage):
    store = Store(tmp_path)
    path = put(store)
    unseal(path)
    file = path.with_suffix(".npz")
    file.write_bytes(file.read_bytes()[:-30] if damage is None else damage)
    with pytest.raises(Damaged, match=file.name):
        store.get(key())
    assert store.seal() == [] and [fault.damaged for fault in store.faults()] == [True]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[1, 2]", "null", "3", '"text"', '{"digest": 1}', "\x00", "[" * 100_000]
)
def test_what_is_no_record_is_named(tmp_path, text):
    path = put(Store(tmp_path))
    path.write_text(text)
    with pytest.raises(Damaged, match=rf"{path.name} is no readable record"):
        Store(tmp_path).get(key())


@pytest.mark.parametrize(
    "name", ["scores", "curves", "notes", "facts", "cost", "environment", "choices", "status", "key"]
)
def test_a_part_of_another_kind_is_named(tmp_path, name):
    store = Store(tmp_path)
    path = put(store)
    _, bare = unseal(path)
    for wrong in ([1], {"a": [2]}, "text", 3):
        if isinstance(wrong, dict) and name in ("facts", "environment"):
            continue  # any object will do
        path.write_text(json.dumps({**bare, name: wrong}))
        with pytest.raises(Damaged, match=path.name):
            store.get(key())


@pytest.mark.parametrize(
    "change",
    [{"suite": "../escaped"}, {"task": "../../escaped"}, {"model": "/tmp/escaped"}, {"task": "a\nb"}, {"model": ""}],
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, change):
    """A record made by hand, checksum and digest and all, whose names are paths."""
    with pytest.raises(Damaged, match=r"no file can be called so|folder of another"):
        Store(tmp_path / "made").put(record(key=key(**change)))
    assert not (tmp_path / "made").exists()
    from bench.store.records import sealed_record

    changed = record(key=key(**change))
    folder = tmp_path / "results" / "toy" / "records"
    folder.mkdir(parents=True)
    content = sealed_record(dataclasses.asdict(changed) | {"digest": changed.digest}, b"")
    (folder / f"{changed.digest}.json").write_text(json.dumps(content))
    store = Store(tmp_path / "results")
    assert list(store.records()) == [] and [fault.damaged for fault in store.faults()] == [True]


def test_names_of_splits_and_arrays_are_checked_too(tmp_path):
    with pytest.raises(Damaged, match=r"names the split '\.\./up'"):
        Store(tmp_path).put(record(scores={"../up": {"last": {"accuracy": 1.0}}}))
    with pytest.raises(Damaged, match="names the array"):
        Store(tmp_path).put(record(), {"../../up": np.zeros(2)})
    Store(tmp_path).put(record(), {"after/block_1": np.zeros(2)})


def test_a_record_in_the_folder_of_another_suite_is_refused(tmp_path):
    store = Store(tmp_path)
    path = put(store)
    other = tmp_path / "other" / "records"
    other.mkdir(parents=True)
    shutil.copy(path, other)
    assert list(store.records("other")) == []
    assert "is a record of suite 'toy'" in store.faults("other")[0].text


def test_swapped_records_are_noticed(tmp_path):
    store = Store(tmp_path)
    path, other = put(store), put(store, seed=1)
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)
    assert list(store.records()) == [] and len(store.faults()) == 2


def test_files_of_a_record_stay_below_the_results(tmp_path):
    store = Store(tmp_path)
    assert store.put_file("toy", "predictions/0a/test/7.tif", b"x").read_bytes() == b"x"
    for suite, name in (("..", "x"), ("toy", "../../x"), ("toy", "predictions//x"), ("toy", "/x")):
        with pytest.raises(BadSetting, match="cannot be the name of a file"):
            store.put_file(suite, name, b"x")


def test_one_claim_at_a_time(tmp_path):
    store = Store(tmp_path)
    first = store.claim("toy", "model_0a")
    assert first is not None
    with first:
        assert Store(tmp_path).claim("toy", "model_0a") is None
    second = Store(tmp_path).claim("toy", "model_0a")
    assert second is not None
    with second:
        pass
    assert list((tmp_path / "toy" / "records").iterdir()) == []


def test_results_that_cannot_be_written_are_read_and_say_so(tmp_path):
    put(Store(tmp_path / "results"))
    with unwritable(tmp_path / "results") as folder:
        store = Store(folder)
        assert store.get(key()) is not None and len(list(store.records())) == 1
        with pytest.raises(Unwritable, match="permission is denied"):
            put(store, seed=1)
        with pytest.raises(Unwritable, match="permission is denied"):
            store.claim("toy", "model_0a")


def test_a_file_in_place_of_the_results_is_named(tmp_path):
    (tmp_path / "results").write_text("a file")
    store = Store(tmp_path / "results")
    assert store.get(key()) is None and list(store.records()) == []
    with pytest.raises(Unwritable, match="results"):
        put(store)
