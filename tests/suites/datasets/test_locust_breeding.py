"""Desert locust breeding grounds: what the suite must get right and refuse."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from bench.core.errors import MissingData
from suites.datasets.locust_breeding import HOW, SUITE
from tests.builders.rasters import write_tif
from tests.fixtures.datasets.locust_breeding import CENTRE, CHIPS, write


def opened(root, split="train", names=()):
    known = {band.name: band for band in SUITE.bands}
    return SUITE.open(root, "breeding", split, tuple(known[name] for name in names) or SUITE.bands)


def test_chip_of_three_dates(tmp_path):
    write(tmp_path)
    split = opened(tmp_path, names=("hls.swir1", "hls.blue"))
    assert tuple(split.ids) == CHIPS["train"] and list(split.blocks) == ["36QXG", "38PMB"]
    sample = split[1]
    series = sample.images["hls"]
    assert series[:, :, 99, 99].tolist() == [[1500, 1100], [2500, 2100], [3500, 3100]]
    assert np.isnan(series[0, :, 0, :3]).all() and np.isfinite(series[1:]).all(), "each date has its own gaps"
    assert series[1, 1, 0, 0] == 0 and np.isfinite(series[0, :, 0, 3:]).all()
    assert np.allclose(sample.where, CENTRE, atol=1e-6) and sample.when is None


def test_only_observed_pixels_have_a_class(tmp_path):
    write(tmp_path)
    target = opened(tmp_path)[0].target
    assert target[10, 20] == 0 and target[30, 40] == 1 and target[50, 60] == -1
    assert (target == -1).sum() == 224 * 224 - 2
    assert opened(tmp_path).targets().tolist() == [[1, 1], [1, 1]]


def test_paths_below_data_are_found(tmp_path):
    folder = write(tmp_path)
    path = folder / "val.csv"
    path.write_text(path.read_text().replace("val/", "data/val/"))
    assert len(opened(tmp_path, "val")) == 1


def test_lists_that_are_none_are_named(tmp_path):
    folder = write(tmp_path)
    (folder / "train.csv").write_text("date,x,y,label\n2023-03-08,43.0,15.3,0\n")
    with pytest.raises(MissingData, match=r"train\.csv: it has no column 'Input', expected Input, Label"):
        opened(tmp_path)
    (folder / "train.csv").write_text(",Input,Label\n0,train/chips/chip_a.tif\n")
    with pytest.raises(MissingData, match="line 2: expected 3 fields"):
        opened(tmp_path)
    (folder / "train.csv").unlink()
    with pytest.raises(MissingData, match=r"train\.csv"):
        opened(tmp_path)
    assert len(opened(tmp_path, "test")) == 1, "the other lists are enough for the other splits"


@pytest.mark.parametrize("pattern", ["train/chips/*T38PMB*", "train/seg_maps/*T38PMB*"])
def test_an_absent_or_truncated_file_is_named(pattern, tmp_path):
    path = next(write(tmp_path).glob(pattern))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MissingData, match=path.name):
        opened(tmp_path)[1]
    path.unlink()
    with pytest.raises(MissingData, match=rf"1 of 2 files listed in train\.csv .*{path.name}"):
        opened(tmp_path)


def test_a_code_out_of_range_is_named(tmp_path):
    path = next((write(tmp_path) / "train" / "seg_maps").glob("*T38PMB*"))
    with rasterio.open(path) as file:
        values = file.read()
    values[0, 9, 9] = 2
    write_tif(path, values, crs="EPSG:4326", centre=CENTRE)
    split = opened(tmp_path)
    for read in (lambda: split[1], split.targets):
        with pytest.raises(MissingData, match=path.name):
            read()


def test_a_missing_band_and_grids_that_differ_are_named(tmp_path):
    path = next((write(tmp_path) / "train" / "chips").glob("*T38PMB*"))
    write_tif(path, np.ones((18, 224, 224), np.int16), crs="EPSG:4326", centre=(9.0, 9.0))
    with pytest.raises(MissingData, match=r"lies on .*replace"):
        opened(tmp_path)[1]
    write_tif(path, np.ones((12, 224, 224), np.int16))
    with pytest.raises(MissingData, match=r"has shape \(12, 224, 224\)"):
        opened(tmp_path)[1]


def test_one_chip_in_two_splits_is_an_error(tmp_path):
    folder = write(tmp_path)
    row = (folder / "val.csv").read_text().splitlines()[1]
    for name, match in (("test.csv", "twice: in val and in test"), ("val.csv", "twice")):
        path = folder / name
        path.write_text(f"{path.read_text()}{row}\n")
        with pytest.raises(MissingData, match=match):
            opened(tmp_path, "test")


def test_download_says_what_to_do(tmp_path):
    with pytest.raises(MissingData, match=HOW.partition("(")[0]):
        SUITE.download(tmp_path, None)
