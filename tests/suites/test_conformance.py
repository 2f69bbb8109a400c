"""Every suite on a tiny copy of its published layout: one contract for all, then what each must get right or refuse."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from bench.catalogue.suites import shipped
from bench.core import UNITS, Suite
from bench.core.errors import MissingData, UnknownName
from bench.metrics import METRICS
from tests.builders.rasters import (
    EUROSAT_STORED,
    EUROSAT_TIF,
    FLOODS,
    FLOODS_CENTRE,
    FLOODS_STORED,
    write_eurosat,
    write_eurosat_rgb,
    write_fuel_moisture,
    write_sen1floods11,
    write_tif,
)
from tests.builders.suites import NAMES, suite_of, write

CHIPS = Path("v1.1", "data", "flood_events", "HandLabeled")
LISTS = Path("v1.1", "splits", "flood_handlabeled")


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A root with the tiny copies of all suites; tests that change a file make their own."""
    root = tmp_path_factory.mktemp("data")
    for name in NAMES:
        write(name, root)
    return root


ALL = NAMES
ON_DISK = [name for name in ALL if suite_of(name).folder]


def bands_of(suite: Suite, *wanted: str):
    known = {band.name: band for band in suite.bands}
    return tuple(known[name] for name in wanted)


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


def check_sample(suite, task, sample, bands):
    for sensor, values in sample.images.items():
        of_sensor = [band for band in bands if band.sensor == sensor]
        assert values.dtype == np.float32
        assert values.shape == (suite.dates or len(values), len(of_sensor), *suite.image_size) and len(values)
        for channel, band in enumerate(of_sensor):
            seen = values[:, channel][np.isfinite(values[:, channel])]
            assert seen.size and UNITS[band.unit].low <= seen.min() and seen.max() <= UNITS[band.unit].high
    assert list(sample.images) == list(dict.fromkeys(band.sensor for band in bands))
    if sample.when is not None:
        assert sample.when.shape == (len(values), 3)
        months = sample.when[:, 1]
        assert ((months == -1) | ((months >= 1) & (months <= 12))).all()
    if sample.where is not None:
        assert -180 <= sample.where[0] <= 180 and -90 <= sample.where[1] <= 90


def check_target(suite, task, target, summary):
    """A sample's own target, and what `targets()` says of it."""
    if task.kind == "classification":
        assert 0 <= target < len(task.classes)
        assert summary == target
    elif task.kind == "multilabel":
        assert target.shape == (len(task.classes),) and set(np.unique(target)) <= {0, 1}
        assert np.array_equal(summary, target)
    elif task.kind == "regression":
        assert target.dtype == np.float32 and target.ndim == 1 and np.isfinite(target).all()
        assert np.array_equal(summary, target)
    elif task.kind == "dense_regression":
        assert target.dtype == np.float32 and target.shape == suite.image_size
        assert summary == pytest.approx([np.nanmean(target)], rel=1e-5)
    elif task.kind == "detection":
        boxes, codes = target["boxes"], target["labels"]
        assert boxes.dtype == np.float32 and boxes.shape == (len(codes), 4) and codes.dtype == np.int64
        tall, wide = suite.image_size
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= wide).all() and (boxes[:, 3] <= tall).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all() and set(codes) <= set(range(len(task.classes)))
        assert [bool(flag) for flag in summary] == [code in set(codes) for code in range(len(task.classes))]
    else:
        assert target.dtype == np.int64 and target.shape == suite.image_size
        assert set(np.unique(target)) <= {task.ignore, *range(len(task.classes))}
        assert [bool(flag) for flag in summary] == [bool((target == code).any()) for code in range(len(task.classes))]


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
    ("eurosat", EUROSAT_TIF / "River" / "River_2.tif"),
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
    ("eurosat", EUROSAT_TIF / "AnnualCrop" / "AnnualCrop_1.tif"),
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


@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_truncated_array_is_named(keep, tmp_path):
    path = write_fuel_moisture(tmp_path) / "npy" / "s1_s2_era5_srtm.npy"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(MissingData, match=path.name):
        suite_of("fuel_moisture").open(tmp_path, "lfmc", "train", suite_of("fuel_moisture").bands)


def test_arrays_of_another_length_are_named(tmp_path):
    path = write_fuel_moisture(tmp_path) / "npy" / "latlon.npy"
    np.save(path, np.load(path)[:-1])
    with pytest.raises(MissingData, match=r"latlon\.npy has shape \(59, 2\), expected \(60, 2\)"):
        suite_of("fuel_moisture").open(tmp_path, "lfmc", "train", suite_of("fuel_moisture").bands)


