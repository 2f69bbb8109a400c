"""Every suite on a tiny copy of its published layout: one contract for all, then what each must get right or refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.catalogue.suites import shipped
from bench.core import UNITS
from bench.core.errors import MissingData, UnknownName
from bench.metrics import METRICS
from tests.builders.downloads import Recorder, served_by, zipped
from tests.builders.suites import NAMES, check_sample, check_target, suite_of, write
from tests.fixtures.datasets.eurosat import IMAGES
from tests.fixtures.datasets.sen1floods11 import CHIPS, LISTS


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A root with the tiny copies of all suites; tests that change a file make their own."""
    root = tmp_path_factory.mktemp("data")
    for name in NAMES:
        write(name, root)
    return root


ALL = NAMES
ON_DISK = [name for name in ALL if suite_of(name).folder]


def test_importing_suites_is_light():
    heavy = "{'torch', 'numpy', 'rasterio', 'PIL', 'pandas'}"
    lines = [f"import {package}.{name}" for name, package in shipped().items()] + [
        f"import sys; assert not {heavy} & set(sys.modules)"
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("name", ALL)
def test_facts(name):
    suite = suite_of(name)
    assert suite.name == name
    assert {"train", "val", "test"} <= set(suite.splits)
    assert len({band.name for band in suite.bands}) == len(suite.bands)
    assert all(band.unit in UNITS for band in suite.bands)
    assert suite.title and suite.licence and suite.notes and suite.tasks
    assert suite.generated == (suite.download is None)
    assert suite.generated or (suite.citation and suite.url)
    for task in suite.tasks:
        valued = task.kind in ("regression", "dense_regression")
        assert bool(task.classes) != valued and bool(task.unit and task.quantity) == valued
        assert task.metric in METRICS
        assert (task.kind != "change") or suite.dates == 2


@pytest.mark.parametrize("name", ALL)
def test_every_split_keeps_the_contract(name, copies):
    suite = suite_of(name)
    for task in suite.tasks:
        seen: set[str] = set()
        for split_name in suite.splits:
            split = suite.open(copies, task.name, split_name, suite.bands)
            assert len(split) == len(split.ids) == len(split.blocks) > 0
            assert len(set(split.ids)) == len(split)
            assert not seen & set(split.ids)
            seen |= set(split.ids)
            if suite.generated and split_name != "val":
                continue  # the same code on more scenes
            targets = split.targets()
            assert len(targets) == len(split)
            for index in {0, len(split) // 2, len(split) - 1}:
                sample = split[index]
                check_sample(suite, task, sample, suite.bands)
                check_target(suite, task, sample.target, targets[index])
            with pytest.raises(IndexError):
                split[len(split)]


@pytest.mark.parametrize("name", ALL)
def test_bands_come_as_asked(name, copies):
    suite = suite_of(name)
    forward = suite.open(copies, suite.tasks[0].name, "val", suite.bands)[0].images
    backward = suite.open(copies, suite.tasks[0].name, "val", suite.bands[::-1])[0].images
    assert list(backward) == list(forward)[::-1]
    for sensor, values in forward.items():
        assert np.array_equal(backward[sensor], values[:, ::-1], equal_nan=True)
    for position in (0, len(suite.bands) - 1):
        alone = suite.open(copies, suite.tasks[0].name, "val", (suite.bands[position],))[0].images
        sensor = suite.bands[position].sensor
        assert list(alone) == [sensor]
        assert np.array_equal(alone[sensor], forward[sensor][:, [0 if position == 0 else -1]], equal_nan=True)


@pytest.mark.parametrize("name", ALL)
def test_unknown_names_list_the_known(name, copies):
    suite = suite_of(name)
    task = suite.tasks[0].name
    with pytest.raises(UnknownName, match=task):
        suite.open(copies, "nonsense", "train", suite.bands)
    with pytest.raises(UnknownName, match="train"):
        suite.open(copies, task, "trian", suite.bands)
    other = next(band for other in ALL for band in suite_of(other).bands if band.name not in _names(suite))
    with pytest.raises(UnknownName, match=suite.bands[0].name):
        suite.open(copies, task, "train", (other,))


def _names(suite):
    return {band.name for band in suite.bands}


@pytest.mark.parametrize("name", ON_DISK)
def test_data_may_name_the_parent_or_the_folder(name, copies):
    suite = suite_of(name)
    above = suite.open(copies, suite.tasks[0].name, "train", suite.bands)
    itself = suite.open(copies / suite.folder, suite.tasks[0].name, "train", suite.bands)
    assert list(above.ids) == list(itself.ids)


@pytest.mark.parametrize("name", ON_DISK)
def test_absent_data_says_where_it_was_looked_for(name, tmp_path):
    suite = suite_of(name)
    with pytest.raises(MissingData) as caught:
        suite.open(tmp_path, suite.tasks[0].name, "train", suite.bands)
    text = str(caught.value)
    assert text.startswith(f"{name} not found under {tmp_path / suite.folder}: looked for ")
    assert "download=" in text and "data=" in text


REMOVED = [
    ("eurosat", Path("eurosat-val.txt")),
    ("eurosat", IMAGES / "River" / "River_2.tif"),
    ("eurosat_rgb", Path("eurosat-test.txt")),
    ("eurosat_rgb", Path("EuroSAT_RGB", "Forest", "Forest_2.jpg")),
    ("sen1floods11", LISTS / "flood_train_data.csv"),
    ("sen1floods11", CHIPS / "S1Hand" / "Mekong_2_S1Hand.tif"),
    ("sen1floods11", CHIPS / "S2Hand" / "Ghana_3_S2Hand.tif"),
    ("sen1floods11", CHIPS / "LabelHand" / "India_1_LabelHand.tif"),
    ("fuel_moisture", Path("npy", "month.npy")),
]


@pytest.mark.parametrize(("name", "file"), REMOVED, ids=lambda value: getattr(value, "name", value))
def test_half_downloaded_data_names_the_absent_file(name, file, tmp_path):
    folder = write(name, tmp_path)
    (folder / file).unlink()
    suite = suite_of(name)
    with pytest.raises(MissingData, match=file.name):
        suite.open(tmp_path, suite.tasks[0].name, "train", suite.bands)


CUT = [
    ("eurosat", IMAGES / "AnnualCrop" / "AnnualCrop_1.tif"),
    ("eurosat_rgb", Path("EuroSAT_RGB", "AnnualCrop", "AnnualCrop_1.jpg")),
    ("sen1floods11", CHIPS / "S1Hand" / "India_1_S1Hand.tif"),
    ("sen1floods11", CHIPS / "LabelHand" / "India_1_LabelHand.tif"),
]


@pytest.mark.parametrize(("name", "file"), CUT, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_truncated_images_are_named_when_read(name, file, keep, tmp_path):
    path = write(name, tmp_path) / file
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    suite = suite_of(name)
    split = suite.open(tmp_path, suite.tasks[0].name, "train", suite.bands)
    with pytest.raises(MissingData, match=file.name):
        split[0]


@pytest.mark.parametrize(("name", "archive", "below"), [
    ("eurosat", "EuroSATallBands.zip", "ds"),
    ("eurosat_rgb", "EuroSAT_RGB.zip", "EuroSAT_RGB"),
    ("sen1floods11", "", ""),
    ("fuel_moisture", "", ""),
])  # fmt: skip
def test_download_makes_what_open_reads(name, archive, below, copies, tmp_path):
    suite = suite_of(name)
    assert suite.download is not None
    served = served_by(copies / suite.folder)
    if archive:
        served[archive] = zipped(copies / suite.folder, tmp_path, below)
    fetch = Recorder(served)
    suite.download(tmp_path / "new", fetch)
    assert all(url.startswith("https://") and url.endswith(path.name) for url, path in fetch.asked)
    for split_name in suite.splits:
        split = suite.open(tmp_path / "new", suite.tasks[0].name, split_name, suite.bands)
        again = suite.open(copies, suite.tasks[0].name, split_name, suite.bands)
        assert list(split.ids) == list(again.ids)
        assert np.array_equal(split.targets(), again.targets())
