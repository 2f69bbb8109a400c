"""Results follow the data and the user's files: what changed is computed again, in every sweep, whatever is cached."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from bench.store import Store
from tests.builders.own_files import read_split, run_sweep, write_files, write_split


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    return tmp_path


def score(record):
    assert record.status == "ok", record.error
    return record.scores["test"]["last"][record.facts["metric"]]


def time_and_cost(record):
    return record.environment["time"], record.cost["seconds"]


def noise(folder):
    for split in ("train", "val", "test"):
        arrays = read_split(folder, split)
        rng = np.random.default_rng(99)
        arrays["images"] = rng.normal(1500, 100, arrays["images"].shape).astype(np.float32)
        write_split(folder, split, **arrays)


def shuffled_labels(folder):
    for split in ("train", "val", "test"):
        arrays = read_split(folder, split)
        arrays["kind"] = np.random.default_rng(5).permutation(arrays["kind"])
        arrays["mask"] = np.random.default_rng(5).permutation(arrays["mask"].reshape(len(arrays["mask"]), -1), axis=1)
        arrays["mask"] = arrays["mask"].reshape(-1, 16, 16)
        write_split(folder, split, **arrays)


def other_test_images(folder):
    arrays = read_split(folder, "test")
    arrays["images"] = arrays["images"][..., ::-1, ::-1] + 1
    write_split(folder, "test", **arrays)


CHANGES = [noise, shuffled_labels, other_test_images]


@pytest.mark.parametrize("task", ["kind", "mask"])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_data_are_computed_again(folder, task, change):
    first, _ = run_sweep(folder, task)
    again, text = run_sweep(folder, task)
    assert time_and_cost(again) == time_and_cost(first) and "1 stored" in text and "run again" not in text
    change(folder)
    _, plan = run_sweep(folder, task, dry=True)
    assert "0 stored" in plan and "run again" in plan and "changed since" in plan
    elsewhere, _ = run_sweep(folder, task, results="other")  # the cache is kept
    second, text = run_sweep(folder, task)
    assert "0 stored, 1 to do" in text and "the data of" in text and time_and_cost(second) != time_and_cost(first)
    assert second.digest == first.digest == elsewhere.digest
    assert score(second) == score(elsewhere)
    assert score(first) > 0.9
    if change is not other_test_images:
        assert score(second) < 0.8
    third, text = run_sweep(folder, task)
    assert "1 stored" in text and time_and_cost(third) == time_and_cost(second)


def test_one_edited_mask_among_many_is_noticed(folder):
    run_sweep(folder, "mask")
    for row in range(20):  # four of them are not among those whose images are hashed
        arrays = read_split(folder, "test")
        arrays["mask"][row, 0, 0] = 1
        write_split(folder, "test", **arrays)
        _, text = run_sweep(folder, "mask", dry=True)
        assert "the data of test changed since" in text
        arrays["mask"][row, 0, 0] = 0
        write_split(folder, "test", **arrays)
    _, text = run_sweep(folder, "mask", dry=True)
    assert "1 stored" in text


def test_a_copy_of_the_data_is_the_same_data(folder):
    """Fingerprints hold no times and no paths."""
    first, _ = run_sweep(folder, "mask")
    for split in ("train", "val", "test"):
        write_split(folder, split, **read_split(folder, split))
        os.utime(folder / "data" / "own" / f"{split}.npz", (1, 1))
    again, text = run_sweep(folder, "mask")
    assert time_and_cost(again) == time_and_cost(first) and "1 stored" in text


def test_data_without_a_folder_of_their_own_are_looked_at_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, suite_folder="")
    first, _ = run_sweep(tmp_path, "mask")
    noise(tmp_path)
    second, text = run_sweep(tmp_path, "mask")
    assert "the data of train, val, test changed since" in text and score(second) < score(first)


@pytest.mark.parametrize("file", ["geobench_models.py", "geobench_suites.py"])
@pytest.mark.parametrize("task", ["kind", "mask"])
def test_a_user_file_that_changes_is_another_model_or_suite(folder, file, task):
    first, _ = run_sweep(folder, task)
    path = folder / file
    changes = {
        "geobench_models.py": ("FACTOR = 1.0", "FACTOR = 0.0"),
        "geobench_suites.py": ('file["images"][index]', '(0 * file["images"][index] + 1500 + index % 3)'),
    }
    path.write_text(path.read_text().replace(*changes[file]))
    elsewhere, _ = run_sweep(folder, task, results="other")
    second, text = run_sweep(folder, task)
    assert "changed since" in text and time_and_cost(second) != time_and_cost(first)
    assert score(second) == score(elsewhere) < score(first)
    assert set(first.facts["user_files"]) == {"suite", "model"}


def test_a_record_without_fingerprints_is_taken_as_it_is(folder):
    """Those of version 0.1 hold none."""
    first, _ = run_sweep(folder, "kind")
    store = Store(folder / "results")
    facts = {name: value for name, value in first.facts.items() if name not in ("data", "labels", "user_files")}
    store.put(dataclasses.replace(first, facts=facts), dict(store.arrays(first)))
    noise(folder)
    again, text = run_sweep(folder, "kind")
    assert time_and_cost(again) == time_and_cost(first)
    assert "1 stored" in text and "1 stored runs state no fingerprint of their data" in text


def test_data_that_cannot_be_read_leave_what_is_stored(folder):
    """A file that is damaged now says nothing about the record; runs still to be done name it."""
    first, _ = run_sweep(folder, "mask")
    path = folder / "data" / "own" / "test.npz"
    arrays = read_split(folder, "test")
    np.savez(path, ids=arrays["ids"])
    again, text = run_sweep(folder, "mask")
    assert "1 stored" in text and time_and_cost(again) == time_and_cost(first)
    elsewhere, _ = run_sweep(folder, "mask", results="other")
    assert elsewhere.status == "failed" and "is not a file in the archive" in elsewhere.error
