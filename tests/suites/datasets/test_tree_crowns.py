"""Tree crowns: tiles cover each pixel once, no crown is lost, and unsound boxes are refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import MissingData
from suites.datasets.tree_crowns import KEPT, SUITE
from suites.reading.boxes import cut_boxes
from tests.fixtures.datasets.tree_crowns import IMAGES, write, write_xml

YELL = "2019_YELL_2_541000_4977000_image_crop"


def open_(root, split, bands=SUITE.bands):
    return SUITE.open(root, "crowns", split, bands)


def test_tiles_and_crowns(tmp_path):
    write(tmp_path)
    splits = {name: open_(tmp_path, name) for name in SUITE.splits}
    assert {name: len(split) for name, split in splits.items()} == SUITE.splits
    places = {name: [identifier.removeprefix(f"{YELL}_") for identifier in split.ids] for name, split in splits.items()}
    assert places["train"] == ["0_0", "0_1", "0_2", "0_3", "1_0", "1_1"] and places["val"] == ["1_2", "1_3"]
    assert places["test"] == ["2_0", "2_1", "2_2", "2_3"]
    tiles = {place: splits[name][i] for name in ("train", "val", "test") for i, place in enumerate(places[name])}
    boxes = {place: sample.target["boxes"].tolist() for place, sample in tiles.items()}
    assert boxes["0_0"] == [[380, 390, 400, 400], [350, 10, 400, 30]], "the crown across the cut goes with its most"
    assert boxes["0_1"] == [[0, 390, 20, 400]] and boxes["1_0"] == [[380, 0, 400, 10]]
    assert boxes["1_1"] == [[0, 0, 20, 10]] and boxes["2_3"] == [[29, 200, 49, 235]]
    assert sum(split.targets().sum() for name, split in splits.items() if name in ("train", "val", "test")) == 5
    corner = tiles["2_3"].images["rgb"][0]
    assert np.isfinite(corner[:, :235, :49]).all()
    assert np.isnan(corner[:, 235:]).all() and np.isnan(corner[:, :, 49:]).all()
    assert sum(np.isfinite(sample.images["rgb"][0, 0]).sum() for sample in tiles.values()) == 1035 * 1249
    assert len(set(splits["test"].blocks)) == 4 and splits["ordway"].blocks == ["OSBS_029"]


def test_colours_come_as_asked(tmp_path):
    write(tmp_path)
    test = open_(tmp_path, "ordway", (SUITE.bands[2], SUITE.bands[0]))
    assert test[0].images["rgb"][0, :, 5, 5].tolist() == [22, 200]
    assert test[0].target["boxes"].tolist() == [[203, 67, 227, 90], [365, 1, 400, 27]]
    assert open_(tmp_path, "soaproot")[0].target["labels"].tolist() == [0, 0], "dead or alive, a crown"


def test_a_crown_larger_than_a_tile_is_kept():
    tiles = cut_boxes(np.array([[0, 0, 50, 50]], np.float32), (50, 50), 10, KEPT)
    assert len(tiles) == 25 and sum(len(which) for which, _ in tiles.values()) == 1


def test_further_images_from_csv_are_split_by_their_name(tmp_path):
    folder = write(tmp_path)
    Image.new("RGB", (100, 90), (1, 2, 3)).save(folder / "more.png")
    (folder / "more.csv").write_text("image_path,xmin,ymin,xmax,ymax,label\nmore.png,1,2,30,40,Tree\n")
    identifiers = {
        name: [identifier for identifier in open_(tmp_path, name).ids if identifier == "more_0_0"]
        for name in SUITE.splits
    }
    assert sum(map(len, identifiers.values())) == 1
    (folder / "more.png").unlink()
    with pytest.raises(MissingData, match=r"more\.png"):
        open_(tmp_path, "train")


@pytest.mark.parametrize("box", [(390, 10, 401, 20), (-1, 10, 20, 20), (10, 10, 10, 20), (10, 30, 20, 30)])
def test_unsound_box_is_named(box, tmp_path):
    folder = write(tmp_path)
    write_xml(folder / "SOAP_061.xml", "SOAP_061.png", (400, 400), [(*box, "Dead")])
    with pytest.raises(MissingData, match=rf"SOAP_061\.xml has the box \({float(box[0])}, "):
        open_(tmp_path, "train")


def test_unknown_label_is_named(tmp_path):
    folder = write(tmp_path)
    write_xml(folder / "SOAP_061.xml", "SOAP_061.png", (400, 400), [(1, 2, 3, 4, "Shrub")])
    with pytest.raises(MissingData, match="Shrub"):
        open_(tmp_path, "soaproot")


@pytest.mark.parametrize("name", [*IMAGES, "SOAP_061.xml", "OSBS_029.xml"])
def test_absent_file_is_named(name, tmp_path):
    (write(tmp_path) / name).unlink()
    with pytest.raises(MissingData, match=name.partition(".")[0]):
        open_(tmp_path, "train")


@pytest.mark.parametrize("name", ["OSBS_029.tif", "OSBS_029.xml"])
def test_truncated_file_is_named(name, tmp_path):
    path = write(tmp_path) / name
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(MissingData, match=name):
        open_(tmp_path, "ordway")[0]


def test_image_of_another_size_than_its_boxes_is_named(tmp_path):
    Image.new("RGB", (300, 400)).save(write(tmp_path) / "SOAP_061.png")
    with pytest.raises(MissingData, match=r"SOAP_061\.png has shape"):
        open_(tmp_path, "soaproot")[0]


def test_download_is_what_open_reads(tmp_path):
    folder = write(tmp_path / "served")

    def fetch(url, path, *, sha256="", md5=""):
        assert len(sha256) == 64 and url.endswith(path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((folder / path.name).read_bytes())
        return path

    SUITE.download(tmp_path, fetch)
    assert open_(tmp_path, "test").ids == open_(tmp_path / "served", "test").ids


@pytest.mark.shared
def test_real_images(shared):
    splits = {name: open_(shared / "data", name) for name in SUITE.splits}
    assert {name: len(split) for name, split in splits.items()} == dict(SUITE.splits)
    assert [len(splits[name][0].target["boxes"]) for name in ("soaproot", "ordway")] == [37, 61]
    known = ("train", "val", "test")
    crowns = [splits[name][i].target["boxes"] for name in known for i in range(len(splits[name]))]
    assert 279 <= sum(map(len, crowns)) < 350
    assert all((boxes[:, 2:] > boxes[:, :2]).all() and boxes.max() <= 400 for boxes in crowns)
    for split in splits.values():
        image = split[0].images["rgb"]
        assert image.shape == (1, 3, 400, 400) and 30 < np.nanmean(image) < 200
