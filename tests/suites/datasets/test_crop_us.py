"""Crops (US): bands by date, codes from 1, no-data, the publisher's lists, broken files refused."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
import rasterio

from bench.core.errors import MissingData
from suites.datasets.crop_us import SUITE
from tests.builders.rasters import write_tif
from tests.fixtures.datasets.crop_us import CENTRE, TRAINING, VALIDATION, write


def open_(root, split="test", bands=SUITE.bands):
    return SUITE.open(root, "crops", split, bands)


def test_bands_dates_and_no_data(tmp_path):
    write(tmp_path)
    sample = open_(tmp_path, bands=(SUITE.bands[3], SUITE.bands[0]))[0]
    series = sample.images["hls"]
    assert series.shape == (3, 2, 224, 224)
    assert series[:, :, 100, 100].tolist() == [[1400, 1100], [2400, 2100], [3400, 3100]]
    assert np.isnan(series[..., :8, :8]).all() and np.isfinite(series[..., 8:, :]).all()
    assert sample.when.tolist() == [[2022, 3, 20], [2022, 6, 1], [2022, 9, 15]]
    assert np.allclose(sample.where, CENTRE, atol=1e-3)


def test_codes_start_at_one_on_disk(tmp_path):
    write(tmp_path)
    test = open_(tmp_path)
    assert test[0].target[::16, 0].tolist() == [-1, *range(13)]
    assert SUITE.tasks[0].classes[2] == "corn" and test.targets().tolist() == [[1] * 13] * 2


def test_splits(tmp_path):
    write(tmp_path)
    ids = {name: set(open_(tmp_path, name).ids) for name in SUITE.splits}
    assert ids["test"] == set(VALIDATION)
    assert ids["train"] | ids["val"] == set(TRAINING) and not ids["train"] & ids["val"] and ids["val"]
    assert SUITE.splits["train"] + SUITE.splits["val"] == 3083 and SUITE.splits["test"] == 771


def test_dates_are_unknown_without_their_table(tmp_path):
    (write(tmp_path) / "chips_df.csv").unlink()
    assert (open_(tmp_path)[0].when == -1).all()


@pytest.mark.parametrize("code", [-1, 14])
def test_code_out_of_range_is_named(code, tmp_path):
    path = write(tmp_path) / "validation_chips" / f"{VALIDATION[0]}.mask.tif"
    with rasterio.open(path) as file:
        values = file.read()
    values[0, 3, 3] = code
    write_tif(path, values)
    for use in (lambda split: split[0], lambda split: split.targets()):
        with pytest.raises(MissingData, match=path.name):
            use(open_(tmp_path))


def test_mask_of_another_place_is_named(tmp_path):
    path = write(tmp_path) / "validation_chips" / f"{VALIDATION[0]}.mask.tif"
    write_tif(path, np.ones((1, 224, 224), np.int16), crs="EPSG:4326", centre=(0, 0))
    with pytest.raises(MissingData, match=r"lies on .*replace"):
        open_(tmp_path)[0]


@pytest.mark.parametrize(
    "file",
    ["validation_data.txt", "training_data.txt", f"validation_chips/{VALIDATION[1]}_merged.tif",
     f"validation_chips/{VALIDATION[1]}.mask.tif"],
)  # fmt: skip
def test_absent_file_is_named(file, tmp_path):
    (write(tmp_path) / file).unlink()
    with pytest.raises(MissingData, match=file.rpartition("/")[2]):
        open_(tmp_path)


@pytest.mark.parametrize("ending", ["_merged.tif", ".mask.tif"])
def test_truncated_file_is_named(ending, tmp_path):
    path = write(tmp_path) / "validation_chips" / f"{VALIDATION[0]}{ending}"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(MissingData, match=path.name):
        open_(tmp_path)[0]


def test_too_few_bands_are_named(tmp_path):
    path = write(tmp_path) / "validation_chips" / f"{VALIDATION[0]}_merged.tif"
    write_tif(path, np.ones((12, 224, 224), np.int16))
    with pytest.raises(MissingData, match=r"has shape \(12, 224, 224\)"):
        open_(tmp_path)[0]


def test_chip_in_both_lists_is_named(tmp_path):
    with (write(tmp_path) / "validation_data.txt").open("a") as file:
        file.write(f"{TRAINING[0]}\n")
    with pytest.raises(MissingData, match=f"{TRAINING[0]} twice"):
        open_(tmp_path)


@pytest.mark.parametrize("broken", [False, True])
def test_download_is_what_open_reads(broken, tmp_path):
    folder = write(tmp_path / "served")

    def fetch(url, path, *, sha256="", md5=""):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tgz":
            with tarfile.open(path, "w:gz") as file:
                file.add(folder / path.stem, path.stem)
            if broken:
                path.write_bytes(path.read_bytes()[:-900])
        else:
            path.write_bytes((folder / path.name).read_bytes())
        return path

    if broken:
        with pytest.raises(MissingData, match=r"training_chips\.tgz"):
            SUITE.download(tmp_path, fetch)
        assert not (tmp_path / "crop_us" / "training_chips").exists()
    else:
        SUITE.download(tmp_path, fetch)
        assert open_(tmp_path).ids == open_(tmp_path / "served").ids
