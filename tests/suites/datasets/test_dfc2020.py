"""DFC2020: what it must get right and refuse."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from bench.core.errors import MissingData
from suites.datasets.dfc2020 import CLASSES, SUITE
from tests.builders.rasters import write_tif
from tests.fixtures.datasets.dfc2020 import CENTRE, path_of, write
from tests.fixtures.datasets.sen1floods11 import STORED

KNOWN = {band.name: band for band in SUITE.bands}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train", bands=SUITE.bands):
    return SUITE.open(root, "landcover", split, bands)


def test_roles_and_runs(root):
    assert {name: list(opened(root, name).ids) for name in SUITE.splits} == {
        "train": ["validation_p0", "validation_p63", "validation_p192"],
        "val": ["validation_p64", "validation_p191"],
        "test": ["test_p0", "test_p64", "test_p5127"],
    }
    assert opened(root).blocks == ["validation_0", "validation_0", "validation_3"]
    assert opened(root, "test").blocks == ["test_0", "test_1", "test_80"]
    assert dict(SUITE.splits) == {"train": 730, "val": 256, "test": 5128}


def test_bands_no_data_and_place(root):
    sample = opened(root)[0]
    assert sample.images["s1"][0, :, 99, 99].tolist() == [-10, -17]
    optical = sample.images["s2"][0]
    stored = [band.name.removeprefix("s2.") for band in SUITE.bands if band.sensor == "s2"]
    assert stored == STORED
    assert optical[:, 99, 99].tolist() == [0 if name == "b10" else 1000 + i for i, name in enumerate(stored)]
    assert np.isnan(optical[..., :2]).all() and np.isfinite(optical[..., 2:]).all()
    assert np.allclose(sample.where, CENTRE, atol=1e-6)
    picked = opened(root, "test", bands=(KNOWN["s2.b8a"], KNOWN["s1.vh"], KNOWN["s2.b02"]))[2].images
    assert list(picked) == ["s2", "s1"]
    assert picked["s2"][0, :, 99, 99].tolist() == [1008, 1001] and picked["s1"][0, :, 99, 99].tolist() == [-17]


def test_codes(root):
    assert list(CLASSES) == [1, 2, 4, 5, 6, 7, 9, 10]
    target = opened(root)[0].target
    assert target[9, :12].tolist() == [-1, 0, 1, -1, 2, 3, 4, 5, -1, 6, 7, 4]
    assert opened(root).targets().tolist() == [[1] * 8, [0, 0, 0, 0, 1, 0, 0, 0], [1] * 8]


def test_absent_files_are_named_if_wanted(tmp_path):
    write(tmp_path)
    path_of(tmp_path, "validation", "s1", 63).unlink()
    with pytest.raises(MissingData, match=r"1 of 3 files .*validation_s1_0_p63\.tif"):
        opened(tmp_path)
    assert len(opened(tmp_path, bands=(KNOWN["s2.b04"],))) == 3
    for number in (0, 64, 5127):
        path_of(tmp_path, "test", "dfc", number).unlink()
    with pytest.raises(MissingData, match=r"holds no ROIs0000_test_dfc_0_p<n>\.tif"):
        opened(tmp_path, "test")


def test_damaged_files_and_strange_codes_are_named(tmp_path):
    write(tmp_path)
    cut = path_of(tmp_path, "validation", "s2", 0)
    cut.write_bytes(cut.read_bytes()[:700])
    write_tif(path_of(tmp_path, "validation", "dfc", 63), np.full((1, 256, 256), 11, np.uint8))
    write_tif(path_of(tmp_path, "validation", "s2", 192), np.ones((12, 256, 256), np.uint16))
    split = opened(tmp_path)
    for index, message in ((0, cut.name), (1, r"dfc_0_p63\.tif holds the codes \[11\]"), (2, "expected .13, 256, 256")):
        with pytest.raises(MissingData, match=message):
            split[index]
    with pytest.raises(MissingData, match="p63"):
        split.targets()


def test_another_reference_system_is_named(tmp_path):
    write(tmp_path)
    path = path_of(tmp_path, "validation", "s2", 0)
    with rasterio.open(path) as file:
        values = file.read()
    write_tif(path, values, crs="EPSG:32632")
    with pytest.raises(MissingData, match="EPSG:32632"):
        opened(tmp_path)[0]
    assert opened(tmp_path, bands=(KNOWN["s1.vv"],))[0].where == pytest.approx(CENTRE, abs=1e-6)


def test_download_says_what_to_do(tmp_path):
    with pytest.raises(MissingData, match=r"10\.21227/rha7-m332.*unpack it below"):
        SUITE.download(tmp_path, None)
