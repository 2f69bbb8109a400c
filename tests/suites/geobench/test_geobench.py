"""GEO-Bench version 1: arrays by what they hold, labels without unpickling, dates, places, and what must be refused."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.geobench._reader import own_label
from tests.builders.suites import fixture_module, suite_module

NAMES = [
    *("m_bigearthnet", "m_brick_kiln", "m_cashew_plant", "m_chesapeake", "m_eurosat", "m_forestnet"),
    *("m_neontree", "m_nz_cattle", "m_pv4ger", "m_pv4ger_seg", "m_sa_crop_type", "m_so2sat"),
]
# The order of the values in EuroSAT's own files, whatever the arrays are called.
EUROSAT = ["b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b09", "b10", "b11", "b12", "b8a"]
WITHOUT_CIRRUS = ["b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b09", "b11", "b12"]
# ... and in SustainBench's, whose last three are a picture.
KILN = ["b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b11", "b12"]


def of(name):
    return suite_module(name)


def write(name, root):
    fixture_module(name).write(root)
    return root / "geobench" / of(name).LAYOUT.folder


def opened(name, root, split="train", bands=None):
    suite = of(name).SUITE
    wanted = suite.bands if bands is None else tuple(band for band in suite.bands if band.name in bands)
    return suite.open(root, suite.tasks[0].name, split, wanted)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    root = tmp_path_factory.mktemp("geobench")
    for name in NAMES:
        write(name, root)
    return root


@pytest.mark.parametrize(
    ("name", "stored", "first", "step"),
    [
        ("m_eurosat", EUROSAT, 1000, 10),
        ("m_brick_kiln", KILN, 500, 10),
        ("m_bigearthnet", WITHOUT_CIRRUS, 1000, 10),
        ("m_cashew_plant", WITHOUT_CIRRUS, 1000, 10),
        ("m_sa_crop_type", WITHOUT_CIRRUS, 51 / 255, 10 / 255),
        ("m_so2sat", [*WITHOUT_CIRRUS[1:9], "b11", "b12"], 0.1, 0.01),
    ],
)
def test_each_sentinel2_band_comes_from_the_array_that_holds_it(name, stored, first, step, copies):
    values = opened(name, copies)[1].images["s2"][0]
    names = [band.name.removeprefix("s2.") for band in of(name).SUITE.bands if band.sensor == "s2"]
    assert sorted(names) == sorted(stored)
    for band, value, corner in zip(names, values[:, 5, 5], values[:, 0, -1], strict=True):
        assert value == pytest.approx(first + stored.index(band) * step + step / 10, abs=step / 9), band
        assert corner - value == pytest.approx(step, rel=1e-3), "rows and columns as stored"


def test_other_sensors(copies):
    assert opened("m_so2sat", copies)[0].images["s1"][0, :, 3, 3] == pytest.approx([0.25, 0.05]), (
        "VV, then VH intensity"
    )
    sample = opened("m_forestnet", copies)[0]
    assert sample.images["landsat"][0, :, 3, 3].tolist() == [90, 80, 70, 100, 110, 120], "stored red, green, blue"
    assert opened("m_pv4ger", copies)[0].images["rgb"][0, :, 3, 3].tolist() == [100, 110, 120]
    aerial = opened("m_chesapeake", copies)[1].images["naip"][0, :, 3, 3]
    assert aerial == pytest.approx([52, 103, 154, 205], abs=1e-3), "divided by 255 in the files"
    for index in range(2):  # with and without a last axis of one
        height = opened("m_neontree", copies)[index].images["chm"][0, 0]
        assert [height[9, 0], height[10, 0], height[399, 399]] == pytest.approx([0, 1, 39.39])
        assert (height[10:20, 30:40] == height[10, 30]).all()


def test_a_declared_fill_value_is_missing(tmp_path):
    folder = write("m_eurosat", tmp_path)
    name = opened("m_eurosat", tmp_path).ids[0]
    [path] = [file for file in (tmp_path / "geobench").rglob("*.hdf5") if file.stem == name]
    with h5py.File(path, "r+") as file:
        key = next(key for key in file if key.startswith("02"))
        file[key][3, 4] = 30000
        file[key].attrs["_FillValue"] = file[key].dtype.type(30000)
    assert folder in path.parents
    image = opened("m_eurosat", tmp_path, bands=["s2.b02", "s2.b03"])[0].images["s2"][0]
    assert np.argwhere(np.isnan(image)).tolist() == [[0, 3, 4]]


def test_dates_and_places(copies):
    assert [s.when.tolist() for s in opened("m_forestnet", copies)] == [
        [[2014, 7, 9]],
        [[2015, -1, -1]],
        [[2016, 12, 31]],
    ]
    assert opened("m_forestnet", copies)[0].where == (102.25, -4.5)
    assert list(opened("m_forestnet", copies).blocks) == ["-4.5_102.25", "-4.5_102.25", "1.5_110.0"]
    assert opened("m_cashew_plant", copies)[1].when.tolist() == [[2020, 10, 30]]
    assert list(opened("m_cashew_plant", copies).blocks) == ["place_0", "place_0", "place_1"]
    assert (
        opened("m_eurosat", copies)[0].when.tolist() == [[-1, -1, -1]] and opened("m_eurosat", copies)[0].where is None
    )
    assert [sample.where for sample in opened("m_pv4ger", copies)] == [(6.25, 50.75), (7.5, 51.5)], "either way round"
    cattle = opened("m_nz_cattle", copies)
    assert cattle[1].where == (175.25, -40.5) and cattle[1].when.tolist() == [[2017, -1, -1]]
    assert list(cattle.blocks) == ["Kapiti_Coast_(2017)"] * 2
    assert list(opened("m_nz_cattle", copies, "val").blocks) == ["Waikato_(2016-2019)"]
    odd = opened("m_nz_cattle", copies, "test")
    assert list(odd.blocks) == ["odd name"] and odd[0].where is None and odd[0].when.tolist() == [[2018, -1, -1]]
    assert list(opened("m_neontree", copies).blocks) == ["TEAK", "TEAK"]
    assert [list(opened("m_neontree", copies, split).blocks) for split in ("val", "test")] == [["SJER"], ["plot_7"]]
    tiles = opened("m_sa_crop_type", copies).blocks
    assert len(set(tiles)) == 2 and tiles[0] == tiles[1] and tiles[0].endswith("_0001")


def test_targets(copies):
    assert opened("m_eurosat", copies, "val").targets().tolist() == [3, 4]
    assert [sample.target for sample in opened("m_so2sat", copies, "test")] == [10, 12]
    hot = opened("m_bigearthnet", copies).targets()
    assert [np.flatnonzero(row).tolist() for row in hot] == [[0, 42], [1, 41], [2, 40]]
    target = opened("m_cashew_plant", copies)[0].target
    assert [int((target == code).sum()) for code in range(7)] == [256, 256, 256, 256, 256, 250 * 256, 256]
    assert opened("m_cashew_plant", copies, "test").targets().tolist() == [[0, 0, 0, 1, 0, 0, 0]]
    assert [classes[i] for classes in [of("m_chesapeake").CLASSES] for i in (0, 1, 6)] == [
        *("no data", "water", "impervious (roads)")
    ]


def test_splits_are_those_of_the_default_partition(copies):
    lists = json.loads((copies / "geobench/classification_v1.0/m-eurosat/default_partition.json").read_text())
    for ours, theirs in (("train", "train"), ("val", "valid"), ("test", "test")):
        assert list(opened("m_eurosat", copies, ours).ids) == lists[theirs]
    assert [sum(of(name).SUITE.splits.values()) for name in NAMES] == [
        *(22000, 17061, 1800, 5000, 4000, 8446, 457, 655, 13812, 3806, 5000, 21964)
    ]


def test_nothing_is_unpickled(copies):
    """The copies' pickles leave a file behind when they are run."""
    for name in NAMES:
        split = opened(name, copies)
        split.targets()
        split[0]
        (folder,) = copies.glob(f"geobench/*/{of(name).LAYOUT.dataset}")
        assert not (copies / "unpickled").exists(), name
        assert own_label(next(folder.glob("*.hdf5"))) is None or of(name).SUITE.tasks[0].kind == "classification"
    with h5py.File(next(copies.glob("geobench/*/m-eurosat/*.hdf5"))) as file:
        pickle.loads(eval(file.attrs["pickle"]))
    assert (copies / "unpickled").exists(), "the trap works"
    (copies / "unpickled").unlink()


