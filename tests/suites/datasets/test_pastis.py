"""PASTIS: what it must get right and refuse."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.pastis import ARCHIVE, BANDS, CLASSES, SUITE
from tests.fixtures.datasets.pastis import DEGREES, write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train", bands=BANDS):
    return SUITE.open(root, "crops", split, bands)


def test_facts_are_torchgeos():
    """Read from its source: importing it takes seconds."""
    source = (Path(find_spec("torchgeo").origin).parent / "datasets" / "pastis.py").read_text()
    assert all(f"'{fact}" in source for fact in (ARCHIVE[1], f"{SUITE.url}{ARCHIVE[0]}", SUITE.folder))
    start, end = source.index("classes = ("), source.index("'void_label'")
    named = [line.split("'")[1] for line in source[start:end].splitlines() if "'" in line]
    assert named == [name.replace(",", "").replace(" ", "_") for name in CLASSES]
    assert sum(SUITE.splits.values()) == 2433


def test_folds_and_tiles(root):
    assert {name: list(opened(root, name).ids) for name in SUITE.splits} == {
        "train": ["10000", "10001", "20003"],
        "val": ["30005"],
        "test": ["40007"],
    }
    assert opened(root).blocks == ["t30uxv", "t30uxv", "t31tfj"]


def test_series_differ_in_length_and_keep_their_dates(root):
    split = opened(root, bands=(BANDS[9], BANDS[0], BANDS[7]))
    assert [band.name for band in BANDS[7:]] == ["s2.b8a", "s2.b11", "s2.b12"]
    expected = ([[2018, 9, 24], [2019, 1, 1]], [[2019, 1, 2]], [[2019, 6, 21]])
    for index, dates in enumerate(expected):
        sample = split[index]
        assert sample.when.tolist() == dates and sample.when.dtype == np.int32
        image = sample.images["s2"]
        assert image.shape == (len(dates), 3, 128, 128)
        assert image[:, :, 99, 99].tolist() == [[1000 + t, 100 + t, 800 + t] for t in range(len(dates))]
        assert np.isnan(image[0, :, :4, :4]).all() and np.isfinite(image[0, :, 4:]).all()
        assert np.isfinite(image[1:]).all()
        assert np.allclose(sample.where, DEGREES, atol=1e-6)


def test_codes(root):
    split = opened(root)
    assert split[0].target[50, :21].tolist() == [*range(20), 0]
    assert SUITE.tasks[0].ignore == 19 and len(CLASSES) == 19
    assert split.targets().tolist() == [[1] * 19] * 3


def test_the_optical_edition_is_read_too(root, tmp_path):
    (tmp_path / "PASTIS").symlink_to(root / "PASTIS-R")
    for given in (tmp_path, tmp_path / "PASTIS"):
        assert len(opened(given)) == 3


@pytest.mark.parametrize("file", ["DATA_S2/S2_10001.npy", "ANNOTATIONS/TARGET_20003.npy"])
def test_absent_files_are_named(file, tmp_path):
    (write(tmp_path) / file).unlink()
    with pytest.raises(MissingData, match=rf"1 of 3 files listed in metadata\.geojson .*{Path(file).name}"):
        opened(tmp_path)
    assert len(opened(tmp_path, "test")) == 1


def test_damaged_arrays_and_strange_codes_are_named(tmp_path):
    folder = write(tmp_path)
    cut = folder / "DATA_S2" / "S2_10000.npy"
    cut.write_bytes(cut.read_bytes()[:9000])
    np.save(folder / "DATA_S2" / "S2_10001.npy", np.zeros((3, 10, 128, 128), np.int16))
    np.save(folder / "ANNOTATIONS" / "TARGET_20003.npy", np.full((3, 128, 128), 20, np.uint8))
    split = opened(tmp_path)
    for index, message in (
        (0, cut.name),
        (1, r"expected \(1, 10, 128, 128\)"),
        (2, r"TARGET_20003\.npy holds .*\[20\]"),
    ):
        with pytest.raises(MissingData, match=message):
            split[index]
    with pytest.raises(MissingData, match="TARGET_20003"):
        split.targets()


@pytest.mark.parametrize(("change", "message"), [
    (lambda rows: rows[0]["properties"].pop("Fold"), "Fold"),
    (lambda rows: rows[0]["properties"].update(Fold=6), "is of fold 6"),
    (lambda rows: rows[0]["properties"].update({"dates-S2": {"0": 20191301}}), "20191301 is no date"),
    (lambda rows: rows[0].update(geometry=None), "cannot read"),
    (lambda rows: rows[0]["properties"].update(ID_PATCH=10000), "10000 twice: in train and in test"),
])  # fmt: skip
def test_strange_metadata_are_named(change, message, tmp_path):
    path = write(tmp_path) / "metadata.geojson"
    content = json.loads(path.read_text())
    change(content["features"])
    path.write_text(json.dumps(content))
    with pytest.raises(MissingData, match=message):
        opened(tmp_path)


def test_truncated_metadata_are_named(tmp_path):
    path = write(tmp_path) / "metadata.geojson"
    path.write_text(path.read_text()[:200])
    with pytest.raises(MissingData, match=r"metadata\.geojson"):
        opened(tmp_path)
