"""AI4SmallFarms: boundaries of smallholders' fields in Cambodia and Vietnam, in Sentinel-2 images.

The `AI4SmallFarms <https://doi.org/10.17026/dans-xy6-ngg6>`__ dataset: 439,001 hand-drawn fields in 62 areas of about
5 x 5 km, of which the publisher's binary masks are read here.

Dataset format, below ``sentinel-2-asia/``:

* ``{train,validate,test}/images/<n>_<country>.tif``: blue, green, red, near infrared (B02, B03, B04, B08), uint16,
  reflectance x 10000, about 500 x 500 pixels of some 10 m; 0 in every band is no data (NaN here)
* ``{train,validate,test}/masks/<n>_<country>.tif``: 255 (or 1) on a field's boundary, 0 elsewhere
* ``tiles_asia.gpkg``, optional: the month of each image

Dataset classes: background, boundary. The mask's one code is a boundary according to the description by PANGAEA, which
uses the dataset, and covers 27 % of the pixels; PANGAEA's own settings name it "crop field". The publisher's definition
could not be obtained.

Images are cut into tiles of 256 x 256 from the upper left corner, ``<n>_<country>_<row>_<column>``. Beyond an image's
edge pixels are NaN and the mask is -1, neither trained on nor scored. The publisher's splits: 43 / 9 / 10 images, with
four tiles each if no image is larger than 512 pixels.

If you use this dataset, please cite https://doi.org/10.1109/LGRS.2023.3323095. Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel2_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    is_there,
    listed_path,
    locate,
    open_raster,
    read_image,
    read_json,
    read_raster,
    read_sqlite,
    reading,
    require_all,
    require_distinct,
    require_one_place,
    to_degrees,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = sentinel2_bands("b02 b03 b04 b08")
TILE = 256
LARGEST = 4096  # pixels per side; the published images have about 500
AREA = "sentinel-2-asia"
# The publisher's folder names, and those of a widely used script.
FOLDERS = {"train": ("train",), "val": ("validate", "val"), "test": ("test",)}
TABLE = "tiles_asia.gpkg"
LISTING = "api/datasets/:persistentId/?persistentId=doi:10.17026/dans-xy6-ngg6"


class Tile(NamedTuple):
    """A window of an image, by row and column; `size` is the (H, W) of the complete image."""

    image: Path
    mask: Path
    size: tuple[int, int]
    row: int
    column: int
    where: tuple[float, float] | None

    @property
    def name(self) -> str:
        """Id of the tile."""
        return f"{self.image.stem}_{self.row}_{self.column}"


def _images(folder: Path, split: str) -> list[Path]:
    """Return a split's images, after checking that every image has a mask and every mask an image.

    Raises:
        MissingData: with the name of the first absent file.
    """
    for name in FOLDERS[split]:
        parts = folder / AREA / name
        if is_there(parts):
            break
    else:
        raise MissingData(
            f"ai4smallfarms is incomplete: {folder / AREA / FOLDERS[split][0]} is absent; download it again"
        )
    names = {path.name for kind in ("images", "masks") for path in (parts / kind).glob("*.tif")}
    if not names:
        raise MissingData(f"{parts} holds no images/*.tif; download it again")
    files = [parts / kind / name for kind in ("images", "masks") for name in sorted(names)]
    require_all(files, "ai4smallfarms", f"{parts} (an image and a mask each)")
    return files[: len(names)]


def _tiles(image: Path) -> list[Tile]:
    """Return the windows of an image, from its header and that of its mask.

    Raises:
        MissingData: if one cannot be read, or they differ in size or reference system.
    """
    mask = image.parent.parent / "masks" / image.name
    tiles = []
    with open_raster(image) as picture, open_raster(mask) as label:
        if picture.shape != label.shape:
            raise MissingData(f"{mask} is of size {label.shape}, its image of {picture.shape}; replace them")
        require_one_place((picture, label))
        height, width = picture.shape
        if max(height, width) > LARGEST:
            raise MissingData(f"{image} has {height} x {width} pixels, expected at most {LARGEST} per side; replace it")
        for row in range(-(-height // TILE)):
            for column in range(-(-width // TILE)):
                where = None
                if picture.crs:
                    east, north = picture.xy((row + 0.5) * TILE, (column + 0.5) * TILE, offset="ul")
                    where = to_degrees(picture.crs, east, north, image)
                tiles.append(Tile(image, mask, (height, width), row, column, where))
    return tiles


def _months(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return ``<n>_<country>`` -> year, month and -1; empty where the publisher's table is absent."""
    path = folder / AREA / TABLE
    if not is_there(path):
        return {}
    rows = read_sqlite(path, "tiles", ("id", "country", "year", "month"))
    with reading(path, "a year and a month per tile"):
        return {f"{number}_{country}": (int(str(year)), int(str(month)), -1) for number, country, year, month in rows}


