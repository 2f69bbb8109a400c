"""UC Merced: what it must get right and refuse."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import MissingData
from suites.datasets.ucmerced import ARCHIVE, CLASSES, LISTS, SUITE
from tests.fixtures.datasets.ucmerced import NAMES, ODD, write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train"):
    return SUITE.open(root, "landuse", split, SUITE.bands)


def test_codes_follow_torchgeo():
    from torchgeo.datasets import UCMerced

    assert list(CLASSES) == sorted(CLASSES) == NAMES and len(CLASSES) == 21
    assert {split: file for split, (file, _) in LISTS.items()} == UCMerced.split_filenames
    assert {split: md5 for split, (_, md5) in LISTS.items()} == UCMerced.split_md5s
    assert (UCMerced.filename, UCMerced.md5) == ARCHIVE and SUITE.url == UCMerced.url


def test_pictures_and_codes(root):
    split = opened(root)
    index = list(split.ids).index("chaparral01")
    assert split[index].target == split.targets()[index] == 5
    assert split[index].images["rgb"][0, :, 9, 200].tolist() == [200, 100, 25]
    assert [len(opened(root, name)) for name in SUITE.splits] == [42, 21, 21]


@pytest.mark.parametrize(("name", "split"), [("harbor00", "train"), ("river02", "val")])
def test_smaller_pictures_are_brought_to_256(name, split, root):
    assert name in ODD
    data = opened(root, split)
    image = data[list(data.ids).index(name)].images["rgb"]
    assert image.shape == (1, 3, 256, 256)
    assert np.allclose(image[0, :, [0, 255], [0, 255]], [200, 100, 20 + NAMES.index(name[:-2])])


def test_absent_and_damaged_files_are_named(tmp_path):
    folder = write(tmp_path)
    images = folder / "UCMerced_LandUse" / "Images"
    (images / "river" / "river01.tif").unlink()
    with pytest.raises(MissingData, match=r"1 of 42 files .*river01\.tif"):
        opened(tmp_path)
    path = images / "agricultural" / "agricultural02.tif"
    path.write_bytes(path.read_bytes()[:700])
    Image.new("RGB", (128, 256)).save(images / "airplane" / "airplane02.tif")
    split = opened(tmp_path, "val")
    for index, file in ((0, "agricultural02"), (1, r"airplane02\.tif has \(128, 256\)")):
        with pytest.raises(MissingData, match=file):
            split[index]
    (folder / "uc_merced-test.txt").unlink()
    with pytest.raises(MissingData, match=r"uc_merced-test\.txt"):
        opened(tmp_path)


@pytest.mark.parametrize(("line", "message"), [("river00.tif", "river00 twice"), ("moon01.tif", "'moon' is no")])
def test_bad_lists_are_named(line, message, tmp_path):
    folder = write(tmp_path)
    with (folder / "uc_merced-test.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(MissingData, match=message):
        opened(tmp_path, "test")