def test_classes_are_found_in_the_samples_where_no_table_lists_them(tmp_path):
    folder = write("m_forestnet", tmp_path)
    (folder / "label_map.json").unlink()
    assert opened("m_forestnet", tmp_path).targets().tolist() == [0, 0, 11]
    assert [sample.target for sample in opened("m_forestnet", tmp_path, "val")] == [5]
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("code", [0, 5, 300, 70000, 2**40])
def test_own_label_of_every_protocol(protocol, code, tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.attrs["pickle"] = str(pickle.dumps({"x": "no", "label": code, "y": 7}, protocol=protocol))
    assert own_label(tmp_path / "a.hdf5") == code
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file.attrs["pickle"] = str(pickle.dumps({"label": {"date": 3}, "n": 1}, protocol=protocol))
    assert own_label(tmp_path / "b.hdf5") is None


def changed(folder, name, change):
    with h5py.File(folder / f"{name}.hdf5", "r+") as file:
        change(file)


def put(key, value):
    def change(file):
        file[key][9, 9] = value

    return change


def remove(key):
    return lambda file: file.pop(key)


def twice(file):
    file["02 - Blue_2019-11-16"] = file["02 - Blue_2019-11-15"][()]


def other_size(file):
    del file["label"]
    file["label"] = np.zeros((255, 256), "i8")


def other_date(file):
    file["02 - Blue_2019-11-16"] = file.pop("02 - Blue_2019-11-15")


@pytest.mark.parametrize(
    ("name", "sample", "change", "message"),
    [
        ("m_cashew_plant", "sample_0", remove("08 - NIR_2019-11-15"), r"sample_0\.hdf5 has 0 arrays '08 - NIR'"),
        ("m_cashew_plant", "sample_0", twice, r"sample_0\.hdf5 has 2 arrays '02 - Blue'"),
        ("m_cashew_plant", "sample_0", other_date, r"sample_0\.hdf5: its bands are of different dates"),
        ("m_cashew_plant", "sample_0", remove("label"), r"sample_0\.hdf5 has 0 arrays 'label'"),
        ("m_cashew_plant", "sample_0", put("label", 7), r"sample_0\.hdf5: its mask holds the code 7, expected 0 to 6"),
        ("m_cashew_plant", "sample_0", put("label", -1), r"sample_0\.hdf5: its mask holds the code -1"),
        ("m_cashew_plant", "sample_0", other_size, r"'label' has shape \(255, 256\), expected \(256, 256\)"),
        ("m_chesapeake", "id_000051", put("Red", 52.0), r"id_000051\.hdf5: 'Red' reaches 52\.0, expected at most 1:"),
        ("m_eurosat", "id_0000", lambda file: file.attrs.__delitem__("pickle"), r"id_0000\.hdf5"),
        ("m_eurosat", "id_0000", lambda file: file.attrs.__setitem__("pickle", "b'"), r"id_0000\.hdf5: its attribute"),
        (
            "m_eurosat",
            "id_0000",
            lambda file: file.attrs.__setitem__("pickle", "b'ab'"),
            r"id_0000\.hdf5: its attribute",
        ),
    ],
)
def test_wrong_samples_are_named(name, sample, change, message, tmp_path):
    folder = write(name, tmp_path)
    changed(folder, sample, change)
    with pytest.raises(MissingData, match=message):
        opened(name, tmp_path)[0]


def edited(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "file", "change", "message"),
    [
        (
            "m_eurosat",
            "default_partition.json",
            lambda c: c["test"].append("id_0001"),
            "id_0001 twice: in train and in",
        ),
        ("m_eurosat", "default_partition.json", lambda c: c.pop("valid"), "'valid' is no list"),
        ("m_eurosat", "default_partition.json", lambda c: c.update(valid=[]), "'valid' is no list"),
        ("m_eurosat", "default_partition.json", lambda c: c["train"].append("../x"), r"lists '\.\./x', which"),
        ("m_eurosat", "default_partition.json", lambda c: c["train"].append("id_9"), r"the first is .*id_9\.hdf5"),
        ("m_eurosat", "label_map.json", lambda c: c["1"].append("id_0000"), "id_0000 under 0 and under 1"),
        ("m_eurosat", "label_map.json", lambda c: c.pop("1"), r"id_0001\.hdf5: its class is None in label_map"),
        ("m_eurosat", "label_map.json", lambda c: c.update({"10": c.pop("1")}), "its class is 10 .* expected 0 to 9"),
        ("m_eurosat", "label_map.json", lambda c: c.update({"River": c.pop("1")}), "its class is -1"),
        ("m_bigearthnet", "label_stats.json", lambda c: c.pop("id_0001"), "id_0001 has None, expected 43"),
        ("m_bigearthnet", "label_stats.json", lambda c: c["id_0001"].pop(), "id_0001 has .*, expected 43"),
        ("m_bigearthnet", "label_stats.json", lambda c: c.update(id_0001=[0.5] * 43), "id_0001 has .*, expected 43"),
    ],
)
def test_wrong_lists_are_named(name, file, change, message, tmp_path):
    edited(write(name, tmp_path) / file, change)
    with pytest.raises(MissingData, match=message):
        opened(name, tmp_path)


