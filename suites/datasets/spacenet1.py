"""SpaceNet 1: building footprints in Rio de Janeiro, pixel by pixel, in torchgeo's layout.

`SpaceNet 1 <https://spacenet.ai/spacenet-buildings-dataset-v1/>`__: WorldView-2 chips of 200 x 200 m with footprints of
buildings.

Dataset format, below ``SN1_buildings/train/``:

* ``3band/3band_AOI_1_RIO_img<n>.tif``: red, green, blue, pansharpened to 0.5 m, uint8, 438 or 439 pixels wide and 406
  or 407 high; 0 in all three is no data (NaN here)
* ``geojson/Geo_AOI_1_RIO_img<n>.geojson``: footprints in degrees; without features, or empty, where nothing
  is built

Dataset classes: background, building. A pixel is building if its centre lies in a footprint, as in torchgeo.

As in torchgeo, every chip is resized to 406 x 439 pixels (bilinear), and footprints are drawn at that size. torchgeo
scales the picture but not its grid, which shifts footprints by up to a pixel at the far edges of chips of another size;
here the grid is scaled as well. The 8-band chips (102 x 110 pixels, uncalibrated numbers) are not read.

The publisher's test chips come without labels. 6,940 labelled chips are split here, 70 / 10 / 20 % in torchgeo's
proportions, by the hash of the chip's name: torchgeo's own draw depends on torch's generator.

If you use this dataset, please cite https://arxiv.org/abs/1807.01232. Licence: CC BY-SA 4.0.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import WORLDVIEW, rgb_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    locate,
    open_raster,
    read_text,
    reading,
    require_all,
    share_of,
    unpack_tar,
)

if TYPE_CHECKING:
    import numpy as np
    from rasterio import DatasetReader

BANDS = rgb_bands(0.5, wavelengths=WORLDVIEW)
SHAPE = (406, 439)
LABELLED = Path("SN1_buildings", "train")
# Archive -> MD5, as torchgeo states them.
ARCHIVES = {
    "SN1_buildings_train_AOI_1_Rio_3band.tar.gz": "279e334a2120ecac70439ea246174516",
    "SN1_buildings_train_AOI_1_Rio_geojson_buildings.tar.gz": "b6e02fbd727f252ea038abe4f77a77b3",
}
SHARES = {"train": (0.0, 0.7), "val": (0.7, 0.8), "test": (0.8, 1.0)}


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the labelled chips, after checking that each has a picture and footprints.

    Raises:
        MissingData: with the name of the first absent file.
    """
    named: set[int] = set()
    for path in (*folder.glob("3band/*.tif"), *folder.glob("geojson/*.geojson")):
        if name := re.fullmatch(r"(?:3band|Geo)_AOI_1_RIO_img(\d+)", path.stem):
            named.add(int(name[1]))
    if not named:
        raise MissingData(f"{folder} holds no 3band/3band_AOI_1_RIO_img<n>.tif; download it again")
    numbers = sorted(named)
    for paths in ([_picture(folder, n) for n in numbers], [_footprints(folder, n) for n in numbers]):
        require_all(paths, "spacenet1", f"{folder} (each with a picture and footprints)")
    return numbers


def _picture(folder: Path, number: int) -> Path:
    return folder / "3band" / f"3band_AOI_1_RIO_img{number}.tif"


def _footprints(folder: Path, number: int) -> Path:
    return folder / "geojson" / f"Geo_AOI_1_RIO_img{number}.geojson"