def test_pickled_array_is_refused(tmp_path):
    path = write_fuel_moisture(tmp_path) / "npy" / "site.npy"
    np.save(path, np.array([{"a": 1}] * 60, dtype=object), allow_pickle=True)
    with pytest.raises(MissingData, match=r"site\.npy"):
        suite_of("fuel_moisture").open(tmp_path, "lfmc", "train", suite_of("fuel_moisture").bands)


@pytest.mark.parametrize("name", ["eurosat", "eurosat_rgb"])
def test_sample_listed_in_two_splits_is_an_error(name, tmp_path):
    folder = write(name, tmp_path)
    with (folder / "eurosat-test.txt").open("a") as file:
        file.write("River_1.jpg\n")
    suite = suite_of(name)
    with pytest.raises(MissingData, match=r"River_1 twice: in train and in test"):
        suite.open(tmp_path, suite.tasks[0].name, "val", suite.bands)


@pytest.mark.parametrize("name", ["eurosat", "eurosat_rgb"])
def test_unknown_class_is_named(name, tmp_path):
    folder = write(name, tmp_path)
    with (folder / "eurosat-train.txt").open("a") as file:
        file.write("Glacier_1.jpg\n")
    suite = suite_of(name)
    with pytest.raises(MissingData, match="Glacier"):
        suite.open(tmp_path, suite.tasks[0].name, "train", suite.bands)


def test_a_split_may_lack_a_class(tmp_path):
    folder = write_eurosat(tmp_path)
    path = folder / "eurosat-val.txt"
    path.write_text("".join(f"{line}\n" for line in path.read_text().split() if not line.startswith("River")))
    suite = suite_of("eurosat")
    assert sorted(set(suite.open(tmp_path, "landuse", "val", suite.bands).targets())) == [0, 1, 2, 3, 4, 5, 6, 7, 9]


def test_eurosat_reads_each_band_from_its_place(copies):
    suite = suite_of("eurosat")
    split = suite.open(copies, "landuse", "train", suite.bands)
    index = list(split.ids).index("Forest_2")
    values = split[index].images["s2"][0, :, 0, 0]
    for band, value in zip(suite.bands, values, strict=True):
        number = band.name.removeprefix("s2.b").replace("8a", "20")
        assert value == 100 * int(number) + 1, band.name
    assert split[index].target == 1
    assert [band.name for band in suite.bands].index("s2.b8a") != EUROSAT_STORED.index("b8a")


def test_eurosat_image_of_another_shape_is_named(tmp_path):
    folder = write_eurosat(tmp_path)
    write_tif(folder / EUROSAT_TIF / "River" / "River_1.tif", np.ones((12, 64, 64), np.uint16))
    split = suite_of("eurosat").open(tmp_path, "landuse", "train", suite_of("eurosat").bands)
    with pytest.raises(MissingData, match=r"River_1\.tif has shape \(12, 64, 64\)"):
        split[list(split.ids).index("River_1")]


@pytest.mark.parametrize("own_split", [False, True])
def test_eurosat_rgb_reads_either_kind_of_split(own_split, tmp_path):
    write_eurosat_rgb(tmp_path, own_split=own_split)
    suite = suite_of("eurosat_rgb")
    sizes = {name: len(suite.open(tmp_path, "landuse", name, suite.bands)) for name in suite.splits}
    assert sizes == ({"train": 10, "val": 10, "test": 20} if own_split else {"train": 20, "val": 10, "test": 10})
    split = suite.open(tmp_path, "landuse", "train", bands_of(suite, "s2.b02", "s2.b04"))
    index = list(split.ids).index("Industrial_1")
    assert np.allclose(split[index].images["s2"][0, :, 5, 5], [24, 200], atol=2)  # JPEG rounds
    assert split[index].target == 4


def test_own_split_with_an_unknown_split_name_is_an_error(tmp_path):
    folder = write_eurosat_rgb(tmp_path, own_split=True)
    with (folder / "split.csv").open("a") as file:
        file.write("River,River_9.jpg,holdout\n")
    with pytest.raises(MissingData, match="holdout"):
        suite_of("eurosat_rgb").open(tmp_path, "landuse", "train", suite_of("eurosat_rgb").bands)


def test_sen1floods11_chip(copies):
    suite = suite_of("sen1floods11")
    split = suite.open(copies, "water", "train", suite.bands)
    assert tuple(split.ids) == FLOODS["train"]
    assert list(split.blocks) == ["India", "Mekong", "Ghana"]
    sample = split[0]
    radar, optical = sample.images["s1"][0], sample.images["s2"][0]
    assert np.isnan(radar[..., :3]).all() and np.isfinite(radar[..., 3:]).all()
    assert radar[:, 100, 100].tolist() == [-10, -17]
    assert np.isnan(optical[..., :5]).all() and np.isfinite(optical[..., 5:]).all(), "0 in every band is no data"
    expected = [0 if stored == "b10" else 1000 + FLOODS_STORED.index(stored) for stored in _stored(suite)]
    assert optical[:, 100, 100].tolist() == expected
    assert [(sample.target == code).sum() for code in (-1, 0, 1)] == [512, 383 * 512, 128 * 512]
    assert np.allclose(sample.where, FLOODS_CENTRE, atol=1e-6)
    assert sample.when.tolist() == [[2016, 8, 12]]
    only_optical = suite.open(copies, "water", "train", bands_of(suite, "s2.b08"))
    assert only_optical[1].when.tolist() == [[2018, 8, 4]], "Mekong chips are of the Cambodian flood"
    assert only_optical[2].when.tolist() == [[-1, -1, -1]]


