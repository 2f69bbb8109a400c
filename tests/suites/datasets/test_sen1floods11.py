"""Sen1Floods11: what it must get right and refuse."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from bench.core.errors import MissingData
from suites.datasets.sen1floods11 import SUITE
from tests.builders.rasters import write_tif
from tests.builders.suites import bands_of
from tests.fixtures.datasets.sen1floods11 import CENTRE, CHIPS, LISTS, SPLITS, STORED, write


def test_chip(tmp_path):
    write(tmp_path)
    split = SUITE.open(tmp_path, "water", "train", SUITE.bands)
    assert tuple(split.ids) == SPLITS["train"]
    assert list(split.blocks) == ["India", "Mekong", "Ghana"]
    sample = split[0]
    radar, optical = sample.images["s1"][0], sample.images["s2"][0]
    assert np.isnan(radar[..., :3]).all() and np.isfinite(radar[..., 3:]).all()
    assert radar[:, 100, 100].tolist() == [-10, -17]
    assert np.isnan(optical[..., :5]).all() and np.isfinite(optical[..., 5:]).all(), "0 in every band is no data"
    names = [band.name.removeprefix("s2.") for band in SUITE.bands if band.sensor == "s2"]
    expected = [0 if name == "b10" else 1000 + STORED.index(name) for name in names]
    assert optical[:, 100, 100].tolist() == expected
    assert [(sample.target == code).sum() for code in (-1, 0, 1)] == [512, 383 * 512, 128 * 512]
    assert np.allclose(sample.where, CENTRE, atol=1e-6)
    assert sample.when.tolist() == [[2016, 8, 12]]
    only_optical = SUITE.open(tmp_path, "water", "train", bands_of(SUITE, "s2.b08"))
    assert only_optical[1].when.tolist() == [[2018, 8, 4]], "Mekong chips are of the Cambodian flood"
    assert only_optical[2].when.tolist() == [[-1, -1, -1]]


def test_opens_without_what_is_not_asked_for(tmp_path):
    folder = write(tmp_path)
    for path in (folder / CHIPS / "S2Hand").iterdir():
        path.unlink()
    (folder / LISTS / "flood_bolivia_data.csv").unlink()
    radar = bands_of(SUITE, "s1.vh", "s1.vv")
    assert SUITE.open(tmp_path, "water", "test", radar)[1].images["s1"][0, :, 50, 50].tolist() == [-17, -10]
    with pytest.raises(MissingData, match=r"2 of 2 files .*the first is .*Spain_5_S2Hand\.tif"):
        SUITE.open(tmp_path, "water", "test", SUITE.bands)
    with pytest.raises(MissingData, match=r"flood_bolivia_data\.csv"):
        SUITE.open(tmp_path, "water", "bolivia", radar)


def test_label_code_out_of_range_is_named(tmp_path):
    folder = write(tmp_path)
    path = folder / CHIPS / "LabelHand" / "Mekong_2_LabelHand.tif"
    with rasterio.open(path) as file:
        values = file.read()
    values[0, 9, 9] = 2
    write_tif(path, values)
    split = SUITE.open(tmp_path, "water", "train", SUITE.bands[:2])
    assert split[0].target.max() == 1
    for read in (lambda: split[1], split.targets):
        with pytest.raises(MissingData, match=r"Mekong_2_LabelHand\.tif"):
            read()


def test_damaged_dates_are_named(tmp_path):
    folder = write(tmp_path)
    path = folder / "v1.1" / "Sen1Floods11_Metadata.geojson"
    path.write_text(path.read_text()[:40])
    with pytest.raises(MissingData, match=path.name):
        SUITE.open(tmp_path, "water", "train", SUITE.bands)


@pytest.mark.shared
def test_real_sen1floods11(shared):
    radar = bands_of(SUITE, "s1.vv", "s1.vh")
    splits = {name: SUITE.open(shared / "data", "water", name, radar) for name in ("train", "val", "test")}
    assert {name: len(split) for name, split in splits.items()} == {"train": 6, "val": 2, "test": 2}
    with pytest.raises(MissingData, match="bolivia"):
        SUITE.open(shared / "data", "water", "bolivia", radar)
    ghana = splits["val"][list(splits["val"].ids).index("Ghana_83483")]
    assert (ghana.target == -1).all()
    assert splits["val"].targets()[list(splits["val"].ids).index("Ghana_83483")].tolist() == [0, 0]
    paraguay = splits["test"][list(splits["test"].ids).index("Paraguay_34417")]
    assert np.isnan(paraguay.images["s1"]).all()
    for sample in (splits["train"][i] for i in range(6)):
        vv, vh = np.nanmean(sample.images["s1"], axis=(0, 2, 3))
        assert -25 < vv < -4 and -35 < vh < vv
        assert sample.when.tolist()[0][0] in range(2016, 2020)
    assert np.allclose(splits["train"][5].where, (-0.7589, 38.1058), atol=1e-3)
    with pytest.raises(MissingData, match=r"5 of 6 files .*India_900498_S2Hand\.tif"):
        SUITE.open(shared / "data", "water", "train", SUITE.bands)
