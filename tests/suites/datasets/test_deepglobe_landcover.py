"""DeepGlobe Land Cover: what it must get right and refuse."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import MissingData
from suites.datasets.deepglobe_landcover import CLASSES, LISTS, SUITE
from tests.fixtures.datasets.deepglobe_landcover import COLOURS, write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


@pytest.fixture
def own(root, tmp_path):
    """A copy to change."""
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    return tmp_path


def opened(root, split="train"):
    return SUITE.open(root, "landcover", split, SUITE.bands)


def test_classes_and_colours_follow_torchgeo():
    from torchgeo.datasets import DeepGlobeLandCover

    assert (*CLASSES, "Unknown") == DeepGlobeLandCover.classes
    assert DeepGlobeLandCover.colormap == COLOURS


def test_tiles_cover_a_picture_once(root):
    split = opened(root)
    assert len(split) == 32 and split.ids[:5] == ["100694_0_0", "100694_0_1", "100694_0_2", "100694_0_3", "100694_1_0"]
    assert set(split.blocks) == {"100694", "10233"}, "one lies in torchgeo's test folder"
    for index in (0, 6, 13, 31):
        row, column = (int(word) for word in split.ids[index].split("_")[1:])
        sample = split[index]
        assert np.allclose(sample.images["rgb"][0, :, 300, 300], [10 * row, 10 * column, 90], atol=3)
        assert set(np.unique(sample.target)) == {row + column if row + column < 6 else -1}
    assert opened(root, "val").ids[0] == "102122_0_0" and opened(root, "test").ids[0] == "10452_0_0"
    split[0].target[:] = 9
    assert (split[0].target == 0).all(), "a sample is the caller's own"


def test_targets_say_what_each_tile_holds(root):
    held = opened(root, "val").targets()
    assert held.shape == (16, 6) and held.sum(axis=0).tolist() == [1, 2, 3, 4, 3, 2] and not held[15].any()


def test_lists_are_those_counted():
    assert sum(SUITE.splits.values()) == 803 * 16
    assert [count / 16 for count in SUITE.splits.values()] == [454, 207, 142]


@pytest.mark.parametrize("file", ["training_data/images/100694_sat.jpg", "test_data/masks/10233_mask.png"])
def test_absent_files_are_named(file, own):
    (own / SUITE.folder / "data" / file).unlink()
    with pytest.raises(MissingData, match=rf"1 of 4 files of train\.txt .*{file.rpartition('/')[2]}"):
        opened(own)
    (own / SUITE.folder / "crossvali.txt").unlink()
    with pytest.raises(MissingData, match=r"crossvali\.txt"):
        opened(own, "test")


def test_damaged_files_are_named(own):
    data = own / SUITE.folder / "data"
    path = data / "training_data" / "images" / "102122_sat.jpg"
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(MissingData, match=r"102122_sat\.jpg"):
        opened(own, "val")[3]
    Image.new("RGB", (2448, 1224)).save(data / "training_data" / "images" / "10452_sat.jpg")
    with pytest.raises(MissingData, match=r"10452_sat\.jpg has shape"):
        opened(own, "test")[3]


def test_colour_of_no_class_is_named(own):
    path = own / SUITE.folder / "data" / "training_data" / "masks" / "102122_mask.png"
    with Image.open(path) as file:
        mask = file.copy()
    mask.putpixel((7, 2000), (255, 0, 0))
    mask.save(path, compress_level=1)
    split = opened(own, "val")
    for read in (lambda: split[0], split.targets):
        with pytest.raises(MissingData, match=r"102122_mask\.png is red at row 2000, column 7"):
            read()


def test_picture_listed_twice_is_named(own):
    with (own / SUITE.folder / "test.txt").open("a") as file:
        file.write("10233_sat.jpg\n")
    with pytest.raises(MissingData, match="10233 twice: in train and in test"):
        opened(own)


def test_download_gets_the_lists_and_says_what_to_do(tmp_path):
    asked = []
    with pytest.raises(MissingData, match=r"needs a login.*training_data appears"):
        SUITE.download(tmp_path, lambda url, path, *, md5: asked.append((url, path.name, md5)))
    assert [row[1:] for row in asked] == list(LISTS.values())
    assert all(url.startswith("https://") and url.endswith(name) for url, name, _ in asked)