def _stored(suite):
    return [band.name.removeprefix("s2.") for band in suite.bands if band.sensor == "s2"]


def test_sen1floods11_opens_without_what_is_not_asked_for(tmp_path):
    folder = write_sen1floods11(tmp_path)
    for path in (folder / CHIPS / "S2Hand").iterdir():
        path.unlink()
    (folder / LISTS / "flood_bolivia_data.csv").unlink()
    suite = suite_of("sen1floods11")
    radar = bands_of(suite, "s1.vh", "s1.vv")
    assert suite.open(tmp_path, "water", "test", radar)[1].images["s1"][0, :, 50, 50].tolist() == [-17, -10]
    with pytest.raises(MissingData, match=r"2 of 2 files .*the first is .*Spain_5_S2Hand\.tif"):
        suite.open(tmp_path, "water", "test", suite.bands)
    with pytest.raises(MissingData, match=r"flood_bolivia_data\.csv"):
        suite.open(tmp_path, "water", "bolivia", radar)


def test_sen1floods11_label_code_out_of_range_is_named(tmp_path):
    folder = write_sen1floods11(tmp_path)
    path = folder / CHIPS / "LabelHand" / "Mekong_2_LabelHand.tif"
    with rasterio.open(path) as file:
        values = file.read()
    values[0, 9, 9] = 2
    write_tif(path, values)
    split = suite_of("sen1floods11").open(tmp_path, "water", "train", suite_of("sen1floods11").bands[:2])
    assert split[0].target.max() == 1
    for read in (lambda: split[1], split.targets):
        with pytest.raises(MissingData, match=r"Mekong_2_LabelHand\.tif"):
            read()


def test_sen1floods11_damaged_dates_are_named(tmp_path):
    folder = write_sen1floods11(tmp_path)
    path = folder / "v1.1" / "Sen1Floods11_Metadata.geojson"
    path.write_text(path.read_text()[:40])
    with pytest.raises(MissingData, match=path.name):
        suite_of("sen1floods11").open(tmp_path, "water", "train", suite_of("sen1floods11").bands)


def test_fuel_moisture_columns_dates_and_sites(copies):
    suite = suite_of("fuel_moisture")
    raw = np.load(copies / "fuel_moisture" / "npy" / "s1_s2_era5_srtm.npy")
    # The stored order: presto's bands less B1 and B10.
    stored = [*"VV VH B2 B3 B4 B5 B6 B7 B8 B8A B9 B11 B12 t2m tp elevation slope".split()]  # noqa: SIM905
    splits = {name: suite.open(copies, "lfmc", name, suite.bands) for name in suite.splits}
    for name, split in splits.items():
        for index in range(len(split)):
            sample = split[index]
            row = int(split.ids[index].partition("_")[0])
            flat = np.concatenate([values[:, :, 0, 0] for values in sample.images.values()], axis=1)
            named = [band.name.partition(".")[2].lower() for band in suite.bands]
            for column, label in enumerate(stored):
                short = label.lower() if not label.startswith("B") else f"b{label[1:].lower().zfill(2)}"
                assert np.allclose(flat[:, named.index(short)], raw[row, :, column], rtol=1e-6), label
            assert sample.when[:, 1].tolist() == [(row + date) % 12 + 1 for date in range(3)]
            assert (sample.when[:, [0, 2]] == -1).all()
            assert np.allclose(sample.where, [np.linspace(-120, -100, 60)[row], np.linspace(30, 45, 60)[row]])
            assert split.blocks[index] == f"Site {row // 3}"
            assert (name == "test") == (row >= 42)
    assert not set(splits["train"].blocks) & set(splits["val"].blocks)
    assert sum(len(split) for split in splits.values()) == 60
    cover = suite.open(copies, "lfmc", "train", bands_of(suite, "dw.class"))
    found = {int(one.partition("_")[0]): cover[i].images["dw"][:, 0, 0, 0] for i, one in enumerate(cover.ids)}
    assert np.isnan(found[7][1]) and found[7][0] == 7, "code 9 is no observation"


