"""So2Sat: what it must get right and refuse."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.so2sat import CLASSES, FILES, STORED, SUITE
from tests.fixtures.datasets.so2sat import write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def bands(*names):
    return tuple({band.name: band for band in SUITE.bands}[name] for name in names)


def opened(root, split="train", wanted=SUITE.bands):
    return SUITE.open(root, "climatezone", split, wanted)


def change(path, name, values):
    with h5py.File(path, "r+") as file:
        del file[name]
        if values is not None:
            file[name] = values


def test_facts_follow_torchgeo():
    from torchgeo.datasets import So2Sat

    assert list(CLASSES) == list(So2Sat.classes)
    names = {"train": "train", "val": "validation", "test": "test"}
    stated = zip(So2Sat.filenames_by_version["2"].items(), So2Sat.md5s_by_version["2"].values(), strict=True)
    assert {split: (file, md5) for (split, file), md5 in stated} == {names[split]: FILES[split] for split in FILES}
    assert [f"S2_{name[3:].upper()}" for name in STORED["s2"]] == list(So2Sat.all_s2_band_names)


def test_each_band_from_its_place(root):
    sample = opened(root)[3]
    assert sample.target == 3
    assert np.allclose(sample.images["s1"][0, :, 5, 5], [0.25, 0.05]), "filtered VV and VH intensity"
    assert np.allclose(sample.images["s2"][0, :, 5, 5], 0.1003 + np.arange(10) / 100)
    assert np.allclose(sample.images["s2"][0, 0, 0, 30:], [0.1003, 0.6003]), "rows before columns"
    test = opened(root, "test", bands("s2.b8a", "s1.vh"))
    assert np.allclose(test[0].images["s2"][0, 0, 9, 9], 0.172)
    assert test.targets().tolist() == [15, 16, *range(15)]
    assert test.ids[:2] == ["testing_000000", "testing_000001"]


def test_a_split_needs_its_own_file_only(tmp_path):
    folder = write(tmp_path)
    (folder / "testing.h5").unlink()
    assert len(opened(tmp_path, "val")) == 17
    with pytest.raises(MissingData, match=r"testing\.h5 is absent"):
        opened(tmp_path, "test")


@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_truncated_file_is_named(keep, tmp_path):
    path = write(tmp_path) / "training.h5"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(MissingData, match=r"training\.h5"):
        opened(tmp_path)


@pytest.mark.parametrize(("name", "values", "message"), [
    ("sen2", None, "training.h5"),
    ("sen2", np.zeros((17, 32, 32, 13)), r"sen2 has shape \(17, 32, 32, 13\), expected \(17, 32, 32, 10\)"),
    ("sen1", np.zeros((16, 32, 32, 8)), "sen1 has shape"),
    ("label", np.eye(17)[:, :16], "label has shape"),
    ("label", np.eye(17) * 2, "label 0 is .* not one class"),
    ("label", np.tril(np.ones((17, 17))), "label 1 is .* not one class"),
])  # fmt: skip
def test_other_arrays_are_named(name, values, message, tmp_path):
    change(write(tmp_path) / "training.h5", name, values)
    with pytest.raises(MissingData, match=message):
        opened(tmp_path)


def test_optical_bands_do_not_need_the_radar(tmp_path):
    change(write(tmp_path) / "training.h5", "sen1", None)
    assert list(opened(tmp_path, wanted=bands("s2.b04"))[0].images) == ["s2"]


def test_download_asks_for_the_publishers_files(tmp_path):
    asked = []
    SUITE.download(tmp_path, lambda url, path, *, md5: asked.append((url, path, md5)))
    assert [(path.name, md5) for _, path, md5 in asked] == list(FILES.values())
    assert all(url.startswith("https://dataserv.ub.tum.de/") and url.endswith(path.name) for url, path, _ in asked)
