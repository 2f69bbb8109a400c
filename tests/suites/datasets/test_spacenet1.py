"""SpaceNet 1: what it must get right and refuse."""

from __future__ import annotations

import json
import tarfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import rasterio

from bench.core.errors import MissingData
from suites.datasets.spacenet1 import ARCHIVES, BANDS, LABELLED, SHAPE, SUITE
from tests.builders.rasters import write_tif
from tests.fixtures.datasets.spacenet1 import BOUNDS, box, write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train", bands=BANDS):
    return SUITE.open(root, "buildings", split, bands)


def test_facts_are_torchgeos():
    """Read from its source: importing it takes seconds."""
    source = (Path(find_spec("torchgeo").origin).parent / "datasets" / "spacenet" / "spacenet1.py").read_text()
    assert all(f"'{name}'" in source and f"'{md5}'" in source for name, md5 in ARCHIVES.items())
    assert f"'3band': {SHAPE}" in source


def test_the_hash_parts_the_labelled_chips(root):
    assert {name: list(opened(root, name).ids) for name in SUITE.splits} == {
        "train": ["img2", "img3", "img4", "img5"],
        "val": ["img20"],
        "test": ["img1"],
    }
    assert dict(SUITE.splits) == {"train": 4805, "val": 739, "test": 1396}
    assert sum(SUITE.splits.values()) == 6940


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_pictures_of_any_size_and_their_footprints(index, root):
    sample = opened(root, bands=(BANDS[2], BANDS[0]))[index]
    image, target = sample.images["rgb"][0], sample.target
    assert image.shape == (2, *SHAPE) and target.shape == SHAPE
    assert image[:, 200, 300].tolist() == [50, 200]
    assert np.isnan(image[..., :42]).all() and np.isfinite(image[..., 45:]).all()
    built = np.zeros(SHAPE, np.int64)
    if index < 3:
        # 219.5 and 203: a pixel counts if its centre is inside.
        built[203:, 219:] = 1
    assert (target != built).mean() < 0.002 and target.sum() == pytest.approx(built.sum(), rel=0.01)
    assert np.allclose(sample.where, ((BOUNDS[0] + BOUNDS[2]) / 2, (BOUNDS[1] + BOUNDS[3]) / 2), atol=1e-6)


def test_presence(root):
    assert opened(root).targets().tolist() == [[1, 1], [1, 1], [1, 1], [1, 0]], "an empty file has no building"
    assert opened(root, "val").targets().tolist() == [[1, 0]]


@pytest.mark.parametrize("file", ["3band/3band_AOI_1_RIO_img3.tif", "geojson/Geo_AOI_1_RIO_img3.geojson"])
def test_absent_files_are_named(file, tmp_path):
    (write(tmp_path) / LABELLED / file).unlink()
    with pytest.raises(MissingData, match=rf"1 of 6 files .*{Path(file).name}"):
        opened(tmp_path)


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "spacenet1" / LABELLED).mkdir(parents=True)
    with pytest.raises(MissingData, match="holds no 3band"):
        opened(tmp_path)


@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_truncated_pictures_are_named(keep, tmp_path):
    path = write(tmp_path) / LABELLED / "3band" / "3band_AOI_1_RIO_img2.tif"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(MissingData, match=path.name):
        opened(tmp_path)[0]


@pytest.mark.parametrize(("values", "crs", "message"), [
    (np.ones((4, *SHAPE), np.uint8), "EPSG:4326", "has 4 bands of uint8"),
    (np.ones((3, *SHAPE), np.uint16), "EPSG:4326", "has 3 bands of uint16"),
    (np.ones((3, 102, 110), np.uint8), "EPSG:4326", "is of size"),
    (np.ones((3, *SHAPE), np.uint8), None, "has no reference system"),
])  # fmt: skip
def test_strange_pictures_are_named(values, crs, message, tmp_path):
    write_tif(write(tmp_path) / LABELLED / "3band" / "3band_AOI_1_RIO_img2.tif", values, crs=crs)
    split = opened(tmp_path)
    for read in (lambda: split[0], split.targets):
        with pytest.raises(MissingData, match=rf"3band_AOI_1_RIO_img2\.tif {message}"):
            read()


def test_a_picture_in_metres_is_drawn_in_metres(tmp_path):
    path = write(tmp_path) / LABELLED / "3band" / "3band_AOI_1_RIO_img2.tif"
    before = opened(tmp_path)[0].target
    with rasterio.open(path) as file:
        values, bounds = file.read(), rasterio.warp.transform_bounds(file.crs, "EPSG:32723", *file.bounds)
    grid = rasterio.transform.from_bounds(*bounds, SHAPE[1], SHAPE[0])
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=3,
        height=SHAPE[0],
        width=SHAPE[1],
        dtype="uint8",
        crs="EPSG:32723",
        transform=grid,
    ) as file:
        file.write(values)
    assert (opened(tmp_path)[0].target != before).mean() < 0.02


@pytest.mark.parametrize(("change", "message"), [
    (lambda content: content.pop("features"), "features"),
    (lambda content: content["crs"]["properties"].update(name="urn:ogc:def:crs:EPSG::32723"), "EPSG::32723"),
    (lambda content: content["features"][0]["geometry"].update(type="Point", coordinates=[0, 0]), "Point"),
    (lambda content: content["features"][0]["geometry"].update(coordinates=box(0, 0, 1, 1)[0]), "cannot draw"),
])  # fmt: skip
def test_strange_footprints_are_named(change, message, tmp_path):
    path = write(tmp_path) / LABELLED / "geojson" / "Geo_AOI_1_RIO_img2.geojson"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(MissingData, match=rf"Geo_AOI_1_RIO_img2\.geojson.*{message}|{message}.*Geo_AOI_1_RIO_img2"):
        opened(tmp_path)[0]


def test_truncated_footprints_are_named(tmp_path):
    path = write(tmp_path) / LABELLED / "geojson" / "Geo_AOI_1_RIO_img2.geojson"
    path.write_text(path.read_text()[:90])
    with pytest.raises(MissingData, match=path.name):
        opened(tmp_path)[0]


def test_download_unpacks_both_archives_or_says_which_is_damaged(root, tmp_path):
    served = {}
    for name, part in zip(ARCHIVES, ("3band", "geojson"), strict=True):
        with tarfile.open(tmp_path / name, "w:gz") as file:
            file.add(root / "spacenet1" / LABELLED / part, part)
        served[name] = (tmp_path / name).read_bytes()

    def fetch(url, path, *, sha256="", md5=""):
        assert url == SUITE.url + path.name and md5 == ARCHIVES[path.name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(served[path.name][:keep])
        return path

    keep = 700
    with pytest.raises(MissingData, match=next(iter(ARCHIVES))):
        SUITE.download(tmp_path, fetch)
    keep = None
    SUITE.download(tmp_path, fetch)
    assert list(opened(tmp_path).ids) == list(opened(root).ids)
