"""DIOR: the authors' lists and names, boxes from VOC, unsound files refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import MissingData
from suites.datasets.dior import ANNOTATIONS, CLASSES, SUITE
from tests.fixtures.datasets.dior import SPLITS, write, write_xml


def open_(root, split="train", bands=SUITE.bands):
    return SUITE.open(root, "objects", split, bands)


def test_lists_boxes_and_classes(tmp_path):
    write(tmp_path)
    for name, ids in SPLITS.items():
        assert tuple(open_(tmp_path, name).ids) == ids
    train, test = open_(tmp_path), open_(tmp_path, "test")
    assert train[0].target["boxes"].tolist() == [[133, 237, 684, 672]]
    assert [CLASSES[code] for code in train[1].target["labels"]] == ["expresswayservicearea", "vehicle"]
    assert test[1].target["boxes"].shape == (0, 4) and test.targets().sum(axis=1).tolist() == [2, 0]
    assert test.targets()[0].tolist() == [1] + [0] * 18 + [1]


def test_colours_come_as_asked(tmp_path):
    write(tmp_path)
    image = open_(tmp_path, bands=(SUITE.bands[2], SUITE.bands[0]))[0].images["rgb"]
    assert image.shape == (1, 2, 800, 800) and np.allclose(image[0, :, 0, 0], [20, 200], atol=2)


def test_lists_may_lie_beside_the_images(tmp_path):
    folder = write(tmp_path)
    (folder / "ImageSets" / "Main").rename(folder / "Main")
    (folder / "ImageSets").rmdir()
    assert len(open_(tmp_path)) == 2


@pytest.mark.parametrize("box", [(1, 1, 801, 5), (-1, 1, 5, 5), (7, 1, 7, 5), (1, 9, 5, 3)])
def test_unsound_box_is_named(box, tmp_path):
    write_xml(write(tmp_path) / ANNOTATIONS / "00001.xml", [(*box, "ship")])
    for use in (lambda split: split[0], lambda split: split.targets()):
        with pytest.raises(MissingData, match=rf"00001\.xml has the box \({float(box[0])}, "):
            use(open_(tmp_path))


def test_unknown_class_is_named(tmp_path):
    write_xml(write(tmp_path) / ANNOTATIONS / "00001.xml", [(1, 1, 5, 5, "submarine")])
    with pytest.raises(MissingData, match="submarine"):
        open_(tmp_path).targets()


@pytest.mark.parametrize(
    "file", ["ImageSets/Main/val.txt", "JPEGImages-trainval/00003.jpg", f"{ANNOTATIONS.as_posix()}/00003.xml"]
)
def test_absent_file_is_named(file, tmp_path):
    (write(tmp_path) / file).unlink()
    with pytest.raises(MissingData, match=file.rpartition("/")[2]):
        open_(tmp_path)


@pytest.mark.parametrize("file", ["JPEGImages-trainval/00001.jpg", f"{ANNOTATIONS.as_posix()}/00001.xml"])
def test_truncated_file_is_named(file, tmp_path):
    path = write(tmp_path) / file
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(MissingData, match=path.name):
        open_(tmp_path)[0]


def test_image_of_another_size_is_named(tmp_path):
    Image.new("RGB", (800, 799)).save(write(tmp_path) / "JPEGImages-trainval" / "00001.jpg")
    with pytest.raises(MissingData, match=r"00001\.jpg has shape"):
        open_(tmp_path)[0]


def test_image_in_two_lists_is_named(tmp_path):
    with (write(tmp_path) / "ImageSets" / "Main" / "test.txt").open("a") as file:
        file.write("00001\n")
    with pytest.raises(MissingData, match="00001 twice: in train and in test"):
        open_(tmp_path)


def test_download_says_what_to_do(tmp_path):
    with pytest.raises(MissingData, match=r"drive\.google\.com.*lacks the boxes of the test images"):
        SUITE.download(tmp_path, lambda *_, **__: tmp_path)
