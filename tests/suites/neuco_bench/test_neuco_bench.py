"""NeuCo-Bench: what its two suites must get right and refuse."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.neuco_bench._reader import CUBES, HOW, split_of
from tests.builders.suites import suite_module
from tests.fixtures.neuco_bench import _shared as tiny

NAMES = ("neuco_bench", "neuco_bench_l1c")


def suite_of(name):
    return suite_module(name).SUITE


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    tiny.write(path, tuple(tiny.KINDS))
    return path


def opened(root, name="neuco_bench", task="crops", split="train", bands=()):
    known = {band.name: band for band in suite_of(name).bands}
    return suite_of(name).open(root, task, split, tuple(known[band] for band in bands) or suite_of(name).bands)


@pytest.mark.parametrize(("name", "band", "place"), [
    ("neuco_bench", "s2.b09", 9), ("neuco_bench", "s2.b11", 10), ("neuco_bench_l1c", "s2.b10", 10),
    ("neuco_bench_l1c", "s2.b8a", 8),
])  # fmt: skip
def test_each_band_and_season_from_its_place(name, band, place, root):
    sample = opened(root, name, bands=("s1.vh", band))[1]
    assert sample.images["s2"][:, 0, 99, 99].tolist() == [1000 * (t + 1) + 10 * place + 1 for t in range(4)]
    assert sample.images["s1"][:, 0, 99, 99].tolist() == [-17, -18, -19, -20]
    assert sample.when.tolist() == [[-1, 4, -1], [-1, 7, -1], [-1, 10, -1], [-1, 1, -1]]
    assert np.isnan(sample.images["s2"][..., :2, :]).all() and np.isnan(sample.images["s1"][..., :2, :]).all()
    assert np.isfinite(sample.images["s2"][..., 2:, :]).all()


def test_each_task_reads_its_own_labels(root):
    tasks = [task.name for task in suite_of("neuco_bench").tasks]
    targets = [opened(root, task=task).targets().tolist() for task in tasks]
    assert targets == [[[100 * number + 0.5], [100 * number + 1.5]] for number in range(8)]
    assert all(isinstance(value, np.float32) for value in opened(root)[0].target)


def test_one_split_for_all_tasks(root):
    for name in NAMES:
        for task in suite_of(name).tasks:
            assert [list(opened(root, name, task.name, s).ids) for s in ("train", "val", "test")] == [
                ["cube_a", "cube_c"], ["cube_r"], ["cube_b"],
            ]  # fmt: skip
    drawn = [split_of(f"place_{number}") for number in range(5000)]
    assert [round(drawn.count(split) / 5000, 1) for split in ("train", "val", "test")] == [0.8, 0.1, 0.1]
    assert dict(suite_of("neuco_bench").splits) == {"train": 10608, "val": 1326, "test": 1326}
    assert sum(suite_of("neuco_bench").splits.values()) == CUBES


def test_what_is_not_asked_for_need_not_be_there(tmp_path):
    folder = tiny.write(tmp_path, ("s2l2a",))
    assert len(opened(tmp_path, bands=("s2.b02",))) == 2
    with pytest.raises(MissingData, match=r"2 of 2 files .*crops__regr\.csv.*s1/part-\*/cube_a\.zarr\.zip"):
        opened(tmp_path)
    next(folder.rglob("cube_c.zarr.zip")).unlink()
    with pytest.raises(MissingData, match=r"1 of 2 files .*cube_c\.zarr\.zip"):
        opened(tmp_path, bands=("s2.b02",))
    (folder / "labels" / "crops__regr.csv").unlink()
    with pytest.raises(MissingData, match=r"crops__regr\.csv is absent"):
        opened(tmp_path, bands=("s2.b02",))


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_a_truncated_cube_is_named(keep, tmp_path):
    path = next(tiny.write(tmp_path, ("s2l2a",)).rglob("cube_a.zarr.zip"))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(MissingData, match=r"cube_a\.zarr\.zip"):
        opened(tmp_path, bands=("s2.b02",))[0]


def test_a_damaged_cube_or_one_of_another_shape_is_named(tmp_path):
    path = next(tiny.write(tmp_path, ("s2l2a",)).rglob("cube_a.zarr.zip"))
    whole = bytearray(path.read_bytes())
    whole[200:400] = bytes(200)
    path.write_bytes(whole)
    with pytest.raises(MissingData, match=r"cube_a\.zarr\.zip"):
        opened(tmp_path, bands=("s2.b02",))[0]
    tiny.write_cube(path, np.ones((1, 4, 13, 264, 264), np.uint16))
    with pytest.raises(MissingData, match=re.escape("(1, 4, 13, 264, 264), expected (4, 12, 264, 264)")):
        opened(tmp_path, bands=("s2.b02",))[0]
    tiny.write_cube(path, np.ones((4, 12, 264, 264), np.uint16))
    assert opened(tmp_path, bands=("s2.b02",))[0].images["s2"].shape == (4, 1, 264, 264)


@pytest.mark.parametrize(("row", "match"), [
    ("cube_a,7,True", "cube_a is listed twice"), ("cube_e,much,True", "'much' is not a number"),
    ("cube_e,nan,True", "not a finite number"),
])  # fmt: skip
def test_labels_that_make_no_sense_are_named(row, match, tmp_path):
    path = tiny.write(tmp_path, ("s2l2a",)) / "labels" / "crops__regr.csv"
    path.write_text(f"{path.read_text()}{row}\n")
    with pytest.raises(MissingData, match=match):
        opened(tmp_path, bands=("s2.b02",))
    path.write_text("name,value\na,1\n")
    with pytest.raises(MissingData, match="has no column 'id', expected id, label"):
        opened(tmp_path, bands=("s2.b02",))


def test_download_says_what_to_do(tmp_path):
    with pytest.raises(MissingData, match=re.escape(HOW)):
        suite_of("neuco_bench").download(tmp_path, None)
