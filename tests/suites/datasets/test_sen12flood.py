"""SEN12-FLOOD: what it must get right and refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio

from bench.core.errors import MissingData
from suites.datasets.sen12flood import SUITE
from tests.fixtures.datasets.sen12flood import BANDS, CORNER, radar_name, write, write_band


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def bands(*names):
    return tuple({band.name: band for band in SUITE.bands}[name] for name in names)


def opened(root, split="train", wanted=SUITE.bands):
    return SUITE.open(root, "flood", split, wanted)


def edit(folder, change, name="S2list.json"):
    places = json.loads((folder / name).read_text())
    change(places)
    (folder / name).write_text(json.dumps(places))


def test_places_stay_within_a_split(root):
    splits = {name: opened(root, name) for name in SUITE.splits}
    assert {name: sorted(set(split.blocks)) for name, split in splits.items()} == {
        "train": ["0001", "0003", "0005"], "val": ["0004"], "test": ["0002"],
    }  # fmt: skip
    assert splits["train"].ids == ["0001_S2_2019-01-24", "0003_S2_2019-02-03", "0005_S2_2019-02-08",
                                   "0005_S2_2019-04-01"]  # fmt: skip
    assert splits["train"].targets().tolist() == [0, 1, 0, 1]
    assert splits["test"][1].target == 1


def test_every_band_from_its_file(root):
    image = opened(root, "test")[1].images["s2"][0]
    assert np.isnan(image[:, 0, 0]).all() and np.isnan(image).sum() == 12 + 3, "0 is no data, 2 x 2 pixels of B11"
    for band, values in zip([band for band in SUITE.bands if band.sensor == "s2"], image, strict=True):
        assert np.unique(values[np.isfinite(values)]) == [1001 + 100 * BANDS.index(band.name[3:].upper())]


def test_smaller_and_wider_images_keep_their_middle(root):
    image = opened(root, wanted=bands("s2.b04"))[2].images["s2"][0, 0]
    assert np.isnan(image[:6]).all() and np.isnan(image[-6:]).all() and np.isfinite(image[6:-6]).all()
    plain, coarse = opened(root, wanted=bands("s2.b02", "s2.b11"))[3].images["s2"][0]
    assert np.array_equal(np.isfinite(plain), np.isfinite(coarse))


def test_radar_is_the_nearest_in_time_on_the_same_ground(root, tmp_path):
    split = opened(root, wanted=bands("s1.vh", "s1.vv"))
    assert [sample.when.tolist()[0] for sample in (split[0], split[2])] == [[2019, 1, 20], [2019, 4, 3]]
    vh, vv = split[0].images["s1"][0]
    assert np.isnan(vv[:40]).all() and np.isfinite(vv[80:-5, 5:-5]).all()
    assert np.allclose(vv[100:400, 10:240], 0.2) and np.allclose(vv[100:400, 272:500], 0.4), "west and east"
    assert np.allclose(vh[300, 100], 0.02)
    alone = split[1]
    assert np.isnan(alone.images["s1"]).all() and alone.when.tolist() == [[-1, -1, -1]], "a place without radar"


def test_dates_and_place(root):
    sample = opened(root, "test", bands("s2.b08"))[0]
    assert sample.when.tolist() == [[2019, 1, 4]]
    assert np.allclose(sample.where, (39.023, 9.023), atol=0.005)
    assert opened(root, "val")[0].when.tolist() == [[2019, 3, 6]], "a date without dashes"


def test_optical_bands_do_not_need_the_radar(tmp_path):
    folder = write(tmp_path)
    (folder / "S1list.json").unlink()
    assert len(opened(tmp_path, wanted=bands("s2.b03"))) == 4
    with pytest.raises(MissingData, match=r"S1list\.json"):
        opened(tmp_path)
    (folder / "S2list.json").write_text((folder / "S2list.json").read_text()[:200])
    with pytest.raises(MissingData, match=r"S2list\.json"):
        opened(tmp_path, wanted=bands("s2.b03"))


def test_absent_and_damaged_files_are_named(tmp_path):
    folder = write(tmp_path)
    path = folder / "0002" / "S2_2019-01-04_B05.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    radar = folder / "0002" / f"{radar_name('2019-05-01')}_corrected_VH.tif"
    write_band(radar, np.ones((9, 9), np.float32), None, rasterio.transform.from_origin(*CORNER, 10, 10))
    split = opened(tmp_path, "test")
    for index, file in ((0, r"04_B05\.tif"), (1, r"_corrected_VH\.tif has 1 bands and the coordinate system None")):
        with pytest.raises(MissingData, match=file):
            split[index]
    (folder / "0001" / "S2_2019-01-24_B8A.tif").unlink()
    with pytest.raises(MissingData, match=r"1 of 48 files listed in S2list\.json .*24_B8A\.tif"):
        opened(tmp_path)


@pytest.mark.parametrize(("change", "message"), [
    (lambda places: places["0001"]["1"].update(FLOODING="True"), "FLOODING of S2_2019-01-24 is 'True'"),
    (lambda places: places["0001"]["1"].pop("filename"), r"S2list\.json: 'filename' is missing"),
    (lambda places: places["0001"]["1"].update(date="2019-13-24"), "S2list"),
    (lambda places: places["0001"].update({"2": places["0001"]["1"]}), "0001_S2_2019-01-24 twice"),
])  # fmt: skip
def test_bad_lists_are_named(change, message, tmp_path):
    edit(write(tmp_path), change)
    with pytest.raises(MissingData, match=message):
        opened(tmp_path)


def test_download_says_what_to_do(tmp_path):
    with pytest.raises(MissingData, match=r"ieee-dataport\.org.*SEN12FLOOD"):
        SUITE.download(tmp_path, None)
