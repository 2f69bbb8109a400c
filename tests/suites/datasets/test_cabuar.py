"""CaBuAr: what it must get right and refuse."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

from bench.core.errors import MissingData, UnknownName
from suites.datasets import cabuar
from suites.datasets.cabuar import BANDS, BURNED, FILES, FOLDS, SUITE
from tests.fixtures.datasets.cabuar import write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train", task="burned_since", bands=BANDS):
    return SUITE.open(root, task, split, bands)


def test_facts_are_torchgeos():
    """Read from its source: importing it takes seconds."""
    source = (Path(find_spec("torchgeo").origin).parent / "datasets" / "cabuar.py").read_text()
    dense = "".join(source.split()).replace(",)", ")")
    assert f"all_bands=({','.join(repr(b.name.removeprefix('s2.').upper()) for b in BANDS)})" in dense
    assert (
        f"filenames={tuple(FILES)}".replace(" ", "") in dense
        and f"md5s={tuple(FILES.values())}".replace(" ", "") in dense
    )
    assert all(f"'{SUITE.url}{name}'" in dense for name in FILES)
    assert "{'train':[1,2,3,4],'val':[0],'test':['chabud'],}" in dense
    assert FOLDS == {"train": ("1", "2", "3", "4"), "val": ("0",), "test": ("chabud",)}


def test_splits_follow_the_folds_and_leave_out_single_dates(root):
    assert {name: list(opened(root, name).ids) for name in SUITE.splits} == {
        "train": ["aa-1_0", "aa-1_2", "bb-2_0"],
        "val": ["cc-3_0"],
        "test": ["ee-5_0", "ff-6_3"],
    }
    assert opened(root).blocks == ["aa-1", "aa-1", "bb-2"]


def test_dates_bands_codes_and_no_data(root):
    picked = (BANDS[11], BANDS[0], BANDS[8])
    sample = opened(root, bands=picked)[1]
    image = sample.images["s2"]
    assert image.shape == (2, 3, 512, 512) and picked[2].name == "s2.b8a"
    assert image[:, :, 99, 99].tolist() == [[1200, 100, 900], [3200, 2100, 2900]], "before, then after"
    assert np.isnan(image[..., :4]).all() and np.isfinite(image[..., 4:]).all()
    assert image[:, 1, 0, 9].tolist() == [0, 0], "0 in one band alone is a value"
    assert [(sample.target == code).sum() for code in (0, 1)] == [384 * 512, 128 * 512]
    assert opened(root).targets().tolist() == [[1, 1]] * 3


def test_the_single_date_task_reads_every_patch_after_the_fire(root, monkeypatch):
    with pytest.raises(UnknownName, match="burned_since"):
        opened(root, task="burned")
    monkeypatch.setattr(cabuar, "SUITE", replace(SUITE, tasks=(*SUITE.tasks, BURNED)))
    split = opened(root, "val", "burned")
    assert list(split.ids) == ["cc-3_0", "cc-3_1"]
    assert split[1].images["s2"].shape == (1, 12, 512, 512) and split[1].images["s2"][0, 0, 99, 99] == 2100


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [None, 0.0, 0.5])
def test_absent_and_truncated_files_are_named(name, keep, tmp_path):
    path = write(tmp_path) / name
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(MissingData, match=name):
        opened(tmp_path)


@pytest.mark.parametrize(("change", "message"), [
    (lambda file: file["aa-1_0"].attrs.modify("fold", 7), "aa-1_0 is of fold 7"),
    (lambda file: file["aa-1_0"].attrs.pop("fold"), "aa-1_0 is of fold None"),
    (lambda file: file["aa-1_0"].pop("post_fire"), "aa-1_0 has no post_fire"),
    (lambda file: file["aa-1_0"].pop("mask"), "aa-1_0 has no mask"),
    (lambda file: file["aa-1_0"].create_dataset("x", data=np.zeros((4, 4, 12))), r"aa-1_0/x has shape \(4, 4, 12\)"),
    (lambda file: file["aa-1_0"]["mask"].write_direct(np.full((512, 512, 1), 2, np.uint16)), r"holds the codes \[2\]"),
    (lambda file: file.copy("aa-1_0", h5py.File(file.filename.replace("512x512.hdf5", "chabud_test.h5"), "a")),
     r"aa-1_0 twice: in 512x512\.hdf5 and in chabud_test\.h5"),
])  # fmt: skip
def test_strange_content_is_named(change, message, tmp_path):
    with h5py.File(write(tmp_path) / "512x512.hdf5", "a") as file:
        change(file)
    with pytest.raises(MissingData, match=message):
        opened(tmp_path)[0]


def test_an_unpackable_array_is_named_when_read(tmp_path, monkeypatch):
    """A filter that is not installed shows only when values are read."""
    write(tmp_path)
    split = opened(tmp_path)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: (_ for _ in ()).throw(OSError("required filter")))
    with pytest.raises(MissingData, match=r"512x512\.hdf5: required filter"):
        split[0]
