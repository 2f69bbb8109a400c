"""PASTIS: crops of French agricultural parcels from Sentinel-2 time series, pixel by pixel.

`Panoptic Agricultural Satellite TIme Series <https://github.com/VSainteuf/pastis-benchmark>`__: 2,433 patches of four
Sentinel-2 tiles, with all images of September 2018 to November 2019, 38 to 61 dates per patch. There are two editions,
PASTIS and PASTIS-R, which adds Sentinel-1; the optical series and the semantic labels of either are read.

Dataset format, below ``PASTIS-R/`` or ``PASTIS/``:

* ``DATA_S2/S2_<id>.npy``: int16 (T, 10, 128, 128), surface reflectance x 10000 at 10 m; bands B02 ... B08, B8A, B11,
  B12. -10000, the mark of THEIA's products, is no data (NaN here)
* ``ANNOTATIONS/TARGET_<id>.npy``: uint8 (3, 128, 128), of which the first layer holds the classes
* ``metadata.geojson``: ``ID_PATCH``, ``Fold`` 1..5, ``TILE``, ``dates-S2`` as {"0": 20180924, ...}, and the outline, in
  Lambert 93

Dataset classes: background and 18 crops. Void (19), parcels mostly outside their patch, is neither trained on nor
scored.

Of the publisher's five folds, 1 to 3 are train, 4 is val and 5 is test, as in the first of the publisher's rotations:
1,455 / 482 / 496 patches.

If you use this dataset, please cite https://doi.org/10.1109/ICCV48922.2021.00483. Licence: Etalab 2.0, as stated for
PASTIS-HD, a later edition of the same series; the licence of the code is MIT.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel2_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    fetch_archive,
    is_there,
    listed_path,
    locate,
    read_array,
    read_json,
    reading,
    require_all,
    require_distinct,
    to_degrees,
)
from suites.reading.class_names import CROPS

if TYPE_CHECKING:
    import numpy as np

BANDS = sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12")
CLASSES = ("background", *CROPS)
VOID, NO_DATA = 19, -10000
SHAPE = (128, 128)
FOLDS = {"train": (1, 2, 3), "val": (4,), "test": (5,)}
EDITIONS = ("PASTIS-R", "PASTIS")
ARCHIVE = ("PASTIS-R.zip", "4887513d6c2d2b07fa935d325bd53e09")


class Patch(NamedTuple):
    """One patch of the metadata: id, fold, Sentinel-2 tile, dates, centre, and the reference system of the centre."""

    name: str
    fold: int
    tile: str
    dates: tuple[tuple[int, int, int], ...]
    middle: tuple[float, float]
    system: str


def _dates(given: Any) -> tuple[tuple[int, int, int], ...]:
    """Return year, month and day of ``{"0": 20180924, ...}``, an object or its text, in the order of its keys."""
    table: Mapping[str, object] = json.loads(given) if isinstance(given, str) else given
    dates = []
    for number in sorted(table, key=int):
        text = str(table[number])
        year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
        if len(text) != 8 or not (1 <= month <= 12 and 1 <= day <= 31):
            raise ValueError(f"{text} is no date")
        dates.append((year, month, day))
    return tuple(dates)


def _middle(coordinates: object) -> tuple[float, float]:
    """Return the middle of a (multi)polygon's bounding box."""
    points: list[Any] = [coordinates]
    while isinstance(points[0][0], list):
        points = [point for part in points for point in part]
    sides = [[float(point[axis]) for point in points] for axis in (0, 1)]
    return (min(sides[0]) + max(sides[0])) / 2, (min(sides[1]) + max(sides[1])) / 2


def _patches(path: Path) -> list[Patch]:
    """Return all patches, in order of their id.

    Raises:
        MissingData: if the metadata are absent or damaged, or lack a property.
    """
    content = read_json(path)
    with reading(path, "features with ID_PATCH, Fold, TILE, dates-S2 and an outline"):
        system = str(content.get("crs", {}).get("properties", {}).get("name", "EPSG:2154"))
        patches = [
            Patch(
                name=str(feature["properties"]["ID_PATCH"]),
                fold=int(feature["properties"]["Fold"]),
                tile=str(feature["properties"]["TILE"]),
                dates=_dates(feature["properties"]["dates-S2"]),
                middle=_middle(feature["geometry"]["coordinates"]),
                system=system,
            )
            for feature in content["features"]
        ]
    if strange := [patch for patch in patches if not 1 <= patch.fold <= 5]:
        raise MissingData(f"{path}: {strange[0].name} is of fold {strange[0].fold}; known are 1..5: replace it")
    return sorted(patches, key=lambda patch: (len(patch.name), patch.name))


