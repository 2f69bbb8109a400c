"""A suite's data are held against its facts before anything runs, and fetched only where nothing is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from bench.config import RunConfig
from bench.core import BadSetting, MissingData, Sample
from bench.input.splits import Splits
from bench.sweeps.opening import check_data, open_data
from tests.builders.suite_and_model import BANDS, COUNTS, ToySplit, toy_suite

OUT = Console(file=io.StringIO(), markup=False)


def config(folder, **more) -> RunConfig:
    return RunConfig(**{"suite": "toy", "data": folder, **more})


def test_other_numbers_of_samples_than_declared_are_a_note(tmp_path):
    suite = toy_suite(splits={**COUNTS, "train": 130})
    notes = check_data(Splits(suite=suite, root=tmp_path), suite.bands, suite.tasks)
    hint = "is the download complete? download again, or correct splits= in the suite's file"
    assert notes == [f"split train: 120 samples are there, 130 are declared; {hint}"]


@pytest.mark.parametrize(("split", "use"), [("train", "learn from"), ("val", "learn from"), ("test", "score")])
def test_an_empty_split_is_refused(split, use, tmp_path):
    def open_split(root, task, name, bands):
        return ToySplit(task, name, 0 if name == split else 5, bands)

    suite = toy_suite(open=open_split)
    with pytest.raises(BadSetting, match=f"split {split} holds no sample: there is nothing to {use}"):
        check_data(Splits(suite=suite, root=tmp_path), suite.bands, suite.tasks)


def test_images_without_a_time_axis_are_refused(tmp_path):
    class Flat(ToySplit):
        def __getitem__(self, index):
            return Sample(images={"s2": np.zeros((2, 16, 16), np.float32)}, target=0)

    suite = toy_suite(open=lambda root, task, name, bands: Flat(task, name, 5, bands))
    with pytest.raises(BadSetting, match=r"split train, sample train_0: s2 has shape \(2, 16, 16\).*time axis"):
        check_data(Splits(suite=suite, root=tmp_path), suite.bands, suite.tasks)


def test_a_sample_that_cannot_be_read_is_left_to_its_run(tmp_path):
    class Broken(ToySplit):
        def __getitem__(self, index):
            raise OSError("cut short")

    suite = toy_suite(open=lambda root, task, name, bands: Broken(task, name, COUNTS[name], bands))
    assert check_data(Splits(suite=suite, root=tmp_path), suite.bands, suite.tasks) == []


def fetching(calls: list, *, fails: bool = False):
    def open_split(root, task, name, bands):
        if not (root / "toy" / "data").exists():
            raise MissingData(f"toy not found under {root}")
        return ToySplit(task, name, 5, bands)

    def download(root, fetch):
        calls.append(root)
        if fails:
            raise MissingData("no connection")
        (root / "toy" / "data").touch()

    return toy_suite(open=open_split, download=download, folder="toy")


def test_missing_data_are_fetched_where_there_is_no_folder(tmp_path):
    calls: list = []
    open_data(fetching(calls), config(tmp_path), BANDS, OUT, may_fetch=True)
    assert calls == [tmp_path]
    open_data(fetching(calls), config(tmp_path), BANDS, OUT, may_fetch=True)
    assert calls == [tmp_path]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "toy").mkdir()
    calls: list = []
    for more in ({"may_fetch": True}, {"may_fetch": False}):
        with pytest.raises(MissingData, match="toy not found"):
            open_data(fetching(calls), config(tmp_path), BANDS, OUT, **more)
    assert calls == []


def test_a_download_that_broke_off_is_taken_up(tmp_path):
    calls: list = []
    with pytest.raises(MissingData, match=r"toy not found under .*\nand it cannot be fetched: no connection"):
        open_data(fetching(calls, fails=True), config(tmp_path), BANDS, OUT, may_fetch=True)
    open_data(fetching(calls), config(tmp_path), BANDS, OUT, may_fetch=True)
    assert len(calls) == 2


@pytest.mark.parametrize("more", [{"may_fetch": False}, {"may_fetch": True, "download": False}])
def test_nothing_is_fetched_where_that_is_not_allowed(more, tmp_path):
    calls: list = []
    may = more.pop("may_fetch")
    with pytest.raises(MissingData):
        open_data(fetching(calls), config(tmp_path, **more), BANDS, OUT, may_fetch=may)
    assert calls == []
