"""BioMassters: months in their place, bands in theirs, no-data, the publisher's split, broken files refused."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.biomassters import SUITE
from tests.builders.rasters import write_tif
from tests.fixtures.datasets.biomassters import MONTHS, TEST, TRAIN, write

TABLE = "biomassters_features_metadata.csv"


def open_(root, split="test", bands=SUITE.bands):
    return SUITE.open(root, "biomass", split, bands)


def test_months_bands_and_no_data(tmp_path):
    write(tmp_path)
    sample = open_(tmp_path)[0]
    optical, radar = sample.images["s2"], sample.images["s1"]
    assert optical.shape == (12, 10, 256, 256) and radar.shape == (12, 4, 256, 256)
    for month in range(12):
        if month in MONTHS:
            assert radar[month, :, 9, 9].tolist() == [-10 - month, -11 - month, -12 - month, -13 - month]
        else:
            assert np.isnan(radar[month]).all()
        if month in MONTHS and month != 1:
            assert optical[month, :, 9, 9].tolist() == [1000 + 100 * band + month for band in range(10)]
        else:
            assert np.isnan(optical[month]).all()
    assert np.isnan(radar[0, 2:, :4]).all() and np.isfinite(radar[0, :2]).all() and np.isfinite(radar[0, :, 4:]).all()
    assert np.isnan(optical[0, :, :, :2]).all() and np.isfinite(optical[0, :, :, 2:]).all()
    assert sample.when[[0, 3, 4, 11]].tolist() == [[-1, 9, -1], [-1, 12, -1], [-1, 1, -1], [-1, 8, -1]]


def test_band_order_is_the_one_asked_for(tmp_path):
    write(tmp_path)
    known = {band.name: band for band in SUITE.bands}
    wanted = tuple(known[name] for name in ("s1.vh_desc", "s1.vv", "s2.b12", "s2.b8a"))
    sample = open_(tmp_path, bands=wanted)[0]
    assert sample.images["s1"][0, :, 9, 9].tolist() == [-13, -10]
    assert sample.images["s2"][0, :, 9, 9].tolist() == [1900, 1700]


def test_target_keeps_its_gaps(tmp_path):
    write(tmp_path)
    test = open_(tmp_path)
    assert np.isnan(test[0].target[0, 0]) and test[0].target[3, 200] == 80 and test[0].target[3, 3] == 0
    assert test.targets().shape == (2, 1) and test.targets()[1, 0] == pytest.approx(45, rel=1e-3)


def test_splits(tmp_path):
    write(tmp_path)
    ids = {name: set(open_(tmp_path, name).ids) for name in SUITE.splits}
    assert ids["test"] == set(TEST) and ids["train"] | ids["val"] == set(TRAIN)
    assert ids["val"] and ids["train"] and not ids["train"] & ids["val"]
    assert SUITE.splits["train"] + SUITE.splits["val"] == 8689 and SUITE.splits["test"] == 2773


def test_the_publishers_name_of_the_table_will_do(tmp_path):
    path = write(tmp_path) / TABLE
    path.rename(path.with_name("features_metadata.csv"))
    assert len(open_(tmp_path)) == 2


@pytest.mark.parametrize(
    "file",
    [f"test_features/{TEST[1]}_S1_04.tif", f"test_features/{TEST[1]}_S2_11.tif", f"test_agbm/{TEST[1]}_agbm.tif"],
)
def test_absent_file_is_named(file, tmp_path):
    (write(tmp_path) / file).unlink()
    with pytest.raises(MissingData, match=file.rpartition("/")[2]):
        open_(tmp_path)


def test_absent_table_is_named(tmp_path):
    (write(tmp_path) / TABLE).unlink()
    with pytest.raises(MissingData, match=TABLE):
        open_(tmp_path)


def test_a_sensor_not_asked_for_is_not_wanted(tmp_path):
    (write(tmp_path) / "test_features" / f"{TEST[1]}_S1_04.tif").unlink()
    assert len(open_(tmp_path, bands=SUITE.bands[:3])) == 2


@pytest.mark.parametrize("file", [f"test_features/{TEST[0]}_S1_04.tif", f"test_agbm/{TEST[0]}_agbm.tif"])
def test_truncated_file_is_named(file, tmp_path):
    path = write(tmp_path) / file
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MissingData, match=path.name):
        open_(tmp_path)[0]


def test_too_few_bands_are_named(tmp_path):
    path = write(tmp_path) / "test_features" / f"{TEST[0]}_S2_00.tif"
    write_tif(path, np.ones((10, 256, 256), np.uint16))
    with pytest.raises(MissingData, match=r"has shape \(10, 256, 256\)"):
        open_(tmp_path)[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f"{TEST[0]},S1,test,August", f"{TEST[0]},S1,train,August", f"{TEST[0]} twice"),
        (f"{TEST[0]},S1,test,August", f"{TEST[0]},S1,test,July", "is listed for July"),
        ("chip_id", "chip", "chip_id"),
    ],
)
def test_unsound_table_is_named(old, new, message, tmp_path):
    path = write(tmp_path) / TABLE
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(MissingData, match=message):
        open_(tmp_path)


def test_download_says_what_to_do(tmp_path):
    with pytest.raises(MissingData, match=r"huggingface\.co.*train_agbm"):
        SUITE.download(tmp_path, lambda *_, **__: tmp_path)