class Recorder:
    """Stands for a download: notes what is asked for, and writes what a publisher would serve."""

    def __init__(self, served: dict[str, bytes] | None = None) -> None:
        self.asked: list[tuple[str, Path]] = []
        self.served = served or {}

    def __call__(self, url: str, path: Path, *, sha256: str = "", md5: str = "") -> Path:
        self.asked.append((url, path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.served.get(path.name, b""))
        return path


def served_by(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def zipped(folder: Path, tmp_path: Path, below: str) -> bytes:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for path in sorted((folder / below).rglob("*")):
            file.write(path, path.relative_to(folder))
    return (tmp_path / "a.zip").read_bytes()


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


def test_broken_archive_leaves_nothing_that_looks_whole(copies, tmp_path):
    whole = zipped(copies / "eurosat", tmp_path, "ds")
    suite = suite_of("eurosat")
    served = served_by(copies / "eurosat")
    for damaged in (whole[:-400], whole[:200] + b"\0" * 2000 + whole[2200:]):
        with pytest.raises(MissingData, match=r"EuroSATallBands\.zip"):
            suite.download(tmp_path / "new", Recorder({**served, "EuroSATallBands.zip": damaged}))
        assert not (tmp_path / "new" / "eurosat" / "ds").exists()


def test_archive_that_reaches_outside_is_refused(tmp_path, copies):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("../../evil.txt", "x")
    served = {**served_by(copies / "eurosat"), "EuroSATallBands.zip": (tmp_path / "a.zip").read_bytes()}
    with pytest.raises(MissingData, match="evil"):
        suite_of("eurosat").download(tmp_path / "new", Recorder(served))
    assert not list(tmp_path.rglob("evil.txt"))


@pytest.mark.shared
def test_real_eurosat_rgb(shared):
    suite = suite_of("eurosat_rgb")
    sizes = {"train": 2000, "val": 500, "test": 500}
    for name, size in sizes.items():
        split = suite.open(shared / "data", "landuse", name, suite.bands)
        assert np.bincount(split.targets()).tolist() == [size // 10] * 10
    means = np.mean([split[i].images["s2"].mean(axis=(0, 2, 3)) for i in range(0, 500, 10)], axis=0)
    assert np.all((means > 60) & (means < 140)), means


@pytest.mark.shared
def test_real_sen1floods11(shared):
    suite = suite_of("sen1floods11")
    radar = bands_of(suite, "s1.vv", "s1.vh")
    splits = {name: suite.open(shared / "data", "water", name, radar) for name in ("train", "val", "test")}
    assert {name: len(split) for name, split in splits.items()} == {"train": 6, "val": 2, "test": 2}
    with pytest.raises(MissingData, match="bolivia"):
        suite.open(shared / "data", "water", "bolivia", radar)
    ghana = splits["val"][list(splits["val"].ids).index("Ghana_83483")]
    assert (ghana.target == -1).all()
    assert splits["val"].targets()[list(splits["val"].ids).index("Ghana_83483")].tolist() == [0, 0]
    paraguay = splits["test"][list(splits["test"].ids).index("Paraguay_34417")]
    assert np.isnan(paraguay.images["s1"]).all()
    for sample in (splits["train"][i] for i in range(6)):
        vv, vh = np.nanmean(sample.images["s1"], axis=(0, 2, 3))
        assert -25 < vv < -4 and -35 < vh < vv
        assert sample.when.tolist()[0][0] in range(2016, 2020)
    assert np.allclose(splits["train"][5].where, (-0.7589, 38.1058), atol=1e-3)
    with pytest.raises(MissingData, match=r"5 of 6 files .*India_900498_S2Hand\.tif"):
        suite.open(shared / "data", "water", "train", suite.bands)


@pytest.mark.shared
def test_real_fuel_moisture(shared):
    suite = suite_of("fuel_moisture")
    splits = {name: suite.open(shared / "data", "lfmc", name, suite.bands) for name in suite.splits}
    assert {name: len(split) for name, split in splits.items()} == dict(suite.splits)
    assert len(splits["test"]) == 735
    sites = [set(split.blocks) for split in splits.values()]
    assert sum(len(one) for one in sites) == len(set().union(*sites)) == 150
    targets = np.concatenate([split.targets() for split in splits.values()])
    assert targets.min() == pytest.approx(31.7, abs=0.05) and targets.max() == pytest.approx(319.2, abs=0.05)
    split = splits["val"]
    samples = [split[i] for i in range(len(split))]
    for sample in samples[::10]:
        check_sample(suite, suite.tasks[0], sample, suite.bands)
        assert -125 < sample.where[0] < -90 and 25 < sample.where[1] < 50
    celsius = np.array([sample.images["era5"][:, 0, 0, 0] for sample in samples]) - 273.15
    month = np.array([sample.when[:, 1] for sample in samples])
    assert celsius[(month == 7) | (month == 8)].mean() > celsius[(month == 12) | (month == 1)].mean() + 8
