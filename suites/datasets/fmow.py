"""Functional Map of the World (fMoW), RGB: 62 uses of buildings and land, in the publisher's layout.

The `fMoW <https://github.com/fMoW/dataset>`__ dataset, true-colour edition: pan-sharpened QuickBird, GeoEye and
WorldView pictures of places in over 200 countries, each place at several dates.

Dataset format, below ``fmow-rgb/``:

* ``{train,val}/<class>/<class>_<place>/<class>_<place>_<date>_rgb.jpg`` and ``..._rgb.json`` in the same folder
  (``_msrgb`` files, the multispectral picture at its own size, are not read)
* ``test/<number>/<number>_<date>_rgb.jpg``, ``test_gt/<class>/<class>_<place>/<class>_<place>_<date>_rgb.json`` and
  ``test_gt_mapping.json`` (input: folder of ground truth, output: folder of pictures) from ``groundtruth.tar.bz2``
* a JSON states the box of its place, ``bounding_boxes: [{ID, category, box: [x, y, width, height]}]``, the
  ``timestamp`` and, in ground truth, the ``raw_location`` polygon in longitude and latitude. ID -1 marks boxes that are
  not the place

Pictures have from some hundred to over ten thousand pixels per side. A sample is the square around the centre of the
box with its longer side, moved into the picture, cut where the picture is narrower, and resized to 224 x 224 (bilinear,
antialiased); the ground size of a pixel therefore varies.

Dataset classes: see `CLASSES`. Boxes of the 63rd category, false_detection, are left out.

The publisher's splits train / val / test; 363,572 / 53,041 / 53,473 pictures. The sequestered set is not read.

If you use this dataset, please cite https://arxiv.org/abs/1711.07846. Licence: Functional Map of the World Challenge
Public License.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import WORLDVIEW, rgb_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    listed_path,
    locate,
    open_picture,
    read_json,
    reading,
    require,
    require_distinct,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = rgb_bands(wavelengths=WORLDVIEW)
CLASSES = (
    *("airport", "airport_hangar", "airport_terminal", "amusement_park", "aquaculture", "archaeological_site", "barn"),
    *("border_checkpoint", "burial_site", "car_dealership", "construction_site", "crop_field", "dam"),
    *("debris_or_rubble", "educational_institution", "electric_substation", "factory_or_powerplant", "fire_station"),
    *("flooded_road", "fountain", "gas_station", "golf_course", "ground_transportation_station", "helipad", "hospital"),
    *("impoverished_settlement", "interchange", "lake_or_pond", "lighthouse", "military_facility"),
    *("multi-unit_residential", "nuclear_powerplant", "office_building", "oil_or_gas_facility", "park"),
    *("parking_lot_or_garage", "place_of_worship", "police_station", "port", "prison", "race_track", "railway_bridge"),
    *("recreational_facility", "road_bridge", "runway", "shipyard", "shopping_mall", "single-unit_residential"),
    *("smokestack", "solar_farm", "space_facility", "stadium", "storage_tank", "surface_mine", "swimming_pool"),
    *("toll_booth", "tower", "tunnel_opening", "waste_disposal", "water_treatment_facility", "wind_farm", "zoo"),
)
NO_PLACE = "false_detection"
MAPPING = "test_gt_mapping.json"
SIDE = 224


def _places(folder: Path, split: str) -> Iterator[tuple[str, Path, Path]]:
    """Yield class, folder of pictures and folder of JSON files of each place of a split, in a fixed order."""
    if split == "test":
        mapping = folder / MAPPING
        rows = read_json(mapping, list)
        with reading(mapping, "rows with input and output"):
            pairs = sorted((str(row["input"]), str(row["output"])) for row in rows)
        paths = [tuple(listed_path(folder, name, mapping) for name in pair) for pair in pairs]
        places = [(truth.parent.name, pictures, truth) for truth, pictures in paths]
    else:
        top = require(folder / split, SUITE.name, f"the {split} split")
        below = [place for kind in sorted(top.iterdir()) if kind.is_dir() for place in sorted(kind.iterdir())]
        places = [(place.parent.name, place, place) for place in below if place.is_dir()]
    for kind, pictures, truth in places:
        if kind not in CLASSES and kind != NO_PLACE:
            raise MissingData(f"{truth}: {kind!r} is no class of fMoW ({', '.join(CLASSES)}); remove or replace it")
        if kind != NO_PLACE:
            yield kind, pictures, truth


def _dates(folder: Path, ending: str) -> dict[str, Path]:
    """Return date number -> file, for the files of a place with that ending."""
    if not folder.is_dir():
        return {}
    prefix = f"{folder.name}_"
    files = [path for path in folder.iterdir() if path.name.startswith(prefix) and path.name.endswith(ending)]
    dates = {path.name.removeprefix(prefix).removesuffix(ending): path for path in files}
    return {date: dates[date] for date in sorted(dates, key=lambda date: (len(date), date))}


def _listed(folder: Path, split: str) -> list[tuple[str, str, str, Path, Path]]:
    """Return id, place, class, picture and JSON of each sample.

    Raises:
        MissingData: if a picture has no JSON, a JSON no picture, a place neither, or a sample is listed twice.
    """
    rows = []
    for kind, pictures, truth in _places(folder, split):
        images, notes = _dates(pictures, "_rgb.jpg"), _dates(truth, "_rgb.json")
        if not images or images.keys() != notes.keys():
            date = min(images.keys() ^ notes.keys(), default="")
            absent = (
                truth / f"{truth.name}_{date}_rgb.json"
                if date in images
                else pictures / f"{pictures.name}_{date}_rgb.jpg"
            )
            raise MissingData(f"{SUITE.name} is incomplete: {absent} is absent; download {pictures} and {truth} again")
        place = f"{split}_{truth.name}"
        rows += [(f"{place}_{date}", place, kind, images[date], notes[date]) for date in images]
    if not rows:
        raise MissingData(f"{folder / split} holds no picture; download it again")
    require_distinct(SUITE.name, {split: [row[0] for row in rows]}, MAPPING if split == "test" else "")
    return rows


def _box(facts: Any, kind: str, path: Path) -> tuple[float, float, float, float]:
    """Return left, top, width and height of the place's box."""
    with reading(path, "usable bounding_boxes"):
        boxes = facts["bounding_boxes"]
        for candidate in [boxes] if isinstance(boxes, dict) else boxes:
            if candidate["ID"] != -1 and candidate["category"] == kind:
                left, top, width, height = (float(value) for value in candidate["box"])
                if not (width > 0 and height > 0 and math.isfinite(left + top + width + height)):
                    raise MissingData(f"{path}: the box {candidate['box']} has no area; replace the file")
                return left, top, width, height
    raise MissingData(f"{path} holds no box of {kind}, the class of its folder; download it again")


