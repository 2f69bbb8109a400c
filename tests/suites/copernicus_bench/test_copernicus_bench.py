"""Copernicus-Bench: what its fifteen suites must get right and refuse, held to torchgeo's own classes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio

from bench.core.errors import MissingData
from suites.copernicus_bench._olci import COUNTS, LC100, OLCI
from tests.builders.rasters import write_tif
from tests.builders.suites import NAMES as NAMES_OF_SUITES
from tests.builders.suites import fixture_module, suite_module
from tests.fixtures.copernicus_bench import _shared as tiny

NAMES = [name for name in NAMES_OF_SUITES if name.startswith("cb_")]


def suite_of(name):
    return suite_module(name).SUITE


def layout_of(name):
    return suite_module(name).LAYOUT


def write(name, root):
    return fixture_module(name).write(root)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name in NAMES:
        write(name, root)
    return root


def opened(name, root, split="train", task=None, bands=None):
    suite = suite_of(name)
    known = {band.name: band for band in suite.bands}
    wanted = tuple(known[band] for band in bands) if bands else suite.bands
    return suite.open(root, task or suite.tasks[0].name, split, wanted)


def torchgeo_of(name, root, split="train", **settings):
    from torchgeo.datasets import CopernicusBench

    return CopernicusBench(name.removeprefix("cb_"), root=str(root / "copernicus_bench"), split=split, **settings)


def test_all_of_torchgeos_list():
    from torchgeo.datasets.copernicus import DATASET_REGISTRY

    assert {f"cb_{name}" for name in DATASET_REGISTRY} == set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cb_lcz_s2"])
def test_facts_follow_torchgeo(name):
    from torchgeo.datasets.copernicus import DATASET_REGISTRY

    theirs, layout, suite = DATASET_REGISTRY[name.removeprefix("cb_")], layout_of(name), suite_of(name)
    assert suite.url + layout.archive[0] == theirs.url and layout.archive[1] == theirs.md5
    assert Path(layout.directory) == Path(theirs.directory)
    stored = [band.name.partition(".")[2].lower() for band in layout.stored]
    assert stored == [band.lower().removesuffix("_radiance") for band in theirs.all_bands]


def test_classes_follow_torchgeo():
    from torchgeo.datasets.copernicus import DATASET_REGISTRY as THEIRS

    assert suite_of("cb_lcz_s2").tasks[0].classes == THEIRS["lcz_s2"].classes
    assert suite_of("cb_bigearthnet_s1").tasks[0].classes == THEIRS["bigearthnet_s1"].classes
    assert {code: place for place, code in enumerate(LC100)} == THEIRS["lc100seg_s3"].class_map
    for task in suite_of("cb_eurosat_s1").tasks:
        assert sorted(THEIRS["eurosat_s1"].classes) == list(task.classes)
    kept = ("Forest", "Shrubland", "Grassland", "Wetlands", "Croplands", "Urban/Built-up", "Barren", "Water")
    codes = [THEIRS["dfc2020_s2"].classes.index(name) for name in kept]
    assert [code for code, place in layout_of("cb_dfc2020_s2").codes["landcover"].items() if place >= 0] == codes
    files = suite_module("cb_lcz_s2").FILES
    assert {split: md5 for split, (_, md5) in files.items()} == THEIRS["lcz_s2"].md5s
    assert [name.removeprefix("lcz_") for name, _ in files.values()] == ["train.h5", "val.h5", "test.h5"]


@pytest.mark.parametrize("name", NAMES)
def test_torchgeo_reads_the_same(name, copies):
    """The first sample, whose size needs no fitting; torchgeo leaves OLCI counts as they are stored."""
    split, theirs = opened(name, copies), torchgeo_of(name, copies)
    assert len(split) == len(theirs)
    sample, other = split[0], theirs[0]
    suite = suite_of(name)
    stored = suite.bands if name == "cb_lcz_s2" else layout_of(name).stored
    [values] = sample.images.values()
    if name in ("cb_lc100seg_s3", "cb_biomass_s3"):
        values = values[..., 1::3, 1::3]  # fitted from 96 to 288 pixels: each third is where a stored pixel was
    image = other["image"].numpy().reshape(values.shape)[:, [stored.index(band) for band in suite.bands]]
    if suite.bands[0].sensor == "s3":
        image = image * np.array(COUNTS, np.float32)[:, None, None]
    seen = np.isfinite(values)
    assert seen.mean() > 0.9 and np.allclose(values[seen], image[seen], rtol=1e-6)
    assert not seen[np.isnan(image)].any()
    if sample.where:
        assert np.allclose(sample.where, (other["lon"], other["lat"]), atol=1e-6)
    kind = suite.tasks[0].kind
    if kind == "classification":
        classes = suite.tasks[0].classes
        assert classes[sample.target] == theirs.classes[int(other["label"])]
    elif kind == "multilabel":
        assert np.array_equal(sample.target, other["label"].numpy())
    elif kind == "dense_regression":
        mask = other["mask"].numpy()
        assert np.array_equal(sample.target, np.where(np.abs(mask) <= 1e10, mask, np.nan), equal_nan=True)
    else:
        # Of LC100 torchgeo gives classes, of the others the codes as stored.
        codes = dict(enumerate(range(23))) if "lc100" in name else layout_of(name).codes[suite.tasks[0].name]
        assert np.array_equal(sample.target, np.vectorize(codes.get)(other["mask"].numpy()))


@pytest.mark.parametrize(("name", "band", "expected"), [
    ("cb_cloud_s2", "s2.b8a", 1801), ("cb_cloud_s2", "s2.b12", 2201), ("cb_eurosat_s2", "s2.b8a", 2201),
    ("cb_bigearthnet_s2", "s2.b09", 1901), ("cb_dfc2020_s2", "s2.b09", 1901), ("cb_dfc2020_s1", "s1.vh", -18),
    ("cb_bigearthnet_s1", "s1.vv", -11), ("cb_eurosat_s1", "s1.vh", -18), ("cb_lcz_s2", "s2.b12", 0.191),
    ("cb_cloud_s3", "s3.oa01", 1010 * COUNTS[0]), ("cb_cloud_s3", "s3.oa21", 3010 * COUNTS[20]),
    ("cb_lc100cls_s3", "s3.oa08", 1710 * COUNTS[7]), ("cb_lc100seg_s3", "s3.oa08", 1710 * COUNTS[7]),
    ("cb_biomass_s3", "s3.oa03", 1210 * COUNTS[2]), ("cb_aq_no2_s5p", "s5p.no2", 5.5e-5),
    ("cb_aq_o3_s5p", "s5p.o3", 0.154),
])  # fmt: skip
def test_each_band_from_its_place(name, band, expected, copies):
    split = opened(name, copies, bands=(band,))
    side = suite_of(name).image_size[0]
    [values] = split[1].images.values()
    assert values.shape == (1, 1, side, side)
    assert values[0, 0, side // 2, side // 2] == pytest.approx(expected, rel=1e-5)


def test_no_data_is_nan(copies):
    for name in ("cb_cloud_s2", "cb_bigearthnet_s2", "cb_dfc2020_s2", "cb_eurosat_s2"):
        image = opened(name, copies)[0].images["s2"]
        assert np.isnan(image[..., :2]).all() and np.isfinite(image[..., 2:]).all()
    image = opened("cb_lc100seg_s3", copies)[1].images["s3"]
    assert np.isnan(image[..., :11, :11]).all() and np.isfinite(image[..., 20:, 20:]).all(), "fitted to 288 pixels"


def test_radar_and_optical_of_one_patch(copies):
    radar, other = opened("cb_bigearthnet_s1", copies), opened("cb_bigearthnet_s2", copies)
    assert list(radar.ids) == list(other.ids) and set(radar.blocks) == {"T29UPU"}
    assert radar[0].when.tolist() == [[2018, 4, 20]] and other[0].when.tolist() == [[2018, 4, 21]]
    assert other.targets()[1].nonzero()[0].tolist() == [1, 18]


def test_clouds(copies):
    split = opened("cb_cloud_s2", copies)
    assert split.blocks[1] == "ROI_00001" and split[1].when.tolist() == [[2020, 4, 22]]
    assert np.unique(split[0].target).tolist() == [0, 1, 2, 3]
    multi = opened("cb_cloud_s3", copies, "test")
    assert np.unique(multi[0].target).tolist() == [-1, 0, 1, 2, 3, 4]
    assert np.allclose(multi[0].where, (-170.0, -10.0), atol=1e-6), "beyond the date line"
    assert multi.blocks[0].endswith("_NT_002") and multi[0].when.tolist() == [[2020, 7, 4]]
    binary = opened("cb_cloud_s3", copies, "test", task="cloud_binary")
    assert np.unique(binary[0].target).tolist() == [-1, 0, 1] and binary.targets().tolist() == [[1, 1]]


def test_land_cover_of_the_listed_image(copies):
    split = opened("cb_lc100cls_s3", copies, bands=("s3.oa01",))
    assert split[0].images["s3"][0, 0, 50, 50] == pytest.approx(1000 * COUNTS[0]), "of two images the listed one"
    assert split[0].when.tolist() == [[2019, 8, 10]]
    mask = opened("cb_lc100seg_s3", copies)[1].target
    assert mask[:, 0].tolist() == sorted(mask[:, 0]) and np.unique(mask).tolist() == list(range(23))
    assert len(OLCI) == 21


def test_dfc_codes_and_runs(copies):
    split = opened("cb_dfc2020_s1", copies)
    assert list(split.blocks) == ["ROIs0000_test_dfc_0_0", "ROIs0000_test_dfc_0_1"]
    codes = split[0].target[np.linspace(5, 250, 11).astype(int), 9].tolist()
    assert codes == [-1, 0, 1, -1, 2, 3, 4, 5, -1, 6, 7]
    assert split[0].where is None


def test_floods_before_and_after(copies):
    split = opened("cb_flood_s1", copies)
    assert [name[0] for name in split.ids] == ["0", "1"] and list(split.blocks) == ["1111010", "1111011"]
    sample = split[1]
    assert np.allclose(sample.images["s1"][:, :, 50, 50], [[0.201, 0.051], [0.101, 0.026]])
    assert sample.when.tolist() == [[2017, 4, 22], [2017, 5, 4]]
    assert np.unique(sample.target).tolist() == [-1, 0, 1, 2]


def test_maps_of_values(copies):
    sample = opened("cb_aq_o3_s5p", copies)[0]
    assert np.isnan(sample.target[-3:]).all() and np.nanmax(sample.target) == 9000
    assert sample.when.tolist() == [[2021, -1, -1]]
    biomass = opened("cb_biomass_s3", copies)
    assert np.unique(biomass[1].target).tolist() == [0, 51, 200, 400], "the nearest pixel invents no value"
    assert set(biomass.blocks) == {"S30E140"}


REMOVED = {
    "cb_cloud_s2": "cloud_s2/cloud/ROI_00001__20200422T141729_20200422T142243_T19GDN.tif",
    "cb_cloud_s3": f"cloud_s3/s3_olci/{tiny.cloud_s3_name(1)}",
    "cb_eurosat_s1": "eurosat_s1/all_imgs/River/River_1.tif",
    "cb_bigearthnet_s1": f"bigearthnet_s1s2/BigEarthNet-S1-5%/{tiny.bigearthnet_paths(1)[0]}",
    "cb_lc100cls_s3": "lc100_s3/static_fnames-train.csv",
    "cb_lc100seg_s3": "lc100_s3/lc100/0200590_-70.25_-55.25.tif",
    "cb_dfc2020_s2": "dfc2020_s1s2/s2/ROIs0000_test_s2_0_p60.tif",
    "cb_lcz_s2": "lcz_train.h5",
    "cb_biomass_s3": "biomass_s3/static_fnames-train.csv",
    "cb_aq_no2_s5p": "airquality_s5p/no2/train.csv",
}


@pytest.mark.parametrize(("name", "file"), REMOVED.items())
def test_an_absent_file_is_named(name, file, tmp_path):
    folder = write(name, tmp_path)
    (folder / file).unlink()
    with pytest.raises(MissingData, match=Path(file).name.replace("+", r"\+")):
        opened(name, tmp_path)


def test_an_absent_flood_image_is_named(tmp_path):
    folder = write("cb_flood_s1", tmp_path)
    next(folder.rglob("SL1_IVH_1111011*.tif")).unlink()
    with pytest.raises(MissingData, match=r"1 of 8 files .*SL1_IVH_\*\.tif"):
        opened("cb_flood_s1", tmp_path)
    (folder / "flood_s1" / "grid_dict_train.json").write_text('{"a": {}}')
    with pytest.raises(MissingData, match=r"grid_dict_train\.json"):
        opened("cb_flood_s1", tmp_path)


@pytest.mark.parametrize("keep", [0.0, 0.6])
@pytest.mark.parametrize(("name", "pattern"), [
    ("cb_eurosat_s2", "all_imgs/AnnualCrop/AnnualCrop_0.tif"), ("cb_biomass_s3", "s3_olci/*10/*.tif"),
    ("cb_aq_o3_s5p", "label_annual/*10.tif"), ("cb_lcz_s2", "lcz_train.h5"),
])  # fmt: skip
def test_a_truncated_file_is_named(name, pattern, keep, tmp_path):
    folder = write(name, tmp_path)
    path = next(folder.rglob(pattern))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(MissingData, match=path.name.replace("+", r"\+")):
        opened(name, tmp_path)[0]


@pytest.mark.parametrize(("name", "pattern", "code"), [
    ("cb_cloud_s2", "cloud/*.tif", 99), ("cb_cloud_s3", "cloud_multi/*.tif", 6), ("cb_dfc2020_s1", "dfc/*.tif", 11),
    ("cb_lc100seg_s3", "lc100/*590_*.tif", 21), ("cb_flood_s1", "MK0_MLU_1111010*.tif", 4),
])  # fmt: skip
def test_a_code_out_of_range_is_named(name, pattern, code, tmp_path):
    folder = write(name, tmp_path)
    for path in folder.rglob(pattern):
        with rasterio.open(path) as file:
            values = file.read()
        values[0, 9, 9] = code
        write_tif(path, values)
    split = opened(name, tmp_path)
    for read in (lambda: split[0], split.targets):
        with pytest.raises(MissingData, match=f"holds the code {code};"):
            read()


def test_a_missing_band_or_another_size_is_named(tmp_path):
    folder = write("cb_bigearthnet_s2", tmp_path)
    path = folder / "bigearthnet_s1s2" / "BigEarthNet-S2-5%" / tiny.bigearthnet_paths(0)[1]
    write_tif(path, np.ones((11, 120, 120), np.uint16))
    with pytest.raises(MissingData, match=r"allbands\.tif has shape \(11, 120, 120\)"):
        opened("cb_bigearthnet_s2", tmp_path)[0]
    folder = write("cb_biomass_s3", tmp_path)
    path = next((folder / "biomass_s3" / "s3_olci").rglob("*_10/*.tif"))
    write_tif(path, np.ones((20, 96, 96), np.float32))
    with pytest.raises(MissingData, match=r"\(20, 96, 96\), expected \(21, any, any\)"):
        opened("cb_biomass_s3", tmp_path)[0]
    write_tif(path, np.ones((21, 9, 96), np.float32))
    with pytest.raises(MissingData, match="has 9 x 96 pixels"):
        opened("cb_biomass_s3", tmp_path)[0]


def test_one_sample_in_two_splits_is_an_error(tmp_path):
    folder = write("cb_cloud_s3", tmp_path)
    with (folder / "cloud_s3" / "test.csv").open("a") as file:
        file.write(tiny.cloud_s3_name(0) + "\n")
    with pytest.raises(MissingData, match="twice: in train and in test"):
        opened("cb_cloud_s3", tmp_path, "val")


def test_tables_that_make_no_sense_are_named(tmp_path):
    folder = write("cb_lc100cls_s3", tmp_path) / "lc100_s3"
    table = folder / "multilabel-train.csv"
    text = table.read_text()
    for row, match in (
        ("9,1,0", "expected 1 names and 23 flags"),
        (",".join(["x", "2", *["0"] * 22]), "flags of 0 or 1"),
        (",".join(["x", *["0"] * 23]), "lists x, static_fnames-train.csv does not"),
        (text.splitlines()[1], "listed twice"),
    ):
        table.write_text(f"{text}{row}\n")
        with pytest.raises(MissingData, match=match):
            opened("cb_lc100cls_s3", tmp_path)
    (folder / "static_fnames-train.csv").write_text("only_a_place\n")
    with pytest.raises(MissingData, match="only_a_place"):
        opened("cb_lc100seg_s3", tmp_path)


def test_an_unknown_class_is_named(tmp_path):
    folder = write("cb_eurosat_s1", tmp_path)
    tiny.write_list(folder / "eurosat_s1" / "eurosat-val.txt", ["Glacier_1.jpg"])
    with pytest.raises(MissingData, match="Glacier"):
        opened("cb_eurosat_s1", tmp_path, "val")


def test_systems_that_differ_are_named(tmp_path):
    folder = write("cb_cloud_s2", tmp_path)
    path = next((folder / "cloud_s2" / "cloud").glob("ROI_00000*"))
    write_tif(path, np.zeros((1, 512, 512), np.uint8), crs="EPSG:32719", centre=(392950.0, 3783700.0))
    with pytest.raises(MissingData, match="differ in reference system"):
        opened("cb_cloud_s2", tmp_path)[0]


def test_labels_of_zones_must_be_one_hot(tmp_path):
    folder = write("cb_lcz_s2", tmp_path)
    with h5py.File(folder / "lcz_val.h5", "r+") as file:
        file["label"][0, :2] = 1
    with pytest.raises(MissingData, match="not one class of 17"):
        opened("cb_lcz_s2", tmp_path, "val")


@pytest.mark.parametrize("name", NAMES)
def test_download_makes_what_open_reads(name, copies, tmp_path):
    suite, source, asked = suite_of(name), copies / "copernicus_bench", []

    def fetch(url, path, *, sha256="", md5=""):
        asked.append((url, md5))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".h5":
            path.write_bytes((source / path.name).read_bytes())
            return path
        top = Path(layout_of(name).directory).parts[0]
        with zipfile.ZipFile(path, "w") as file:
            for member in sorted((source / top).rglob("*")):
                file.write(member, member.relative_to(source))
        return path

    suite.download(tmp_path, fetch)
    assert all(url.startswith("https://") and len(md5) == 32 for url, md5 in asked)
    for split in suite.splits:
        downloaded, other = opened(name, tmp_path, split), opened(name, copies, split)
        assert list(downloaded.ids) == list(other.ids)
        assert np.array_equal(downloaded.targets(), other.targets(), equal_nan=True)
    count = len(asked)
    if name != "cb_lcz_s2":
        suite.download(tmp_path, fetch)
        assert len(asked) == count, "what is there is not asked for again"


def test_the_listed_order_is_kept(tmp_path):
    folder = write("cb_flood_s1", tmp_path)
    listed = json.loads((folder / "flood_s1" / "grid_dict_train.json").read_text())
    assert list(listed) != sorted(listed) and list(opened("cb_flood_s1", tmp_path).ids) == sorted(listed)