def _image(path: Path, columns: list[int]) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the wanted bands as float32 (1, C, H, W), and longitude and latitude of the centre."""
    import numpy as np

    with open_raster(path) as file:
        from rasterio.enums import Resampling

        _check_grid(path, file)
        values = file.read(out_shape=(len(BANDS), *SHAPE), resampling=Resampling.bilinear)
        where = file.lnglat()
    image: np.ndarray = values[columns].astype(np.float32)
    image[:, (values == 0).all(axis=0)] = np.nan
    return image[None], where


def _check_grid(path: Path, file: DatasetReader) -> None:
    """Check bands, type, size and reference system of an open chip."""
    if (file.count, file.dtypes[0]) != (len(BANDS), "uint8"):
        raise MissingData(f"{path} has {file.count} bands of {file.dtypes[0]}, expected 3 of uint8; replace it")
    if abs(file.height - SHAPE[0]) > 2 or abs(file.width - SHAPE[1]) > 2:
        raise MissingData(f"{path} is of size {file.shape}, expected {SHAPE} or a pixel more or less; replace it")
    if not file.crs:
        raise MissingData(f"{path} has no reference system, without which footprints cannot be drawn; replace it")


def _shapes(path: Path) -> list[dict[str, object]]:
    """Return the footprints, each a GeoJSON geometry in degrees.

    Raises:
        MissingData: if the file is damaged, has another reference system, or holds something else than areas.
    """
    from rasterio.features import is_valid_geom

    text = read_text(path)
    if not text.strip():
        return []
    with reading(path, "features with a geometry"):
        content = json.loads(text)
        system = str(content.get("crs", {}).get("properties", {}).get("name", "CRS84"))
        geometries = [feature["geometry"] for feature in content["features"]]
        shapes = [geometry for geometry in geometries if geometry and geometry["coordinates"]]
        kinds = {shape["type"] for shape in shapes}
    if not system.endswith(("CRS84", ":4326")):
        raise MissingData(f"{path} is in {system}; footprints are in degrees (CRS84): replace it")
    if strange := kinds - {"Polygon", "MultiPolygon"}:
        raise MissingData(f"{path} holds {sorted(strange)}; a footprint is a Polygon or MultiPolygon: replace it")
    with reading(f"the footprints of {path}", "polygons of numbers"):
        drawable = all(is_valid_geom(shape) for shape in shapes)
    if not drawable:
        raise MissingData(f"cannot draw the footprints of {path}: one is not a valid polygon; replace it")
    return shapes


def _label(picture: Path, footprints: Path) -> np.ndarray:
    """Return the footprints drawn on the picture's grid: int64 (H, W), 1 building."""
    import numpy as np

    shapes = _shapes(footprints)
    with open_raster(picture) as file:
        from rasterio.transform import from_bounds

        _check_grid(picture, file)
        system, grid = file.crs, from_bounds(*file.bounds, SHAPE[1], SHAPE[0])
    if not shapes:
        return np.zeros(SHAPE, np.int64)
    with reading(f"the footprints of {footprints}", "polygons in degrees"):
        from rasterio.features import rasterize
        from rasterio.warp import transform_geom

        if system.to_epsg() != 4326:
            shapes = [transform_geom("EPSG:4326", system, shape) for shape in shapes]
        mask = rasterize(shapes, out_shape=SHAPE, transform=grid, fill=0, default_value=1, dtype="uint8")
    drawn: np.ndarray = mask.astype(np.int64)
    return drawn


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    how = "get it with download=true"
    folder = locate(SUITE.name, root, SUITE.folder, (str(LABELLED),), how) / LABELLED
    low, high = SHARES[split]
    numbers = [number for number in _numbers(folder) if low <= share_of(f"img{number}") < high]
    columns = by_sensor(bands, [band.name for band in BANDS])["rgb"]

    def read(index: int) -> Sample:
        picture, footprints = _picture(folder, numbers[index]), _footprints(folder, numbers[index])
        image, where = _image(picture, columns)
        return Sample(images={"rgb": image}, target=_label(picture, footprints), where=where)

    def read_targets() -> np.ndarray:
        masks = (_label(_picture(folder, number), _footprints(folder, number)) for number in numbers)
        return np.array([[(mask == code).any() for code in (0, 1)] for mask in masks], np.int64).reshape(-1, 2)

    ids = [f"img{number}" for number in numbers]
    return Samples(ids=ids, blocks=ids, read=read, read_targets=read_targets)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's labelled chips and footprints, unpacked, below ``root/spacenet1/SN1_buildings/train``."""
    folder = root / SUITE.folder / LABELLED
    for (name, md5), part in zip(ARCHIVES.items(), ("3band", "geojson"), strict=True):
        if not (folder / part).exists():
            unpack_tar(fetch(f"{SUITE.url}{name}", folder / name, md5=md5), folder)


SUITE = Suite(
    name="spacenet1",
    version=1,
    title="SpaceNet 1: building footprints in Rio de Janeiro",
    bands=BANDS,
    image_size=SHAPE,
    gsd_m=0.5,
    tasks=(Task(name="buildings", kind="segmentation", classes=("background", "building"), metric="miou"),),
    splits={
        name: sum(low <= share_of(f"img{number}") < high for number in range(1, 6941))
        for name, (low, high) in SHARES.items()
    },
    dataset="spacenet1",
    licence="CC BY-SA 4.0",
    citation="Van Etten et al., SpaceNet, 2018, arXiv 1807.01232",
    url="https://spacenet-dataset.s3.amazonaws.com/spacenet/SN1_buildings/tarballs/",
    folder="spacenet1",
    notes="Split of our own of the labelled chips, by the hash of their name: neighbours are in different splits, and "
    "intervals, which resample chips, are therefore too narrow. Pansharpened 8-bit colour, not calibrated.",
    open=open_split,
    download=download,
)
