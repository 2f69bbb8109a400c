"""AI4SmallFarms: what it must get right and refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.ai4smallfarms import AREA, BANDS, SUITE
from tests.builders.rasters import write_tif
from tests.fixtures.datasets.ai4smallfarms import CENTRE, SIZE, write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train", bands=BANDS):
    return SUITE.open(root, "boundary", split, bands)


def test_every_pixel_is_in_one_tile(root):
    names = ("0_vietnam", "2_cambodia")
    places = [(row, column) for row in (0, 1) for column in (0, 1)]
    split = opened(root)
    assert list(split.ids) == [f"{name}_{row}_{column}" for name in names for row, column in places]
    assert list(split.blocks) == [name for name in names for _ in places]
    assert {name: len(opened(root, name)) for name in SUITE.splits} == {"train": 8, "val": 4, "test": 4}
    samples = [split[index] for index in range(4)]
    assert [int(sample.images["s2"][0, 0, 200, 200]) for sample in samples] == [500, 501, 510, 511]
    assert sum((sample.target >= 0).sum() for sample in samples) == SIZE[0] * SIZE[1]
    outside = samples[3].target == -1
    assert outside[SIZE[0] - 256 :].all() and outside[:, SIZE[1] - 256 :].all()
    assert np.isnan(samples[3].images["s2"][0][:, outside]).all()


def test_bands_codes_no_data_dates_and_place(root):
    sample = opened(root, bands=(BANDS[3], BANDS[0]))[0]
    image = sample.images["s2"][0]
    assert image[:, 99, 99].tolist() == [2000, 500] and image[:, 9, 9].tolist() == [2000, 0]
    assert np.isnan(image[:, :3]).all() and np.isfinite(image[:, 3:]).all()
    assert sample.target[5, :10].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert opened(root).targets().tolist() == [[1, 1]] * 4 + [[1, 0]] + [[1, 1]] * 3
    assert opened(root, "val")[0].target[5, :9].sum() == 2, "1 is a boundary as 255 is"
    assert sample.when.tolist() == [[2021, 1, -1]] and opened(root, "test")[0].when.tolist() == [[2020, 11, -1]]
    assert opened(root)[4].when is None
    assert np.allclose(sample.where, (CENTRE[0] + (128 - SIZE[1] / 2) * 1e-4, CENTRE[1] - (128 - SIZE[0] / 2) * 1e-4))


def test_the_table_of_months_may_be_absent_but_not_damaged(tmp_path):
    path = write(tmp_path) / AREA / "tiles_asia.gpkg"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(MissingData, match="tiles_asia"):
        opened(tmp_path)
    path.unlink()
    assert opened(tmp_path)[0].when is None


def test_folder_val_is_read_too(tmp_path):
    folder = write(tmp_path) / AREA
    (folder / "validate").rename(folder / "val")
    assert len(opened(tmp_path, "val")) == 4


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_absent_files_are_named(kind, tmp_path):
    folder = write(tmp_path) / AREA
    (folder / "train" / kind / "0_vietnam.tif").unlink()
    with pytest.raises(MissingData, match=rf"1 of 4 files .*{kind}/0_vietnam\.tif"):
        opened(tmp_path)
    (folder / "test").rename(folder / "elsewhere")
    with pytest.raises(MissingData, match=r"0_vietnam\.tif|test is absent"):
        opened(tmp_path, "test")


@pytest.mark.parametrize(("values", "crs", "message"), [
    (np.full((1, *SIZE), 2, np.uint8), None, r"holds the codes \[2\]"),
    (np.zeros((1, 64, 64), np.uint8), None, r"of size \(64, 64\), its image of \(498, 505\)"),
    (np.zeros((1, *SIZE), np.uint8), "EPSG:32648", "differ in reference system, EPSG:32648 and EPSG:4326"),
])  # fmt: skip
def test_strange_masks_are_named(values, crs, message, tmp_path):
    write_tif(write(tmp_path) / AREA / "train" / "masks" / "0_vietnam.tif", values, crs=crs)
    with pytest.raises(MissingData, match=rf"masks/0_vietnam\.tif.*{message}"):
        opened(tmp_path)[0]


@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_truncated_images_and_absent_bands_are_named(keep, tmp_path):
    folder = write(tmp_path) / AREA / "train" / "images"
    write_tif(folder / "2_cambodia.tif", np.ones((3, *SIZE), np.uint16))
    with pytest.raises(MissingData, match=r"2_cambodia\.tif has shape \(3, 498, 505\)"):
        opened(tmp_path)[4]
    path = folder / "0_vietnam.tif"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(MissingData, match="0_vietnam"):
        opened(tmp_path)[0]


def test_an_image_in_two_splits_is_an_error(tmp_path):
    folder = write(tmp_path) / AREA
    for kind in ("images", "masks"):
        (folder / "test" / kind / "2_cambodia.tif").write_bytes(
            (folder / "train" / kind / "2_cambodia.tif").read_bytes()
        )
    with pytest.raises(MissingData, match="2_cambodia twice: in train and in test"):
        opened(tmp_path)


def test_download_follows_the_publishers_list(tmp_path):
    files = [
        (f"{AREA}/train/images", "0_vietnam.tif", 7),
        (f"{AREA}/train/masks", "0_vietnam.tif", 8),
        (AREA, "tiles_asia.gpkg", 9),
        (f"{AREA}/reference", "0_vietnam_areas.gpkg", 10),
        ("sentinel-2-nl/train/images", "tile-1.tif", 11),
    ]
    entries = [{"directoryLabel": parts, "dataFile": {"filename": name, "id": i}} for parts, name, i in files]
    asked = {}

    def fetch(url, path, *, sha256="", md5=""):
        asked[url.removeprefix(SUITE.url)] = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"data": {"latestVersion": {"files": entries}}}))
        return path

    SUITE.download(tmp_path, fetch)
    folder = tmp_path / "ai4smallfarms"
    assert {url: path.relative_to(folder).as_posix() for url, path in asked.items() if "datafile" in url} == {
        f"api/access/datafile/{number}": f"{parts}/{name}" for parts, name, number in files[:3]
    }
    entries.append({"directoryLabel": f"{AREA}/../../../images", "dataFile": {"filename": "evil.tif", "id": 1}})
    with pytest.raises(MissingData, match="evil"):
        SUITE.download(tmp_path, fetch)
    entries.append({"dataFile": {}, "directoryLabel": f"{AREA}/x/images"})
    with pytest.raises(MissingData, match=r"files\.json"):
        SUITE.download(tmp_path, fetch)