def test_a_table_and_a_sample_that_disagree_are_an_error(tmp_path):
    edited(write("m_eurosat", tmp_path) / "label_map.json", lambda c: c.update({"0": c["1"], "1": c["0"]}))
    with pytest.raises(MissingData, match=r"id_0000\.hdf5 states class 0, label_map\.json 1"):
        opened("m_eurosat", tmp_path)[0]


@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_cut_short(keep, tmp_path):
    folder = write("m_pv4ger_seg", tmp_path)
    path = folder / "50.75,6.25.hdf5"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    split = opened("m_pv4ger_seg", tmp_path)
    for read in (lambda: split[0], split.targets):
        with pytest.raises(MissingData, match=r"50\.75,6\.25\.hdf5"):
            read()
    lists = folder / "default_partition.json"
    lists.write_text(lists.read_text()[:40])
    with pytest.raises(MissingData, match=r"default_partition\.json"):
        opened("m_pv4ger_seg", tmp_path)
    lists.unlink()
    with pytest.raises(MissingData, match=r"m_pv4ger_seg not found .*default_partition\.json"):
        opened("m_pv4ger_seg", tmp_path)


def test_a_name_without_a_place_is_an_error(tmp_path):
    folder = write("m_pv4ger", tmp_path)
    (folder / "7.5,51.5.hdf5").rename(folder / "here.hdf5")
    edited(folder / "default_partition.json", lambda c: c.update(train=["here"]))
    (folder / "label_map.json").unlink()
    with pytest.raises(MissingData, match=r"here\.hdf5: its name states no place"):
        opened("m_pv4ger", tmp_path)[0]