def _picture(path: Path, box: tuple[float, float, float, float]) -> np.ndarray:
    """Return the square around a box as uint8 (3, 224, 224)."""
    import numpy as np

    left, top, width, height = box
    with open_picture(path, "JPEG") as file:
        from PIL.Image import Resampling

        wide, tall = file.size
        if left >= wide or top >= tall or left + width <= 0 or top + height <= 0:
            raise MissingData(f"{path} has {wide} x {tall} pixels, its box {list(box)} lies outside; replace it")
        side = max(width, height)
        across, down = min(side, wide), min(side, tall)
        x = min(max(left + width / 2 - across / 2, 0), wide - across)
        y = min(max(top + height / 2 - down / 2, 0), tall - down)
        window = (x, y, x + across, y + down)
        # First to RGB, since a few pictures are stored in grey.
        picture = file.convert("RGB").resize((SIDE, SIDE), Resampling.BILINEAR, box=window)
        return np.asarray(picture).transpose(2, 0, 1)


def _centre(facts: Any) -> tuple[float, float] | None:
    """Return the mean of the corners of ``POLYGON ((longitude latitude, ...))``, None without such a polygon."""
    text = str(facts.get("raw_location", ""))
    try:
        ring = [tuple(map(float, pair.split())) for pair in text.split("((")[1].split(")")[0].split(",")]
        corners = ring[:-1] if ring[0] == ring[-1] else ring
        longitude, latitude = (sum(values) / len(corners) for values in zip(*corners, strict=True))
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    return (longitude, latitude) if -180 <= longitude <= 180 and -90 <= latitude <= 90 else None


def _day(facts: Any) -> tuple[int, int, int]:
    """Return year, month and day of the timestamp, -1 where it is unknown."""
    words = str(facts.get("timestamp", ""))[:10].split("-")
    known = len(words) == 3 and all(word.isdecimal() for word in words)
    return (int(words[0]), int(words[1]), int(words[2])) if known else (-1, -1, -1)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    markers = ["train/airport", "val/airport", MAPPING]
    folder = locate(SUITE.name, root, SUITE.folder, markers, "download=true tells how to get it")
    rows = _listed(folder, split)
    labels = np.array([CLASSES.index(kind) for _, _, kind, _, _ in rows], np.int64)
    columns = by_sensor(bands, [band.name for band in BANDS])["rgb"]

    def read(index: int) -> Sample:
        _, _, kind, image, note = rows[index]
        facts = read_json(note)
        picture = _picture(image, _box(facts, kind, note))
        return Sample(
            images={"rgb": picture[columns][None].astype("float32")},
            target=int(labels[index]),
            when=np.array([_day(facts)], np.int32),
            where=_centre(facts),
        )

    ids, blocks = [row[0] for row in rows], [row[1] for row in rows]
    return Samples(ids=ids, blocks=blocks, read=read, read_targets=lambda: labels)


def download(root: Path, fetch: Fetch) -> None:
    """Tell how to get the data: the publisher serves some 200 GB in two million files, without an archive.

    Raises:
        MissingData: always.
    """
    raise MissingData(
        f"{SUITE.name} has no archive to download; copy {SUITE.url} (for instance: aws s3 sync --no-sign-request "
        f"{SUITE.url} {root / SUITE.folder} --exclude '*_msrgb.*') and unpack its groundtruth.tar.bz2 there, so that "
        f"{root / SUITE.folder / MAPPING} and test_gt/ appear"
    )


SUITE = Suite(
    name="fmow",
    version=1,
    title="fMoW RGB: 62 uses of buildings and land, 0.3 to 1 m true colour",
    bands=BANDS,
    image_size=(SIDE, SIDE),
    gsd_m=None,
    tasks=(Task(name="landuse", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 363572, "val": 53041, "test": 53473},
    dataset="fmow",
    licence="Functional Map of the World Challenge Public License",
    citation="Christie et al., Functional Map of the World, CVPR 2018, arXiv:1711.07846",
    url="s3://spacenet-dataset/Hosted-Datasets/fmow/fmow-rgb/",
    folder="fmow-rgb",
    notes="The publisher's test set, while much of the literature reports on val: numbers are not comparable. One "
    "sample per picture, the square around its box resized to 224; the dates of a place form one block. The counts of "
    "the splits are from secondary sources. Papers that use a tenth of the data draw their own part: set fractions= "
    "instead.",
    open=open_split,
    download=download,
)
