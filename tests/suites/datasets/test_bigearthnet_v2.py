"""BigEarthNet v2: what it must get right and refuse."""

from __future__ import annotations

import io
import shutil
import tarfile

import numpy as np
import pandas as pd
import pytest

from bench.core.errors import MissingData
from suites.datasets.bigearthnet_v2 import CLASSES, PARTS, SUITE, TABLE, TABLE_MD5
from tests.fixtures.datasets.bigearthnet_v2 import PATCHES, write, write_band


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def bands(*names):
    return tuple({band.name: band for band in SUITE.bands}[name] for name in names)


def opened(root, split="train", wanted=SUITE.bands):
    return SUITE.open(root, "landcover", split, wanted)


def patch_folder(folder, number, sensor="s2"):
    name = PATCHES[number][sensor == "s1"]
    top, parts = ("BigEarthNet-S1", 3) if sensor == "s1" else ("BigEarthNet-S2", 2)
    return folder / top / name.rsplit("_", parts)[0] / name


def edit(folder, change):
    table = pd.read_parquet(folder / TABLE)
    change(table).to_parquet(folder / TABLE)


def test_facts_follow_torchgeo():
    from torchgeo.datasets import BigEarthNetV2

    assert list(CLASSES) == list(BigEarthNetV2.class_set)
    stated = BigEarthNetV2.metadata_locs
    assert [*stated["s1"]["files"].values()] == [*PARTS["BigEarthNet-S1"]]
    assert [*stated["s2"]["files"].values()] == [*PARTS["BigEarthNet-S2"]]
    assert stated["metadata"]["files"][TABLE] == TABLE_MD5
    assert BigEarthNetV2.url == SUITE.url + "{}"


def test_every_band_from_its_file_at_full_size(root):
    split = opened(root)
    assert list(split.ids) == [patch for patch, _, kind, *_ in PATCHES if kind == "train"]
    assert list(split.blocks) == ["T33UUP", "T33UUP", "T35VNK"]
    sample = split[1]
    optical, radar = sample.images["s2"][0], sample.images["s1"][0]
    for band, values in zip(SUITE.bands[2:], optical, strict=True):
        number = 100 * int(band.name[4:].replace("8a", "20")) + 1
        repeat = {10: 1, 20: 2, 60: 6}[band.gsd_m]
        assert (values == number + 1).sum() == repeat**2 and values[repeat - 1, repeat - 1] == number + 1, band.name
        assert values[repeat, repeat] == number and values[-1, -1] == number
    assert np.allclose(radar[:, 60, 60], [-10.1, -17.1]), "dB is not cut to whole numbers"


def test_labels_dates_and_place(root):
    split = opened(root)
    assert [CLASSES[code] for code in np.flatnonzero(split[2].target)] == sorted(PATCHES[2][4], key=CLASSES.index)
    assert split.targets().sum(axis=1).tolist() == [2, 1, 3]
    assert opened(root, wanted=bands("s2.b02"))[2].when.tolist() == [[2018, 2, 4]]
    assert opened(root, wanted=bands("s1.vh"))[2].when.tolist() == [[2018, 2, 6]]
    longitude, latitude = split[0].where
    assert 12.7 < longitude < 12.8 and 47.8 < latitude < 47.9
    assert [len(opened(root, name)) for name in SUITE.splits] == [3, 1, 2]


def test_only_what_is_asked_for_is_needed(tmp_path):
    folder = write(tmp_path)
    shutil.rmtree(folder / "BigEarthNet-S1")
    assert opened(tmp_path, "val", bands("s2.b12", "s2.b01"))[0].images["s2"][0, :, 50, 50].tolist() == [1203, 103]
    with pytest.raises(MissingData, match=r"1 of 1 patches .*S1A_IW_GRDH_1SDV_20170613T165043_33UUP_60_10"):
        opened(tmp_path, "val")


def test_absent_and_damaged_files_are_named(tmp_path):
    folder = write(tmp_path)
    path = patch_folder(folder, 0) / f"{PATCHES[0][0]}_B05.tif"
    path.write_bytes(path.read_bytes()[:150])
    (patch_folder(folder, 1) / f"{PATCHES[1][0]}_B8A.tif").unlink()
    write_band(patch_folder(folder, 2, "s1") / f"{PATCHES[2][1]}_VH.tif", np.zeros((60, 60), np.float32))
    split = opened(tmp_path)
    for index, file in ((0, r"57_B05\.tif"), (1, r"58_B8A\.tif"), (2, r"3_VH\.tif has shape \(1, 60, 60\)")):
        with pytest.raises(MissingData, match=file):
            split[index]
    shutil.rmtree(patch_folder(folder, 4))
    with pytest.raises(MissingData, match=r"1 of 2 patches listed in metadata\.parquet .*T29SNC_45_38"):
        opened(tmp_path, "test")


@pytest.mark.parametrize(("change", "message"), [
    (lambda table: table.drop(columns="s1_name"), "s1_name"),
    (lambda table: table.assign(labels=[["Glacier"]] * len(table)), "'Glacier' is no class"),
    (lambda table: table.assign(split="val"), "split 'val'"),
    (lambda table: pd.concat([table, table[:1].assign(split="test")]), "26_57 twice: in train and in test"),
])  # fmt: skip
def test_bad_tables_are_named(change, message, tmp_path):
    edit(write(tmp_path), change)
    with pytest.raises(MissingData, match=message):
        opened(tmp_path)


def test_truncated_table_is_named(tmp_path):
    path = write(tmp_path) / TABLE
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(MissingData, match=r"metadata\.parquet"):
        opened(tmp_path)


def test_download_joins_the_parts(root, tmp_path):
    source = root / SUITE.folder
    served = {TABLE: (source / TABLE).read_bytes()}
    for name in PARTS:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(source / name, name)
        whole = packed.getvalue()
        half = len(whole) // 2
        served |= {f"{name}.tar.gzaa": whole[:half], f"{name}.tar.gzab": whole[half:]}

    def fetch(url, path, *, sha256="", md5=""):
        assert md5 and url.startswith("https://") and url.endswith(path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(served[path.name])
        return path

    SUITE.download(tmp_path / "new", fetch)
    assert np.array_equal(opened(tmp_path / "new", "test")[1].images["s2"], opened(root, "test")[1].images["s2"])
    served["BigEarthNet-S2.tar.gzab"] = served["BigEarthNet-S2.tar.gzab"][:-100]
    with pytest.raises(MissingData, match=r"BigEarthNet-S2\.tar\.gzaa"):
        SUITE.download(tmp_path / "cut", fetch)
    assert not (tmp_path / "cut" / SUITE.folder / "BigEarthNet-S2").exists()
