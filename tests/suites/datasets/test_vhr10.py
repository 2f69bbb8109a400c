"""VHR-10: COCO boxes on tiles, no object lost, own split by image, unsound boxes refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.vhr10 import SUITE
from tests.fixtures.datasets.vhr10 import IMAGES, write, write_boxes

TOP = "NWPU VHR-10 dataset"


def open_(root, split, bands=SUITE.bands):
    return SUITE.open(root, "objects", split, bands)


def by_id(root):
    opened = [open_(root, name) for name in SUITE.splits]
    return {name: split[i] for split in opened for i, name in enumerate(split.ids)}


def test_tiles_boxes_and_classes(tmp_path):
    write(tmp_path)
    samples = by_id(tmp_path)
    assert len(samples) == 4 + 4 + 2 + 4 + 1 + 2
    assert samples["001_0_1"].target["boxes"].tolist() == [[51, 485, 117, 512], [0, 10, 28, 30]], (
        "[x, y, width, height]"
    )
    assert samples["001_0_1"].target["labels"].tolist() == [0, 9]
    assert samples["001_1_1"].target["boxes"].tolist() == [[51, 0, 117, 59]]
    assert samples["001_0_0"].target["boxes"].tolist() == [[500, 10, 512, 30]], "three tenths of the vehicle"
    assert samples["001_1_0"].target["boxes"].shape == (0, 4)
    assert samples["003_0_0"].target["labels"].tolist() == [6, 8] and samples["003_0_1"].target["labels"].tolist() == [
        6
    ]
    assert samples["003_0_1"].target["boxes"].tolist() == [[0, 100, 21, 120]]
    image = samples["003_0_1"].images["rgb"][0]
    assert np.isfinite(image[:, :358, :21]).all() and np.isnan(image[:, 358:]).all() and np.isnan(image[..., 21:]).all()
    assert np.allclose(image[:, 0, 0], [200, 100, 20], atol=2)
    seen = sum(np.isfinite(sample.images["rgb"][0, 0]).sum() for sample in samples.values())
    assert seen == sum(tall * wide for (tall, wide), _ in IMAGES.values())


def test_colours_come_as_asked(tmp_path):
    write(tmp_path)
    image = open_(tmp_path, "train", (SUITE.bands[2], SUITE.bands[0]))[0].images["rgb"]
    assert np.allclose(image[0, :, 0, 0], [20, 200], atol=2)


def test_tiles_of_an_image_are_in_one_split(tmp_path):
    write(tmp_path)
    blocks = [set(open_(tmp_path, name).blocks) for name in SUITE.splits]
    assert sum(map(len, blocks)) == len(set().union(*blocks)) == len(IMAGES)


@pytest.mark.parametrize("box", [[940, 0, 20, 10, 1], [-1, 0, 10, 10, 1], [5, 5, 0, 10, 1], [5, 800, 10, 9, 1]])
def test_unsound_box_is_named(box, tmp_path):
    write_boxes(write(tmp_path), {**IMAGES, "001": ((808, 958), [box])})
    with pytest.raises(MissingData, match=r"annotations\.json has for 001\.jpg the box"):
        open_(tmp_path, "train")


@pytest.mark.parametrize("category", [0, 11])
def test_unknown_category_is_named(category, tmp_path):
    write_boxes(write(tmp_path), {**IMAGES, "001": ((808, 958), [[1, 1, 5, 5, category]])})
    with pytest.raises(MissingData, match=f"the category {category}"):
        open_(tmp_path, "train")


@pytest.mark.parametrize("file", ["annotations.json", "positive image set/001.jpg"])
def test_absent_file_is_named(file, tmp_path):
    (write(tmp_path) / TOP / file).unlink()
    with pytest.raises(MissingData, match=file.rpartition("/")[2]):
        open_(tmp_path, "train")


@pytest.mark.parametrize("file", ["annotations.json", "positive image set/001.jpg"])
def test_truncated_file_is_named(file, tmp_path):
    path = write(tmp_path) / TOP / file
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MissingData, match=path.name):
        open_(tmp_path, "train")[0]


def test_image_of_another_size_is_named(tmp_path):
    write_boxes(write(tmp_path), {**IMAGES, "001": ((800, 958), [])})
    with pytest.raises(MissingData, match=r"001\.jpg has shape"):
        open_(tmp_path, "train")[0]


def test_image_listed_twice_is_named(tmp_path):
    path = write_boxes(write(tmp_path))
    path.write_text(path.read_text().replace("002.jpg", "001.jpg"))
    with pytest.raises(MissingData, match="001 twice"):
        open_(tmp_path, "train")


def test_download_asks_for_both_archives(tmp_path):
    folder = write(tmp_path / "served")
    asked = []

    def fetch(url, path, *, sha256="", md5=""):
        asked.append((url.rpartition("/")[2], len(md5)))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            path.write_bytes((folder / TOP / path.name).read_bytes())
        else:
            shutil.make_archive(str(path.with_suffix("")), "zip", folder)
        return path

    SUITE.download(tmp_path, fetch)
    assert asked == [("NWPU%20VHR-10%20dataset.zip", 32), ("annotations.json", 32)]
    assert open_(tmp_path, "train").ids == open_(tmp_path / "served", "train").ids