def _image(path: Path, columns: list[int], dates: int) -> np.ndarray:
    """Return the wanted bands as float32 (T, C, H, W), NaN where there is no data."""
    import numpy as np

    picked = read_array(path, (dates, len(BANDS), *SHAPE), "int16")[:, columns]
    image: np.ndarray = picked.astype(np.float32)
    image[picked == NO_DATA] = np.nan
    return image


def _label(path: Path) -> np.ndarray:
    import numpy as np

    values = read_array(path, (3, *SHAPE), "uint8")
    codes = np.unique(values[0])
    if not np.isin(codes, np.arange(VOID + 1)).all():
        raise MissingData(f"{path} holds the codes {codes.tolist()}; a label is 0..{VOID}: replace it")
    classes: np.ndarray = values[0].astype(np.int64)
    return classes


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    edition = next((name for name in EDITIONS if is_there(root / name / "metadata.geojson")), SUITE.folder)
    folder = locate(SUITE.name, root, edition, ("metadata.geojson",), "get it with download=true")
    patches = _patches(folder / "metadata.geojson")
    folded = {name: [patch.name for patch in patches if patch.fold in folds] for name, folds in FOLDS.items()}
    require_distinct(SUITE.name, folded, "metadata.geojson")
    chosen = [patch for patch in patches if patch.fold in FOLDS[split]]
    table = folder / "metadata.geojson"
    images = [listed_path(folder, f"DATA_S2/S2_{patch.name}.npy", table) for patch in chosen]
    labels = [listed_path(folder, f"ANNOTATIONS/TARGET_{patch.name}.npy", table) for patch in chosen]
    for paths in (images, labels):
        require_all(paths, SUITE.name, "metadata.geojson")
    columns = by_sensor(bands, [band.name for band in BANDS])["s2"]

    def read(index: int) -> Sample:
        patch = chosen[index]
        return Sample(
            images={"s2": _image(images[index], columns, len(patch.dates))},
            target=_label(labels[index]),
            when=np.array(patch.dates, np.int32),
            where=to_degrees(patch.system, *patch.middle, table),
        )

    def read_targets() -> np.ndarray:
        present = np.zeros((len(labels), VOID + 1), np.int64)
        for row, path in enumerate(labels):
            present[row, np.unique(_label(path))] = 1
        return present[:, :VOID]

    return Samples(
        ids=[patch.name for patch in chosen],
        blocks=[patch.tile for patch in chosen],
        read=read,
        read_targets=read_targets,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the archive of PASTIS-R (54 GB), unpacked, below ``root/PASTIS-R``."""
    if not (root / SUITE.folder).exists():
        fetch_archive(fetch, f"{SUITE.url}{ARCHIVE[0]}", root / ARCHIVE[0], root, md5=ARCHIVE[1])


SUITE = Suite(
    name="pastis",
    version=1,
    title="PASTIS: crops from Sentinel-2 time series",
    bands=BANDS,
    image_size=SHAPE,
    gsd_m=10.0,
    levels=("s2:L2A",),
    dates=0,
    tasks=(Task(name="crops", kind="segmentation", classes=CLASSES, metric="miou", ignore=VOID),),
    splits={"train": 1455, "val": 482, "test": 496},
    dataset="pastis",
    licence="Etalab 2.0, as stated for the later edition PASTIS-HD",
    citation="Sainte Fare Garnot and Landrieu, PASTIS, ICCV 2021, doi:10.1109/ICCV48922.2021.00483",
    url="https://zenodo.org/records/5735646/files/",
    folder="PASTIS-R",
    notes="One rotation of five folds (train 1-3, val 4, test 5), while the publisher's table averages all five; void "
    "is ignored; Level 2A by THEIA (MAJA), not by ESA; cloudy dates are included. Intervals resample the four "
    "Sentinel-2 tiles.",
    open=open_split,
    download=download,
)
