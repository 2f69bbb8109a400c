"""WorldCereal patches: months from dates, clouds left out, codes read as the publisher does, broken files refused."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.worldcereal_patches import SUITE, VARIABLES
from tests.fixtures.datasets.worldcereal_patches import NAMES, OPTICAL, SPANS, write, write_nc

FIRST = NAMES[0]


def open_(root, split="train", bands=SUITE.bands, task="cropland"):
    return SUITE.open(root, task, split, bands)


def tile(root, name, bands=SUITE.bands, task="cropland"):
    """The tile of that id, from whatever split it is in."""
    for split in SUITE.splits:
        opened = open_(root, split, bands, task)
        if name in opened.ids:
            return opened[list(opened.ids).index(name)]
    raise AssertionError(name)


def path_of(folder, kind, number=0):
    return folder / NAMES[number] / f"{kind}_{NAMES[number]}_32631_{SPANS[number]}.nc"


def test_tiles_are_split_by_hash(tmp_path):
    write(tmp_path)
    splits = {name: open_(tmp_path, name) for name in SUITE.splits}
    assert {name: len(split) for name, split in splits.items()} == dict(SUITE.splits)
    assert set(splits["train"].blocks) == set(NAMES)


def test_bands_by_month(tmp_path):
    write(tmp_path)
    sample = tile(tmp_path, f"{FIRST}_1_1")
    optical = sample.images["s2"]
    assert optical.shape == (3, 10, 16, 16) and sample.when.tolist() == [[2017, 8, -1], [2017, 9, -1], [2017, 10, -1]]
    for column, band in enumerate(b.name for b in SUITE.bands if b.sensor == "s2"):
        place = OPTICAL.index(VARIABLES[band][1])
        assert optical[0, column, 3, 3] == 1000.5 + 100 * place, "the median of two dates"
        assert optical[1, column, 3, 3] == 1002 + 100 * place
    assert np.isnan(optical[2]).all(), "no date in October"
    radar = sample.images["s1"][:, :, 0, 0]
    assert np.allclose(radar[0], [10 * np.log10((10**-1 + 10**-2) / 2), -20]), "the mean is one of power"
    weather = sample.images["era5"]
    assert weather.shape == (3, 2, 16, 16) and np.allclose(weather[:, 1, 0, 0], [0.062, 0.060, 0.062])
    assert np.isclose(weather[0, 0, 0, 0], 280 + np.arange(1, 31).mean() / 10), "-9999 is no data"
    assert np.allclose(sample.where, (3.0226, 50.8167), atol=2e-4)


def test_clouds_shadow_and_fill_are_left_out(tmp_path):
    write(tmp_path)
    upper = tile(tmp_path, f"{FIRST}_0_0").images["s2"]
    assert upper[0, 0, 0, 0] == 1001 and upper[0, 3, 0, 0] == 1301, "the cloudy date is not in the median"
    corner = tile(tmp_path, f"{FIRST}_3_3").images["s2"]
    assert np.isnan(corner[:2, :, -2:, -2:]).all() and np.isfinite(corner[:2, :, -3, :]).all()
    left = tile(tmp_path, f"{FIRST}_3_0").images["s2"]
    assert np.isnan(left[:2, :, -1, 0]).all()
    assert np.isfinite(left[:2, 0, -2, 0]).all() and np.isnan(left[:2, 3, -2, 0]).all(), "20 m bands are repeated"


def test_codes(tmp_path):
    write(tmp_path)
    cropland = tile(tmp_path, f"{FIRST}_1_1").target
    assert cropland[5, :8].tolist() == [1, 0, 1, -1, 1, 0, 1, 0], "LC 10 says nothing, LC 99 and 13 are other"
    maize = tile(tmp_path, f"{FIRST}_1_1", task="maize").target
    assert maize[5, :8].tolist() == [1, -1, 1, -1, 1, 0, 1, 0]
    assert (tile(tmp_path, f"{FIRST}_0_0").target[0] == -1).all()


def test_code_out_of_range_is_named(tmp_path):
    path = path_of(write(tmp_path), "OUTPUT_POLY-110_10m")
    label = {"LC": np.full((64, 64), 1200, np.int16)}
    write_nc(path, label, (501360, 5629040, 502000, 5629680), None)
    with pytest.raises(MissingData, match=rf"{path.name} holds the LC code 1200"):
        open_(tmp_path).targets()
    with pytest.raises(MissingData, match="CT"):
        open_(tmp_path, task="maize").targets()


def test_image_of_another_place_is_named(tmp_path):
    path = path_of(write(tmp_path), "OUTPUT_POLY-110_10m")
    write_nc(path, {"LC": np.full((64, 64), 11, np.int16)}, (0, 0, 640, 640), None)
    with pytest.raises(MissingData, match="lies on"):
        tile(tmp_path, f"{FIRST}_1_1")


@pytest.mark.parametrize("kind", ["S2_L2A_10m", "S2_L2A_20m", "S1_GRD-ASCENDING_20m", "OUTPUT_POLY-110_10m"])
def test_absent_file_is_named(kind, tmp_path):
    path_of(write(tmp_path), kind, 1).unlink()
    with pytest.raises(MissingData, match=f"{NAMES[1]} has 0 files {kind}"):
        open_(tmp_path)


def test_sensors_not_asked_for_are_not_wanted(tmp_path):
    path_of(write(tmp_path), "S1_GRD-ASCENDING_20m").unlink()
    assert list(open_(tmp_path, bands=SUITE.bands[:2])[0].images) == ["s2"]


@pytest.mark.parametrize("kind", ["S2_L2A_10m", "OUTPUT_POLY-110_10m"])
def test_truncated_file_is_named(kind, tmp_path):
    path = path_of(write(tmp_path), kind)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(MissingData, match=path.name):
        tile(tmp_path, f"{FIRST}_1_1")


def test_other_dates_than_the_scene_classification_are_refused(tmp_path):
    path = path_of(write(tmp_path), "S2_L2A_10m")
    values = {"B02": np.ones((2, 64, 64), np.int16)}
    write_nc(path, values, (501360, 5629040, 502000, 5629680), ("days since 2017-08-04 00:00:00", [0, 90]))
    with pytest.raises(MissingData, match="other dates"):
        tile(tmp_path, f"{FIRST}_1_1", SUITE.bands[:1])


def test_download_is_what_open_reads(tmp_path):
    asked = []

    def fetch(url, path, *, sha256="", md5=""):
        asked.append(path.relative_to(tmp_path / "worldcereal_patches").as_posix())
        assert url.startswith("https://") and url.endswith(path.name)
        return path

    SUITE.download(tmp_path, fetch)
    assert len(asked) == 10 and f"{FIRST}/S2_L2A_20m_{FIRST}_32631_2017-08-01_2018-11-30.nc" in asked


@pytest.mark.shared
def test_real_patches(shared):
    splits = {name: open_(shared / "data", name) for name in SUITE.splits}
    assert {name: len(split) for name, split in splits.items()} == dict(SUITE.splits)
    sample = splits["train"][0]
    assert {sensor: values.shape[:2] for sensor, values in sample.images.items()} == {
        "s2": (16, 10), "s1": (16, 2), "era5": (16, 2)}  # fmt: skip
    optical, radar, weather = (np.nanmean(sample.images[sensor], axis=(2, 3)) for sensor in ("s2", "s1", "era5"))
    months = sample.when[:, 1].tolist()
    assert optical[months.index(7), 6] > optical[months.index(7), 2], "near infrared above red in July"
    assert (radar[:, 0] > radar[:, 1]).all() and -20 < radar[:, 0].mean() < 0
    assert 285 < weather[months.index(7), 0] < 300 > 283 > weather[months.index(1), 0]
    assert 0.2 < weather[:12, 1].sum() < 1.5, "metres of rain a year"
    assert np.allclose(sample.where, (3.02, 50.82), atol=0.05)


@pytest.mark.shared
def test_rows_of_real_files_run_south(shared):
    h5py = pytest.importorskip("h5py")
    folder = shared / "data" / "worldcereal_patches"
    for split in SUITE.splits:
        opened = open_(shared / "data", split, SUITE.bands[:1])
        for index, name in enumerate(opened.ids):
            patch, row, column = name.split("_")
            with h5py.File(next((folder / patch).glob("OUTPUT*"))) as file:
                part = file["LC"][int(row) * 16 : int(row) * 16 + 16, int(column) * 16 : int(column) * 16 + 16]
                assert (np.diff(file["y"]) < 0).all()
            assert np.array_equal(opened[index].target == 1, part == 11)