@pytest.mark.parametrize("name", NAMES)
def test_download_makes_what_open_reads(name, tmp_path):
    folder = write(name, tmp_path / "published")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for path in sorted(folder.iterdir()):
            file.write(path, path.relative_to(folder.parent))
    asked = []

    def fetch(url, path, *, sha256="", md5=""):
        asked.append(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((tmp_path / "a.zip").read_bytes())
        return path

    for _ in range(2):
        of(name).SUITE.download(tmp_path / "new", fetch)
    assert asked == [f"{of(name).SUITE.url}{of(name).LAYOUT.folder}.zip"], "and not twice"
    split, again = opened(name, tmp_path / "new"), opened(name, tmp_path / "published")
    assert list(split.ids) == list(again.ids) and np.array_equal(split.targets(), again.targets())


PACKAGE = """
import json, sys
import numpy as np
import geobench as gb
from pathlib import Path

folder = Path(sys.argv[1])
names = [info.name for info in gb.sentinel2_13_bands]
values = {name: np.full((64, 64), 1000 + 10 * i, np.int16) for i, name in enumerate(names)}
bands = [gb.Band(values[info.name], info, 10) for info in gb.sentinel2_13_bands]
for number, split in enumerate(("train", "valid", "test")):
    gb.Sample(list(bands), 7 + number, f"id_{number}").write(folder, format="hdf5")
(folder / "default_partition.json").write_text(json.dumps({"train": ["id_0"], "valid": ["id_1"], "test": ["id_2"]}))
sample = gb.load_sample(folder / "id_0.hdf5", format="hdf5")
packed, named = sample.pack_to_3d(names)
print(json.dumps([sample.label, list(named), packed[3, 4].tolist()]))
"""


def test_reads_what_the_publishers_package_writes(tmp_path):
    """Its own writer and reader, in a process of its own: it makes a folder when imported."""
    if importlib.util.find_spec("geobench") is None:
        pytest.skip("geobench is not installed")
    folder = tmp_path / "geobench" / "classification_v1.0" / "m-eurosat"
    folder.mkdir(parents=True)
    run = subprocess.run(
        [sys.executable, "-c", PACKAGE, str(folder)],
        check=False, capture_output=True, text=True, env={**os.environ, "GEO_BENCH_DIR": str(tmp_path / "none")},
    )  # fmt: skip
    if run.returncode:
        pytest.skip(f"geobench does not run here: {run.stderr[-200:]}")
    label, names, values = json.loads(run.stdout)
    sample = opened("m_eurosat", tmp_path)[0]
    assert sample.target == label == 7
    stored = of("m_eurosat").LAYOUT.stored
    ours = dict(zip((band.name for band in of("m_eurosat").SUITE.bands), sample.images["s2"][0, :, 3, 4], strict=True))
    assert {stored[band]: float(value) for band, value in ours.items()} == dict(zip(names, values, strict=True))
    assert isinstance(folder, Path) and opened("m_eurosat", tmp_path, "test").targets().tolist() == [9]
