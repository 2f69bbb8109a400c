"""GEO-Bench-2: what its suites must get right and refuse."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.core.errors import MissingData
from suites.geobench2._container import Part, entries_of
from suites.geobench2._reader import boxes_of, codes_of, day_of, place_of
from tests.builders.geobench2 import HUNDREDS, PLANTED, opened, suite_of, write
from tests.builders.suites import NAMES as NAMES_OF_SUITES
from tests.fixtures.geobench2._shared import DAY, PLACE, container, levels, mask, stac, tif, write_files

NAMES = [name for name in NAMES_OF_SUITES if name.startswith("gb2_")]
# Suite -> codes of the corner of the first mask.
CORNERS = {
    "burn_scars": [0, 1, -1],
    "caffe": [0, 1, 2, 3],
    "cloudsen12": [0, 1, 2, 3],
    "dynamic_earthnet": [0, 1, 2, 3, 4, 5, 6],
    "flair2": [*range(13), *[12] * 6],
    "fotw": [0, 1, 2, 3],
    "kuro_siwo": [0, 1, 2, 3],
    "spacenet2": [0, 1],
    "spacenet7": [0, 1],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    for name in PLANTED:
        write(name, path)
    return path


def test_the_nineteen():
    assert sorted(PLANTED) == [name.removeprefix("gb2_") for name in NAMES] and len(NAMES) == 19


@pytest.mark.parametrize("name", PLANTED)
def test_links_and_hashes_are_the_packages(name):
    pytest.importorskip("geobench_v2")
    held = suite_of(name)
    place = Path(find_spec("geobench_v2").origin).parent / "datasets" / f"{name.removesuffix('_r')}.py"
    source = place.read_text(encoding="utf-8")
    assert re.findall(r'"([0-9a-f]{64})"', source) == list(held.FILES.values())
    assert all(f'"{file}"' in source for file in held.FILES)
    assert f"{held.SUITE.url}/resolve/main/{{}}" in source
    taken = []
    held.SUITE.download(Path("r"), lambda url, path, *, sha256="", md5="": taken.append((url, path, sha256)))
    assert taken == [
        (f"{held.SUITE.url}/resolve/main/{file}", Path("r", held.SUITE.folder, file), sha256)
        for file, sha256 in held.FILES.items()
    ]


@pytest.mark.parametrize("name", PLANTED)
def test_bands_are_the_planted(name, root):
    images = opened(name, root)[0].images
    side = suite_of(name).SUITE.image_size[0] // 2
    for sensor, expected in PLANTED[name].items():
        assert np.allclose(images[sensor][0, :, side, side], expected, equal_nan=True), sensor


@pytest.mark.parametrize("name", CORNERS)
def test_codes_are_the_planted(name, root):
    assert opened(name, root)[0].target[0, : len(CORNERS[name])].tolist() == CORNERS[name]


def test_treesatai_names_follow_the_pixels(root):
    suite = suite_of("treesatai").SUITE
    picked = {band.name: band for band in suite.bands}
    bands = tuple(picked[f"rgb.{name}"] for name in ("red", "green", "blue"))
    assert opened("treesatai", root, bands=bands)[0].images["rgb"][0, :, 5, 5].tolist() == [10, 20, 30]
    assert opened("treesatai", root).targets()[0].nonzero()[0].tolist() == [5, 8]


def test_series_and_dates(root):
    assert opened("fotw", root)[0].images["s2"][1, :, 9, 9].tolist() == [600, 700, 800, 900]
    assert opened("fotw", root)[0].when.tolist() == [[2021, -1, -1]] * 2
    planet = opened("dynamic_earthnet", root)[0]
    assert planet.images["planet"][:, 0, 9, 9].tolist() == [100, 104, 109, 114, 119, 124]
    assert planet.when[:, 2].tolist() == [1, 5, 10, 15, 20, 25]
    flood = opened("kuro_siwo", root)[0]
    assert np.allclose(flood.images["s1"][:, 0, 9, 9], [0.1, 0.2, 0.3]) and flood.when is None
    assert [len(opened("pastis", root)[index].when) for index in range(3)] == [2, 1, 1]
    assert opened("pastis", root)[0].when.tolist() == [[2018, 9, 17], [2019, 1, 1]]
    year = opened("biomassters", root)[0]
    assert np.isnan(year.images["s2"][4]).all() and year.when[4].tolist() == [-1, 1, -1]
    assert year.images["s2"][5, 0, 9, 9] == 105 and year.images["s1"][0, 3, 0, 0] == -19
    assert opened("burn_scars", root)[0].when.tolist() == [[2018, 9, 2]]
    assert opened("spacenet7", root)[0].when.tolist() == [[2019, 5, -1]]


@pytest.mark.parametrize(("name", "sensor", "pixel"), [
    ("burn_scars", "hls", (3, 4)), ("cloudsen12", "s2", (9, 9)), ("dynamic_earthnet", "planet", (7, 7)),
    ("kuro_siwo", "s1", (0, 100)), ("kuro_siwo", "dem", (9, 9)), ("spacenet2", "worldview", (4, 4)),
    ("spacenet7", "rgb", (4, 4)), ("biomassters", "s2", (5, 5)), ("pastis", "s2", (0, 0)),
])  # fmt: skip
def test_no_data_is_nan_and_that_alone(name, sensor, pixel, root):
    image = opened(name, root)[0].images[sensor]
    assert np.isnan(image[(0, slice(None), *pixel)]).all()
    assert np.isfinite(image[0, :, 50:60, 50:60]).all() and np.isnan(image[0, 0]).sum() <= 225


def test_blocks(root):
    assert opened("benv2", root).blocks == ["T29UNB", "T29UNB"]
    assert len(set(opened("caffe", root).blocks)) == len(set(opened("cloudsen12", root).blocks)) == 1
    assert opened("flair2", root).blocks == ["D055_2018/Z1_UF"] * 2
    assert opened("kuro_siwo", root).blocks == ["1", "1"] and opened("fotw", root).blocks == ["austria"] * 2
    assert opened("pastis", root).blocks == ["t31tfj", "t31tfj", "t30uxv"]


def test_boxes(root):
    birds = opened("everwatch", root)
    assert birds[0].target["labels"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7, 0]
    assert birds[0].target["boxes"][-1].tolist() == [500, 500, 512, 512] and birds[0].where is None
    assert birds.targets().tolist() == [[1] * 8, [1, 1, 0, 0, 0, 0, 0, 0]]
    empty = opened("everwatch", root, "val")[0].target
    assert empty["boxes"].shape == (0, 4) and opened("everwatch", root, "val").targets().tolist() == [[0] * 8]
    assert opened("nzcattle", root)[0].target["boxes"].tolist() == [[294, 481, 307, 491], [490, 100, 500, 130]]
    assert opened("substation", root)[0].target["boxes"][1].tolist() == [100.5, 110.5, 120.5, 120.5]
    parcels = opened("pastis_r", root)[0].target
    assert parcels["labels"].tolist() == list(range(18)) and parcels["boxes"][1].tolist() == [20, 12, 25, 16]


def test_days_and_places():
    assert day_of(DAY) == day_of("2019-01-01") == day_of(2019001.0) == (2019, 1, 1)
    assert day_of("2011") == (2011, -1, -1) and day_of(None) == day_of(float("nan")) == day_of("soon") == (-1, -1, -1)
    assert place_of(stac()) == PLACE and place_of({}) is None
    assert place_of({"stac:centroid": "POINT (256.0 256.0)"}) is None
    assert place_of({"lon": float("nan"), "lat": float("nan"), **stac()}) is None


@pytest.mark.parametrize("name", ["biomassters", "pastis", "dynamic_earthnet"])
def test_an_absent_container_is_named(name, tmp_path):
    file = sorted(suite_of(name).FILES)[1]
    (write(name, tmp_path) / file).unlink()
    with pytest.raises(MissingData, match=rf"1 of 3 files .*{file}"):
        opened(name, tmp_path)


@pytest.mark.parametrize("name", PLANTED)
def test_a_container_cut_short_is_named(name, tmp_path):
    path = write(name, tmp_path) / next(iter(suite_of(name).FILES))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(MissingData, match=rf"cannot read the index of .*{path.name}"):
        opened(name, tmp_path)


@pytest.mark.parametrize("cut", [b"", b"not a container at all"])
def test_what_is_no_container_is_named(cut, tmp_path):
    path = write("benv2", tmp_path) / "geobench_benv2.tortilla"
    path.write_bytes(cut)
    with pytest.raises(MissingData, match=r"geobench_benv2\.tortilla"):
        opened("benv2", tmp_path)


@pytest.mark.parametrize(("changed", "message"), [
    ({"tortilla:id": "twice"}, "lists twice twice: in train"),
    ({"tortilla:data_split": "extra"}, "of the split extra; known are train, validation, test"),
])  # fmt: skip
def test_strange_indices_are_named(changed, message, tmp_path):
    write("caffe", tmp_path, **changed)
    with pytest.raises(MissingData, match=message):
        opened("caffe", tmp_path)


def caffe(root, image=None, label=None, **more):
    facts = {**stac(), "glacier_name": "g", "sensor": "s", "lon": 0.0, "lat": 0.0}
    parts = [("img", "GTiff", tif(levels((1,), 512, np.uint8)) if image is None else image, facts)]
    parts.append(("mask", "GTiff", tif(mask(512, (0, 1))) if label is None else label, {**facts, **more}))
    write_files(root, "caffe", ["geobench_caffe.tortilla"], [(facts, parts[: 1 if label == b"none" else 2])] * 4)
    return opened("caffe", root)


def test_damaged_samples_are_named(tmp_path):
    for image, label, message in (
        (b"II*\0nothing", None, r"cannot read .*sample_0: img: "),
        (tif(levels((1, 2), 512, np.uint8)), None, r"sample_0: img has shape \(2, 512, 512\)"),
        (None, tif(levels((4,), 512, np.uint8)), r"sample_0: mask holds the codes \[4\]"),
        (None, tif(levels((0,), 511, np.uint8)), r"sample_0: mask has shape \(1, 511, 511\)"),
        (None, b"none", "sample_0 has no part mask, only img"),
    ):
        with pytest.raises(MissingData, match=message):
            caffe(tmp_path, image, label)[0]


def test_a_mask_of_another_reference_system_is_named(tmp_path):
    with pytest.raises(MissingData, match=r"mask is in another reference system .* EPSG:32633, EPSG:4326"):
        caffe(tmp_path, **{"stac:crs": "EPSG:4326"})[0]
    assert caffe(tmp_path, **{"stac:crs": "EPSG:None"})[0].target.sum() == 1


def test_unknown_classes_are_named(tmp_path):
    write("so2sat", tmp_path, labels="Lawn")
    with pytest.raises(MissingData, match="sample_0 is of the class 'Lawn'; known are Compact high-rise"):
        opened("so2sat", tmp_path).targets()


def test_a_month_or_a_biomass_that_is_not_there_is_named(tmp_path):
    for part, message in ((("S1", "Mai"), "is of the month 'Mai'"), (("S1", "May"), "has no part AGBM")):
        content = tif(levels((1, 1, 1, 1), 256, np.float32), None)
        parts = [("x", "GTiff", content, {"modality": part[0], "month": part[1]})]
        files = list(suite_of("biomassters").FILES)
        write_files(tmp_path, "biomassters", files, [({}, parts)] * 4)
        with pytest.raises(MissingData, match=message):
            opened("biomassters", tmp_path)[0]


def test_boxes_without_area_and_categories_are_named():
    part = Part(label="f: s: annotations", file="f", offset=0, length=0, facts={})
    for box in ((5, 5, 5, 9), (600, 0, 700, 9), (-9, 0, 0, 9)):
        with pytest.raises(MissingData, match=rf"f: s: annotations has the box \[{box[0]}"):
            boxes_of(part, [((0, 0, 9, 9), 0), (box, 0)], (512, 512))
    with pytest.raises(MissingData, match=r"holds the codes \[7\]"):
        codes_of(part, np.array([[0, 7]]), {0: 0})


def test_a_strange_category_is_named(tmp_path):
    from tests.fixtures.geobench2._shared import hdf5

    image = tif(levels(HUNDREDS, 228, np.int16))
    for rows, message in (
        ([{"category_id": 2, "bbox": [0, 0, 9, 9]}], "has the category 2; known are"),
        ([{"category_id": 1, "bbox": [0, 0, 0, 9]}], "of no area within the image of 228 x 228"),
    ):
        notes = hdf5(annotation={"sample_annotations": rows})
        parts = [("image", "GTiff", image, {}), ("annotations", "HDF5", notes, {})]
        write_files(tmp_path, "substation", ["geobench_substation.tortilla"], [({}, parts)] * 4)
        with pytest.raises(MissingData, match=message):
            opened("substation", tmp_path).targets()


@pytest.mark.parametrize("name", ["benv2", "pastis", "everwatch"])
def test_indices_are_those_of_the_formats_own_reader(name, root):
    tacoreader = pytest.importorskip("tacoreader")

    for file in suite_of(name).FILES:
        path = root / suite_of(name).SUITE.folder / file
        frame, entries = tacoreader.load(str(path)), entries_of(path)
        assert [entry.name for entry in entries] == frame["tortilla:id"].tolist()
        for row, entry in enumerate(entries):
            theirs = frame.read(row)
            assert [(part.offset, part.length) for part in entry.parts()] == list(
                zip(theirs["tortilla:offset"], theirs["tortilla:length"], strict=True)
            )
            assert {key for key in theirs.columns if key != "internal:subfile"} == set(next(iter(entry.parts())).facts)


def test_lengths_beyond_the_file_are_named_before_anything_is_read(tmp_path):
    path = tmp_path / "x.tortilla"
    whole = container([({"tortilla:id": "a", "tortilla:data_split": "train"}, b"abc")])
    for place in (2, 10):  # offset and length of the index
        path.write_bytes(whole[:place] + (1 << 62).to_bytes(8, "little") + whole[place + 8 :])
        with pytest.raises(MissingData, match=r"x\.tortilla: it is cut short, at byte"):
            entries_of(path)
    long = container([({"tortilla:id": "a", "tortilla:data_split": "train", "extra": 1}, b"abc")])
    path.write_bytes(long)
    part = Part(label="p", file=str(path), offset=5, length=1 << 62, facts={})
    with pytest.raises(MissingData, match="p: it is cut short"):
        part.content()


def test_the_container_is_the_formats_own(tmp_path):
    """The copies are read by the format's own reader, of which the index shows its own columns alone."""
    tacoreader = pytest.importorskip("tacoreader")

    (tmp_path / "x.tortilla").write_bytes(container([({"tortilla:id": "a", "tortilla:file_format": "BYTES"}, b"abc")]))
    frame = tacoreader.load(str(tmp_path / "x.tortilla"))
    assert isinstance(frame, pd.DataFrame) and frame.read(0) == b"abc"
