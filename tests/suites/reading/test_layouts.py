"""Folders of classes and one-hot codes, by the suites that use them."""

from __future__ import annotations

import zipfile

import pytest

from bench.core.errors import MissingData
from tests.builders.downloads import Recorder, served_by, zipped
from tests.builders.suites import suite_of, write


def copy_of(tmp_path):
    write("eurosat", tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("name", ["eurosat", "eurosat_rgb"])
def test_sample_listed_in_two_splits_is_an_error(name, tmp_path):
    folder = write(name, tmp_path)
    with (folder / "eurosat-test.txt").open("a") as file:
        file.write("River_1.jpg\n")
    suite = suite_of(name)
    with pytest.raises(MissingData, match=r"River_1 twice: in train and in test"):
        suite.open(tmp_path, suite.tasks[0].name, "val", suite.bands)


@pytest.mark.parametrize("name", ["eurosat", "eurosat_rgb"])
def test_unknown_class_is_named(name, tmp_path):
    folder = write(name, tmp_path)
    with (folder / "eurosat-train.txt").open("a") as file:
        file.write("Glacier_1.jpg\n")
    suite = suite_of(name)
    with pytest.raises(MissingData, match="Glacier"):
        suite.open(tmp_path, suite.tasks[0].name, "train", suite.bands)


def test_broken_archive_leaves_nothing_that_looks_whole(tmp_path):
    copies = copy_of(tmp_path)
    whole = zipped(copies / "eurosat", tmp_path, "ds")
    suite = suite_of("eurosat")
    served = served_by(copies / "eurosat")
    for damaged in (whole[:-400], whole[:200] + b"\0" * 2000 + whole[2200:]):
        with pytest.raises(MissingData, match=r"EuroSATallBands\.zip"):
            suite.download(tmp_path / "new", Recorder({**served, "EuroSATallBands.zip": damaged}))
        assert not (tmp_path / "new" / "eurosat" / "ds").exists()


def test_archive_that_reaches_outside_is_refused(tmp_path):
    copies = copy_of(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("../../evil.txt", "x")
    served = {**served_by(copies / "eurosat"), "EuroSATallBands.zip": (tmp_path / "a.zip").read_bytes()}
    with pytest.raises(MissingData, match="evil"):
        suite_of("eurosat").download(tmp_path / "new", Recorder(served))
    assert not list(tmp_path.rglob("evil.txt"))