def _cut(values: np.ndarray, tile: Tile) -> np.ndarray:
    """Return a tile of an image or mask as (bands, h, w); at the edges of the image it is smaller than `TILE`."""
    rows, columns = (slice(at * TILE, (at + 1) * TILE) for at in (tile.row, tile.column))
    return values[:, rows, columns]


def _image(tile: Tile, columns: list[int]) -> np.ndarray:
    import numpy as np

    values = _cut(read_image(tile.image, (len(BANDS), *tile.size), jointly=(0,)), tile)
    inside = values[columns]
    inside[:, (values == 0).all(axis=0)] = np.nan
    image = np.full((1, len(columns), TILE, TILE), np.nan, np.float32)
    image[0, :, : inside.shape[1], : inside.shape[2]] = inside
    return image


def _label(tile: Tile) -> np.ndarray:
    import numpy as np

    inside = _cut(read_raster(tile.mask, (1, *tile.size)), tile)[0]
    codes = np.unique(inside)
    if not (np.isin(codes, (0, 255)).all() or np.isin(codes, (0, 1)).all()):
        raise MissingData(f"{tile.mask} holds the codes {codes.tolist()}; a label is 0 or 255 (or 0 or 1): replace it")
    mask = np.full((TILE, TILE), -1, np.int64)
    mask[: inside.shape[0], : inside.shape[1]] = inside > 0
    return mask


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, (AREA,), "get it with download=true")
    images = {name: _images(folder, name) for name in SUITE.splits}
    require_distinct(SUITE.name, {name: [path.stem for path in paths] for name, paths in images.items()})
    tiles = [tile for path in images[split] for tile in _tiles(path)]
    months = _months(folder)
    columns = by_sensor(bands, [band.name for band in BANDS])["s2"]

    def read(index: int) -> Sample:
        tile = tiles[index]
        month = months.get(tile.image.stem)
        return Sample(
            images={"s2": _image(tile, columns)},
            target=_label(tile),
            when=np.array([month], np.int32) if month else None,
            where=tile.where,
        )

    def read_targets() -> np.ndarray:
        masks = (_label(tile) for tile in tiles)
        return np.array([[(mask == code).any() for code in (0, 1)] for mask in masks], np.int64).reshape(-1, 2)

    return Samples(
        ids=[tile.name for tile in tiles],
        blocks=[tile.image.stem for tile in tiles],
        read=read,
        read_targets=read_targets,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's images, masks and table of months below ``root/ai4smallfarms``."""
    folder = root / SUITE.folder
    listing = fetch(f"{SUITE.url}{LISTING}", folder / "files.json")
    content = read_json(listing)
    with reading(listing, "the publisher's list of files"):
        files = content["data"]["latestVersion"]["files"]
        wanted = [
            (
                f"{parts}/{file['dataFile']['filename']}",
                int(file["dataFile"]["id"]),
                str(file["dataFile"].get("md5", "")),
            )
            for file in files
            if (parts := str(file.get("directoryLabel", ""))).split("/")[0] == AREA
            and (parts.endswith(("/images", "/masks")) or file["dataFile"]["filename"] == TABLE)
        ]
    for name, number, md5 in wanted:
        fetch(f"{SUITE.url}api/access/datafile/{number}", listed_path(folder, name, listing), md5=md5)


SUITE = Suite(
    name="ai4smallfarms",
    version=1,
    title="AI4SmallFarms: field boundaries of smallholders in Cambodia and Vietnam",
    bands=BANDS,
    image_size=(TILE, TILE),
    gsd_m=10.0,
    levels=("s2:L2A",),
    tasks=(Task(name="boundary", kind="segmentation", classes=("background", "boundary"), metric="miou", ignore=-1),),
    splits={"train": 172, "val": 36, "test": 40},
    dataset="ai4smallfarms",
    licence="CC BY 4.0",
    citation="Persello et al., AI4SmallFarms, IEEE Geoscience and Remote Sensing Letters 20, 2023, "
    "doi:10.1109/LGRS.2023.3323095",
    url="https://phys-techsciences.datastations.nl/",
    folder="ai4smallfarms",
    notes="Monthly images, Level 2A according to secondary sources; tiles of 256 pixels, -1 beyond an image's edge is "
    "ignored; fields are often narrower than three pixels. Intervals resample images.",
    open=open_split,
    download=download,
)
