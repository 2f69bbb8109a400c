"""HLS Burn Scars: what it must get right and refuse."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
import rasterio

from bench.core.errors import MissingData
from suites.datasets.hls_burn_scars import ARCHIVE, BANDS, SUITE
from tests.builders.rasters import write_tif
from tests.fixtures.datasets.hls_burn_scars import CENTRE, SCENES, stem, write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train", bands=BANDS):
    return SUITE.open(root, "burned", split, bands)


def test_splits_follow_the_folders_and_keep_tiles_apart(root):
    ids = {name: list(opened(root, name).ids) for name in SUITE.splits}
    assert ids["test"] == [stem(scene) for scene in SCENES["validation"]]
    assert ids["val"] == [stem("T11SGV.2018365")]
    assert opened(root).blocks == ["T10SGE", "T10SGE", "T12TVL"]
    assert not set(opened(root).blocks) & set(opened(root, "val").blocks)


def test_bands_codes_no_data_dates_and_place(root):
    sample = opened(root, bands=(BANDS[5], BANDS[0], BANDS[3]))[1]
    image = sample.images["hls"][0]
    assert image[:, 99, 99] == pytest.approx([0.6, 0.1, 0.4])
    assert np.isnan(image[..., :3]).all() and np.isnan(image[2, :, 3]).all() and np.isfinite(image[:2, :, 3:]).all()
    assert [(sample.target == code).sum() for code in (-1, 0, 1)] == [512, 383 * 512, 128 * 512]
    assert opened(root).targets().tolist() == [[1, 1]] * 3
    assert sample.when.tolist() == [[2020, 8, 4]], "day 217 of a leap year"
    assert opened(root)[0].when.tolist() == [[2019, 1, 1]]
    assert np.allclose(sample.where, CENTRE, atol=1e-6)


@pytest.mark.parametrize("ending", ["_merged.tif", ".mask.tif"])
def test_a_scene_without_its_mask_is_named(ending, tmp_path):
    folder = write(tmp_path)
    (folder / "training" / f"{stem('T12TVL.2021060')}{ending}").unlink()
    with pytest.raises(MissingData, match=rf"1 of 8 files .*T12TVL\.2021060\.v1\.4{ending}"):
        opened(tmp_path)


def test_an_absent_or_empty_folder_is_named(tmp_path):
    folder = write(tmp_path)
    (folder / "validation").rename(folder / "elsewhere")
    with pytest.raises(MissingData, match="validation is absent"):
        opened(tmp_path)
    (folder / "validation").mkdir()
    with pytest.raises(MissingData, match="holds no"):
        opened(tmp_path)


def test_damaged_files_and_strange_codes_are_named(tmp_path):
    folder = write(tmp_path) / "training"
    first, second = (folder / stem(f"T10SGE.{day}") for day in ("2019001", "2020217"))
    image = first.with_name(f"{first.name}_merged.tif")
    image.write_bytes(image.read_bytes()[:900])
    mask = second.with_name(f"{second.name}.mask.tif")
    write_tif(mask, np.full((1, 512, 512), 2, np.int16))
    third = folder / f"{stem('T12TVL.2021060')}_merged.tif"
    write_tif(third, np.ones((5, 512, 512), np.float32))
    split = opened(tmp_path)
    for index, message in ((0, image.name), (1, r"mask\.tif holds the codes \[2\]"), (2, r"has shape \(5, 512, 512\)")):
        with pytest.raises(MissingData, match=message):
            split[index]
    with pytest.raises(MissingData, match=mask.name):
        split.targets()


def test_another_reference_system_is_named(tmp_path):
    folder = write(tmp_path) / "training"
    path = folder / f"{stem('T12TVL.2021060')}.mask.tif"
    with rasterio.open(path) as file:
        values = file.read()
    write_tif(path, values, crs="EPSG:32612")
    with pytest.raises(MissingData, match="EPSG:32612"):
        opened(tmp_path)[2]


def test_a_scene_in_both_folders_or_misnamed_is_an_error(tmp_path):
    folder = write(tmp_path)
    for ending in ("_merged.tif", ".mask.tif"):
        name = f"{stem('T10SGD.2018257')}{ending}"
        (folder / "training" / name).write_bytes((folder / "validation" / name).read_bytes())
    with pytest.raises(MissingData, match=r"T10SGD\.2018257.* twice: in training and in validation"):
        opened(tmp_path)
    for ending in ("_merged.tif", ".mask.tif"):
        (folder / "training" / f"{stem('T10SGD.2018257')}{ending}").rename(folder / "training" / f"odd{ending}")
    with pytest.raises(MissingData, match="odd is not named"):
        opened(tmp_path)


def test_download_unpacks_the_archive_or_says_it_is_damaged(root, tmp_path):
    packed = tmp_path / "packed.tar.gz"
    with tarfile.open(packed, "w:gz") as file:
        for name in SCENES:
            file.add(root / "hls_burn_scars" / name, name)

    def fetch(url, path, *, sha256="", md5=""):
        assert url == SUITE.url + ARCHIVE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed.read_bytes()[:keep])
        return path

    keep = 5000
    with pytest.raises(MissingData, match=ARCHIVE):
        SUITE.download(tmp_path, fetch)
    assert not (tmp_path / "hls_burn_scars" / "training").exists()
    keep = None
    SUITE.download(tmp_path, fetch)
    assert list(opened(tmp_path).ids) == list(opened(root).ids)
