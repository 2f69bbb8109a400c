"""Rasters: opened as what they are, with nothing beside them read; no-data, shapes, types and places."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio

from bench.core.errors import MissingData
from suites.datasets import sen1floods11
from suites.reading import place_of, read_image, read_mask, read_raster, to_degrees
from suites.reading import rasters as module
from suites.reading.declared import missing_pixels
from suites.reading.rasters import open_raster_bytes, pixels_of
from tests.builders.rasters import write_tif

SECRET = np.full((1, 8, 8), 42, np.uint8)


def vrt(source: str) -> str:
    return (
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )


def test_a_virtual_raster_reads_no_other_file(tmp_path):
    write_tif(tmp_path / "secret.tif", SECRET)
    (tmp_path / "a.tif").write_text(vrt(str(tmp_path / "secret.tif")))
    with rasterio.open(tmp_path / "a.tif") as file:
        assert (file.read() == 42).all(), "rasterio alone would read the other file"
    with pytest.raises(MissingData, match=r"a\.tif: it is a virtual raster \(VRT\), which refers to other files"):
        read_raster(tmp_path / "a.tif")
    with (
        pytest.raises(MissingData, match="part: it is a virtual raster"),
        open_raster_bytes((tmp_path / "a.tif").read_bytes(), "part"),
    ):
        pass


def test_a_virtual_raster_makes_no_request(tmp_path):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        link = f"/vsicurl/http://127.0.0.1:{server.server_port}/x.tif"
        (tmp_path / "a.tif").write_text(vrt(link))
        for path in (tmp_path / "a.tif", Path(link)):
            with pytest.raises(MissingData):
                read_raster(path)
        assert asked == []
        with pytest.raises(rasterio.errors.RasterioError), rasterio.open(tmp_path / "a.tif") as file:
            file.read()
        server.shutdown()
    assert asked, "rasterio alone would have asked"


def test_files_beside_a_raster_are_not_read(tmp_path):
    path = tmp_path / "a.tif"
    write_tif(path, SECRET)
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>42</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    write_tif(tmp_path / "secret.tif", np.zeros((1, 8, 8), np.uint8))
    (tmp_path / "a.tif.msk").write_text(vrt(str(tmp_path / "secret.tif")))
    with rasterio.open(path) as file:
        assert len(file.files) > 1, "rasterio alone would read them"
    assert (read_image(path) == 42).all()
    with module.open_raster(path) as file:
        assert file.files == [str(path)]


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.7, 0.95])
def test_rasters_cut_short_are_named(keep, tmp_path):
    path = tmp_path / "a.tif"
    write_tif(path, np.random.default_rng(0).integers(0, 255, (3, 64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(MissingData, match=r"cannot read .*a\.tif: "):
        read_raster(path)


def test_absent_and_other_files_are_named(tmp_path):
    with pytest.raises(MissingData, match=r"cannot read .*x\.tif: there is no such file"):
        read_raster(tmp_path / "x.tif")
    (tmp_path / "a.tif").write_text("<html><body>Not found</body></html>")
    with pytest.raises(MissingData, match=r"a\.tif: it is an HTML page.*, expected a GeoTIFF or PNG"):
        read_raster(tmp_path / "a.tif")


def test_shapes_and_types(tmp_path):
    path = tmp_path / "a.tif"
    write_tif(path, np.ones((2, 4, 6), np.uint16))
    assert read_raster(path, (2, 4, 6), "uint16").dtype == np.uint16
    assert read_raster(path, (-1, 4, 6)).shape == (2, 4, 6)
    with pytest.raises(MissingData, match=r"a\.tif has shape \(2, 4, 6\), expected \(3, 4, 6\); replace it"):
        read_raster(path, (3, 4, 6))
    for kind, published, refused in (
        ("uint8", "uint16", True), ("int16", "float32", True), ("complex64", "", True), ("complex64", "float32", True),
        ("int16", "uint16", False), ("float32", "uint16", False), ("float64", "float32", False), ("uint8", "", False),
    ):  # fmt: skip
        write_tif(path, np.ones((1, 4, 4), kind))
        if refused:
            with pytest.raises(MissingData, match=rf"a\.tif holds {kind}, expected {published or 'real numbers'}"):
                read_raster(path, None, published)
        else:
            assert (read_raster(path, None, published) == 1).all()


def test_a_raster_that_claims_more_than_is_read_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=40, height=100_000, width=100_000, dtype="float32", SPARSE_OK=True, tiled=True,
        BIGTIFF="YES",
    ):  # fmt: skip
        pass
    assert path.stat().st_size < 1 << 28
    with pytest.raises(MissingData, match=r"a\.tif: it claims to have \(40, 100000, 100000\)"):
        read_raster(path)


def test_declared_no_data_is_nan(tmp_path):
    values = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=2, height=2, width=2, dtype="int16", nodata=5
    ) as file:
        file.write(values)
    image = read_image(tmp_path / "a.tif", (2, 2, 2), "int16")
    assert image.dtype == np.float32 and np.isnan(image[1, 0, 1]) and np.isnan(image).sum() == 1
    assert (read_raster(tmp_path / "a.tif") == values).all(), "as stored"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(tmp_path / "b.tif", "w", driver="GTiff", count=2, height=2, width=2, dtype="int16") as file,
    ):
        file.write(values)
        file.write_mask(np.array([[255, 0], [255, 255]], np.uint8))
    image = read_image(tmp_path / "b.tif")
    assert np.isnan(image[:, 0, 1]).all() and np.isnan(image).sum() == 2
    write_tif(tmp_path / "c.tif", values)
    assert np.array_equal(read_image(tmp_path / "c.tif"), values.astype(np.float32))


def test_an_alpha_band_is_a_band(tmp_path):
    values = np.full((4, 2, 2), 9, np.uint8)
    values[3, 0] = 0
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        count=4,
        height=2,
        width=2,
        dtype="uint8",
        photometric="RGB",
        alpha="YES",
    ) as file:
        file.write(values)
    assert np.isfinite(read_image(tmp_path / "a.tif")).all()


def test_bytes_of_a_raster(tmp_path):
    write_tif(tmp_path / "a.tif", SECRET)
    with open_raster_bytes((tmp_path / "a.tif").read_bytes(), "part") as file:
        assert (pixels_of(file, "part") == 42).all()
        with pytest.raises(MissingData, match=r"part has shape \(1, 8, 8\), expected \(2, 8, 8\)"):
            pixels_of(file, "part", (2, 8, 8))
    with pytest.raises(MissingData, match="cannot read part: "), open_raster_bytes(b"II*\0nothing", "part"):
        pass


def test_places_are_of_the_first_raster_that_has_one(tmp_path):
    shape = np.zeros((1, 8, 8), np.uint8)
    bare, here, there, far = (tmp_path / f"{name}.tif" for name in ("bare", "here", "there", "far"))
    write_tif(bare, shape)
    write_tif(here, shape, crs="EPSG:4326", centre=(11.0, 48.0))
    write_tif(there, shape, crs="EPSG:4326", centre=(12.0, 48.0))
    write_tif(far, shape, crs="EPSG:32632", centre=(500000.0, 5e6))
    assert place_of(bare) is None
    assert place_of(bare, here, there) == pytest.approx((11.0, 48.0))
    with pytest.raises(MissingData, match=r"far\.tif and .*here\.tif differ in reference system"):
        place_of(here, bare, far)
    with pytest.raises(MissingData, match=r"there\.tif lies on .*here\.tif on"):
        place_of(here, there, grid=True)
    assert place_of(here, here, bare, grid=True) == pytest.approx((11.0, 48.0))
    with pytest.raises(MissingData, match=r"absent\.tif"):
        place_of(here, tmp_path / "absent.tif")


def test_points_are_turned_into_degrees():
    assert to_degrees("EPSG:2154", 700000.0, 6600000.0, "f") == pytest.approx((3.0, 46.5), abs=1e-6)
    assert to_degrees("urn:ogc:def:crs:EPSG::2154", 700000.0, 6600000.0, "f") == pytest.approx((3.0, 46.5), abs=1e-6)


@pytest.mark.parametrize("system", ["http://127.0.0.1/crs", "/etc/passwd", "+proj=longlat +nadgrids=/x", "EPSG:999999"])
def test_reference_systems_are_codes_and_nothing_else(system):
    with pytest.raises(MissingData, match=r"f\.geojson"):
        to_degrees(system, 0.0, 0.0, "f.geojson")


def test_points_outside_of_a_system_are_named():
    with pytest.raises(MissingData, match=r"f"):
        to_degrees("EPSG:32633", 1e30, 1e30, "f")


def declared(path: Path, values: np.ndarray, nodata) -> Path:
    """Write (bands, H, W) as a GeoTIFF that declares a no-data value."""
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, nodata=nodata
    ) as file:
        file.write(values)
    return path


@pytest.mark.parametrize(
    ("kind", "nodata", "planted"),
    [
        ("int16", -9999, -9999),
        ("float32", -3.4e38, -3.4e38),
        ("float32", float(np.finfo(np.float32).min), np.finfo(np.float32).min),
        ("float64", -9999.9, -9999.9),
        ("float32", float("nan"), np.nan),
        ("uint16", 65535, 65535),
    ],
)
def test_planted_pixels_of_the_declared_value_are_nan_and_no_others(kind, nodata, planted, tmp_path):
    values = np.arange(1, 19, dtype=kind).reshape(2, 3, 3)
    values[0, 1, 2] = planted
    image = read_image(declared(tmp_path / "a.tif", values, nodata))
    assert np.argwhere(np.isnan(image)).tolist() == [[0, 1, 2]]
    assert image[1].tolist() == values[1].tolist()


def test_a_declared_value_that_is_absent_changes_nothing(tmp_path):
    values = np.arange(1, 9, dtype=np.int16).reshape(2, 2, 2)
    assert read_image(declared(tmp_path / "a.tif", values, -9999)).tolist() == values.tolist()
    assert read_image(declared(tmp_path / "b.tif", values.astype(np.float32), np.nan)).tolist() == values.tolist()


def test_zero_is_a_tone_of_a_picture_unless_every_band_holds_it(tmp_path):
    values = np.array([[[0, 0, 9]], [[7, 0, 9]], [[7, 0, 0]]], np.uint8)
    image = read_image(declared(tmp_path / "a.tif", values, 0))
    assert np.isnan(image).all(axis=0).tolist() == [[False, True, False]] and np.isnan(image).sum() == 3
    assert np.isnan(read_image(declared(tmp_path / "b.tif", values[:1], 0))).tolist() == [[[True, True, False]]]


def test_a_declared_value_may_be_a_measurement_unless_every_band_holds_it(tmp_path):
    path = declared(tmp_path / "a.tif", np.array([[[0, 0]], [[7, 0]]], np.uint16), 0)
    assert np.isnan(read_image(path)).tolist() == [[[True, True]], [[False, True]]]
    assert np.isnan(read_image(path, jointly=(0,))).tolist() == [[[False, True]], [[False, True]]]


def test_no_data_is_declared_per_band():
    values = np.array([[[0, -9]], [[0, -9]]], np.int16)
    assert missing_pixels(values, [0, -9]).tolist() == [[[True, False]], [[False, True]]]
    assert missing_pixels(values, [None, -9]).tolist() == [[[False, False]], [[False, True]]]


def test_declared_no_data_of_a_mask_is_ignored_unless_it_is_a_class(tmp_path):
    mask = np.array([[[0, 1, 255]]], np.uint8)
    assert read_mask(declared(tmp_path / "a.tif", mask, 255), (0, 1)).tolist() == [[0, 1, -1]]
    assert read_mask(declared(tmp_path / "a.tif", mask, 255), (0, 1), ignore=7).tolist() == [[0, 1, 7]]
    assert read_mask(declared(tmp_path / "b.tif", mask[..., :2], 0), (0, 1)).tolist() == [[0, 1]]
    with pytest.raises(MissingData, match=r"c\.tif holds the codes \[0, 1, 255\].*\[0, 1\]: replace it"):
        read_mask(declared(tmp_path / "c.tif", mask, None), (0, 1))
    with pytest.raises(MissingData, match=r"holds the codes \[0, 1, 255\] \(declared as no data: 255\)"):
        read_mask(declared(tmp_path / "d.tif", mask, 255), (0, 1), ignore=None)


def test_declared_no_data_of_a_suite_is_missing_in_its_samples(tmp_path):
    """A suite of the catalogue that reads GeoTIFFs honours a value that its publisher's notes do not mention."""
    values = np.full((13, 512, 512), 1, np.int16)
    assert (len(sen1floods11.STORED["s2"]), *sen1floods11.SHAPE) == (13, 512, 512)
    values[0, 3, 4], values[1, 5, 6], values[:, 7, 8] = 0, -32768, 0
    image = sen1floods11._image(declared(tmp_path / "a.tif", values, -32768), "s2", [0, 1])
    assert np.argwhere(np.isnan(image[0])).tolist() == [[0, 7, 8], [1, 5, 6], [1, 7, 8]]
