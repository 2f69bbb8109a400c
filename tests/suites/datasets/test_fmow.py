"""fMoW: what it must get right and refuse."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import MissingData
from suites.datasets.fmow import CLASSES, MAPPING, SUITE
from tests.fixtures.datasets.fmow import BOX, CODES, NAMES, SIZE, note, write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train"):
    return SUITE.open(root, "landuse", split, SUITE.bands)


def test_splits_ids_and_codes(root):
    assert len(CLASSES) == len(set(CLASSES)) == 62 and [CLASSES.index(name) for name in NAMES] == list(CODES)
    train = opened(root)
    assert train.ids[:5] == ["train_airport_0_0", "train_airport_0_1", "train_airport_0_10", "train_airport_1_0",
                             "train_car_dealership_0_0"]  # fmt: skip
    assert list(train.blocks[:4]) == ["train_airport_0"] * 3 + ["train_airport_1"]
    assert train.targets().tolist()[:5] == [0, 0, 0, 0, 9]
    assert sorted(opened(root, "val").targets()) == sorted(opened(root, "test").targets()) == list(CODES)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_box_fills_the_picture(split, root):
    data = opened(root, split)
    for index, code in enumerate(data.targets()):
        image = data[index].images["rgb"][0]
        assert np.allclose(image.mean(axis=(1, 2)), [20, 200, 60 + CODES.index(code)], atol=3), data.ids[index]
        assert image.std(axis=(1, 2)).max() < 3


def test_dates_and_places(root):
    sample = opened(root, "test")[0]
    assert sample.when.tolist() == [[2016, 3, 9]] and np.allclose(sample.where, [10.1, 50.05])
    assert opened(root)[0].where is None, "the challenge's files do not say where"


@pytest.mark.parametrize(("box", "left"), [
    ([0, 0, 20, 60], 0), ([SIZE[0] - 20, 0, 40, 60], SIZE[0] - 60), ([-10, 0, 30, 50], 0), ([100, 0, 50, 60], 95),
])  # fmt: skip
def test_square_is_moved_into_the_picture(box, left, tmp_path):
    folder = write(tmp_path) / "train" / "zoo" / "zoo_0"
    ramp = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    ramp[..., 0] = np.arange(SIZE[0]) // 2
    Image.fromarray(ramp).save(folder / "zoo_0_0_rgb.jpg", quality=100, subsampling=0)
    (folder / "zoo_0_0_rgb.json").write_text(json.dumps(note("zoo", truth=False, box=box)))
    data = opened(tmp_path)
    across = data[list(data.ids).index("train_zoo_0_0")].images["rgb"][0, 0, 100]
    side = max(box[2:])
    assert np.allclose([across[0] * 2, across[-1] * 2], [left, left + side], atol=4)


def test_wider_than_the_picture_takes_all_of_it(tmp_path):
    folder = write(tmp_path) / "train" / "zoo" / "zoo_0"
    (folder / "zoo_0_0_rgb.json").write_text(json.dumps(note("zoo", truth=False, box=[0, 0, *SIZE])))
    data = opened(tmp_path)
    image = data[list(data.ids).index("train_zoo_0_0")].images["rgb"][0]
    assert image.shape == (3, 224, 224)
    assert (image[0] < 110).mean() == pytest.approx((BOX[2] + 16) * (BOX[3] + 56) / (SIZE[0] * SIZE[1]), rel=0.05)


@pytest.mark.parametrize("gone", ["rgb.jpg", "rgb.json"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_half_a_pair_is_named(gone, split, tmp_path):
    folder = write(tmp_path)
    places = {"train": "train/zoo/zoo_1/zoo_1_0_", "test": "test/0000005/0000005_0_"}
    if (split, gone) == ("test", "rgb.json"):
        places["test"] = "test_gt/zoo/zoo_3/zoo_3_0_"
    (folder / f"{places[split]}{gone}").unlink()
    with pytest.raises(MissingData, match=rf"fmow is incomplete: .*_0_{gone}"):
        opened(tmp_path, split)
    assert len(opened(tmp_path, "val")) == 6


def test_absent_lists_and_folders_are_named(tmp_path):
    folder = write(tmp_path)
    (folder / MAPPING).unlink()
    shutil.rmtree(folder / "val")
    for split, text in (("test", MAPPING), ("val", "val is absent")):
        with pytest.raises(MissingData, match=text):
            opened(tmp_path, split)
    (folder / "train" / "glacier" / "glacier_0").mkdir(parents=True)
    with pytest.raises(MissingData, match="'glacier' is no class"):
        opened(tmp_path)


def test_place_listed_twice_is_named(tmp_path):
    path = write(tmp_path) / MAPPING
    path.write_text(json.dumps(json.loads(path.read_text()) * 2))
    with pytest.raises(MissingData, match="test_airport_3_0 twice"):
        opened(tmp_path, "test")


@pytest.mark.parametrize(("facts", "message"), [
    ({"bounding_boxes": []}, "no box of airport"),
    (note("zoo", truth=True), "no box of airport"),
    ({}, "expected usable bounding_boxes"),
    (note("airport", truth=False, box=[5, 5, 0, 9]), r"the box \[5, 5, 0, 9\] has no area"),
    (note("airport", truth=False, box=[400, 5, 9, 9]), r"0_0_rgb\.jpg has 400 x 300 pixels, its box .* outside"),
    (None, r"cannot read .*airport_0_0_rgb\.json"),
])  # fmt: skip
def test_bad_boxes_are_named(facts, message, tmp_path):
    path = write(tmp_path) / "train" / "airport" / "airport_0" / "airport_0_0_rgb.json"
    path.write_text(json.dumps(facts) if facts is not None else path.read_text()[:50])
    split = opened(tmp_path)
    assert split[1].target == 0
    with pytest.raises(MissingData, match=message):
        split[0]


def test_one_box_alone_and_grey_pictures_are_read(tmp_path):
    folder = write(tmp_path) / "train" / "airport" / "airport_0"
    facts = note("airport", truth=False)
    (folder / "airport_0_0_rgb.json").write_text(json.dumps(facts | {"bounding_boxes": facts["bounding_boxes"][0]}))
    Image.new("L", SIZE, 77).save(folder / "airport_0_0_rgb.jpg")
    assert np.allclose(opened(tmp_path)[0].images["rgb"], 77, atol=2)


@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_truncated_picture_is_named(keep, tmp_path):
    path = write(tmp_path) / "train" / "airport" / "airport_0" / "airport_0_0_rgb.jpg"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(MissingData, match=r"airport_0_0_rgb\.jpg"):
        opened(tmp_path)[0]


def test_download_says_what_to_do(tmp_path):
    with pytest.raises(MissingData, match=r"s3://spacenet-dataset.*groundtruth\.tar\.bz2"):
        SUITE.download(tmp_path, None)
