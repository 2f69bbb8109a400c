"""RESISC45: what it must get right and refuse."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import MissingData
from suites.datasets.resisc45 import ARCHIVE, CLASSES, LISTS, SUITE
from tests.fixtures.datasets.resisc45 import NAMES, write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train"):
    return SUITE.open(root, "scene", split, SUITE.bands)


def test_codes_follow_torchgeo():
    from torchgeo.datasets import RESISC45

    assert list(CLASSES) == sorted(CLASSES) == NAMES and len(CLASSES) == 45
    assert {split: md5 for split, (_, md5) in LISTS.items()} == RESISC45.split_md5s
    assert (RESISC45.filename, RESISC45.md5) == ARCHIVE and SUITE.url + ARCHIVE[0] == RESISC45.url


def test_pictures_and_codes(root):
    split = opened(root)
    index = list(split.ids).index("church_002")
    assert split[index].target == split.targets()[index] == 7
    assert np.allclose(split[index].images["rgb"][0, :, 9, 200], [200, 100, 48], atol=2)  # JPEG rounds
    assert [len(opened(root, name)) for name in SUITE.splits] == [90, 45, 45]
    assert list(split.blocks) == list(split.ids)


def test_absent_and_damaged_files_are_named(tmp_path):
    folder = write(tmp_path)
    (folder / "NWPU-RESISC45" / "lake" / "lake_002.jpg").unlink()
    with pytest.raises(MissingData, match=r"1 of 90 files .*lake_002\.jpg"):
        opened(tmp_path)
    path = folder / "NWPU-RESISC45" / "airplane" / "airplane_003.jpg"
    path.write_bytes(path.read_bytes()[:700])
    Image.new("RGB", (128, 128)).save(folder / "NWPU-RESISC45" / "airport" / "airport_003.jpg")
    split = opened(tmp_path, "val")
    for index, file in ((0, "airplane_003"), (1, "airport_003")):
        with pytest.raises(MissingData, match=file):
            split[index]
    (folder / "resisc45-test.txt").unlink()
    with pytest.raises(MissingData, match=r"resisc45-test\.txt"):
        opened(tmp_path)


@pytest.mark.parametrize(("line", "message"), [("lake_001.jpg", "lake_001 twice"), ("moon_001.jpg", "'moon' is no")])
def test_bad_lists_are_named(line, message, tmp_path):
    folder = write(tmp_path)
    with (folder / "resisc45-test.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(MissingData, match=message):
        opened(tmp_path, "test")
