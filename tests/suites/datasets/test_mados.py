"""MADOS: what it must get right and refuse."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.mados import BANDS, CLASSES, SUITE
from tests.builders.rasters import write_tif
from tests.fixtures.datasets.mados import SPLITS, write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train", bands=BANDS):
    return SUITE.open(root, "surface", split, bands)


def test_splits_are_the_publishers(root):
    assert {name: tuple(opened(root, name).ids) for name in SUITE.splits} == SPLITS
    assert opened(root).blocks == ["Scene_0", "Scene_0", "Scene_3"]
    assert sum(SUITE.splits.values()) == 2803 and len(CLASSES) == 15


@pytest.mark.parametrize("index", [0, 2])
def test_bands_of_either_satellite_at_10_m(index, root):
    image = opened(root)[index].images["s2"][0]
    assert image[:, 99, 99] == pytest.approx(0.01 * np.arange(1, 12))
    for band, values in zip(BANDS, image, strict=True):
        times = int(band.gsd_m // 10)
        assert (values[:times, :times] == 0.5).all() and np.isnan(values[:times, times : 2 * times]).all(), band.name
        assert np.isfinite(values[:, 2 * times :]).all()
    picked = opened(root, bands=(BANDS[8], BANDS[0]))[index].images["s2"][0, :, 99, 99]
    assert picked == pytest.approx([0.09, 0.01])


def test_codes(root):
    split = opened(root)
    assert split[0].target[100, :17].tolist() == [*range(-1, 15), -1]
    assert (split[0].target[:100] == -1).all()
    assert split.targets().tolist() == [[1] * 15, [int(name == "oil spill") for name in CLASSES], [1] * 15]


@pytest.mark.parametrize(("file", "message"), [
    ("Scene_0/20/Scene_0_L2R_rhorc_865_12.tif", r"Scene_0_12 has no band s2\.b8a.*Scene_0_L2R_rhorc_865_12\.tif"),
    ("Scene_3/60/Scene_3_L2R_rhorc_442_1.tif", r"Scene_3_1 has no band s2\.b01"),
    ("Scene_0/10/Scene_0_L2R_cl_1.tif", r"1 of 3 files .*Scene_0_L2R_cl_1\.tif"),
    ("splits/val_X.txt", r"val_X\.txt"),
])  # fmt: skip
def test_absent_files_are_named(file, message, tmp_path):
    (write(tmp_path) / file).unlink()
    with pytest.raises(MissingData, match=message):
        opened(tmp_path)
    if "rhorc" in file:
        assert len(opened(tmp_path, bands=BANDS[1:3])) == 3, "only the bands asked for need be there"


def test_damaged_files_and_strange_codes_are_named(tmp_path):
    folder = write(tmp_path)
    cut = folder / "Scene_0" / "20" / "Scene_0_L2R_rhorc_704_1.tif"
    cut.write_bytes(cut.read_bytes()[:200])
    write_tif(folder / "Scene_0" / "10" / "Scene_0_L2R_cl_12.tif", np.full((1, 240, 240), 16, np.uint8))
    write_tif(folder / "Scene_3" / "60" / "Scene_3_L2R_rhorc_442_1.tif", np.ones((1, 240, 240), np.float32))
    split = opened(tmp_path)
    for index, message in ((0, cut.name), (1, r"cl_12\.tif holds the codes \[16\]"), (2, "expected .1, 40, 40.")):
        with pytest.raises(MissingData, match=message):
            split[index]
    with pytest.raises(MissingData, match="cl_12"):
        split.targets()


@pytest.mark.parametrize(("line", "message"), [
    ("Scene_5_7", "Scene_5_7 twice: in train and in val"),
    ("Scene_9_1", r"1 of 4 files .*Scene_9_L2R_cl_1\.tif"),
    ("../evil", "no Scene"),
])  # fmt: skip
def test_bad_lists_are_named(line, message, tmp_path):
    with (write(tmp_path) / "splits" / "train_X.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(MissingData, match=message):
        opened(tmp_path)
