"""Tree crowns: boxes around single trees in airborne colour images, in DeepForest's layout.

Three images of the National Ecological Observatory Network (NEON) with hand-drawn boxes, as published with
`DeepForest <https://github.com/weecology/DeepForest>`__: Yellowstone, Soaproot Saddle and Ordway-Swisher.

Dataset format, all in one folder:

* ``<image>.png`` or ``<image>.tif``: red, green, blue, uint8, at 0.1 m. One file declares 255 to be no
  data, which is white in the others: it is read as white
* ``<image>.xml``: Pascal VOC boxes, in pixels from the upper left corner, read as the edges of the box
* ``<image>.csv``: image_path, xmin, ymin, xmax, ymax, label; read where there is no ``.xml``

Dataset classes: tree. The labels Tree, Alive and Dead are all crowns.

Images are cut into tiles of 400 x 400 pixels, the size of the images of the NEON tree evaluation, from the upper left
corner; what lies beyond an image's edge is NaN. A tile's id is ``<image>_<row>_<column>``. A crown that a cut divides
belongs, clipped, to each tile that holds a quarter of it or more, and to the one that holds most of it.

No split is published. Ours cuts Yellowstone by place: its southern row of tiles (65 crowns) to test on, two tiles in
the east (37) to choose by, the other six (203) to learn from; Soaproot Saddle (37 crowns) and Ordway-Swisher (61) are
tests in other regions. Further annotated images in the folder are split by the hash of their name, 70 / 15 / 15 %.

If you use this dataset, please cite https://doi.org/10.1111/2041-210X.13472. Licence: MIT.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import rgb_bands
from suites.reading.boxes import cut_boxes
from suites.reading.files import locate, read_lines, read_raster, require, require_distinct
from suites.reading.samples import Samples, by_sensor, check_request, share_of

if TYPE_CHECKING:
    import numpy as np

TILE = 400
CROWNS = ("Tree", "Alive", "Dead")
KEPT = 0.25
BANDS = rgb_bands(0.1)
# Published image -> split (none where it is by tile), and the SHA-256 of image and boxes.
PUBLISHED = {
    "2019_YELL_2_541000_4977000_image_crop.png": (
        "",
        "178e58a23cc2642226a364a30f71bd9258ddc1b012c826f12250914a90c7a131",
        "cefe4b96888bacbf8af1674f000082e549aa707aa6590d545effb23e43f26631",
    ),
    "SOAP_061.png": (
        "soaproot",
        "256508f1a62149bec4a80879077a865caf50e8cace095e6564c76befa480d424",
        "4833280af75fd9c47965a93e38945282835e9e725cac412bdb9469d63480947c",
    ),
    "OSBS_029.tif": (
        "ordway",
        "8521dbb5e8063d37d61895867dfcca7476491d1345103dc1b3fd96f71b186353",
        "1f68c4011d7b351c29ca755072e77f3d16e6fd1f995bd05a9dd4eb952b55373c",
    ),
}


@dataclass(frozen=True)
class Annotated:
    """An image and its boxes; the size is what the annotation or, without one, the image says."""

    path: Path
    size: tuple[int, int]
    boxes: np.ndarray


def _checked(source: Path, size: tuple[int, int], boxes: list[tuple[float, ...]], labels: list[str]) -> np.ndarray:
    import numpy as np

    tall, wide = size
    for box, label in zip(boxes, labels, strict=True):
        left, top, right, bottom = box
        if not (0 <= left < right <= wide and 0 <= top < bottom <= tall):
            raise MissingData(
                f"{source} has the box {box}, which has no area or leaves the image of {wide} x {tall} pixels; "
                "replace the file"
            )
        if label not in CROWNS:
            raise MissingData(f"{source} has the label {label!r}; known are {', '.join(CROWNS)}: replace it")
    return np.array(boxes, np.float32).reshape(-1, 4)


def _from_xml(path: Path) -> Annotated:
    try:
        tree = ElementTree.parse(path).getroot()
        image = path.parent / str(tree.findtext("filename"))
        size = (int(tree.findtext("size/height", "")), int(tree.findtext("size/width", "")))
        found = tree.findall("object")
        sides = ("xmin", "ymin", "xmax", "ymax")
        boxes = [tuple(float(one.findtext(f"bndbox/{side}", "")) for side in sides) for one in found]
        labels = [one.findtext("name", "") for one in found]
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise MissingData(f"cannot read {path}: {error}; it is absent or damaged, download it again") from error
    return Annotated(image, size, _checked(path, size, boxes, labels))


def _from_csv(path: Path) -> list[Annotated]:
    lines = read_lines(path)
    if not lines[0].startswith("image_path,"):
        return []
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(lines):
        rows.setdefault(row["image_path"], []).append(row)
    images = []
    for name, of_image in rows.items():
        image = require(path.parent / name, "tree_crowns", f"it is listed in {path.name}")
        tall, wide = read_raster(image).shape[1:]
        try:
            boxes = [tuple(float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")) for row in of_image]
            labels = [row["label"] for row in of_image]
        except (KeyError, TypeError, ValueError) as error:
            raise MissingData(f"cannot read {path}: {error!r}; download it again") from error
        images.append(Annotated(image, (tall, wide), _checked(path, (tall, wide), boxes, labels)))
    return images


def read_annotations(folder: Path) -> dict[str, Annotated]:
    """Return image name -> annotated image, of every image in the folder that has boxes.

    Raises:
        MissingData: a published image lacks its boxes, a file is absent or damaged, or a box or label is unsound.
    """
    for name in PUBLISHED:
        require((folder / name).with_suffix(".xml"), SUITE.name, f"the boxes of {name}")
    found = {one.path.name: one for one in map(_from_xml, sorted(folder.glob("*.xml")))}
    for path in sorted(folder.glob("*.csv")):
        if not path.with_suffix(".xml").exists():
            for one in _from_csv(path):
                found.setdefault(one.path.name, one)
    for one in found.values():
        require(one.path, SUITE.name, "an image that has boxes")
    return found


def _split_of(name: str, place: tuple[int, int]) -> str:
    """Return the split of a tile: by its image, or by its (row, column) in the one that several splits share."""
    if name in PUBLISHED:
        row, column = place
        return PUBLISHED[name][0] or ("test" if row == 2 else "val" if row == 1 and column > 1 else "train")
    share = share_of(Path(name).stem)
    return "train" if share < 0.7 else "val" if share < 0.85 else "test"


def _image(one: Annotated, place: tuple[int, int], columns: list[int]) -> np.ndarray:
    """Return a tile as float32 (1, C, H, W), NaN beyond the image."""
    import numpy as np

    values = read_raster(one.path, (len(BANDS), *one.size))
    rows, across = (slice(index * TILE, (index + 1) * TILE) for index in place)
    part = values[:, rows, across]
    image = np.full((1, len(columns), TILE, TILE), np.nan, np.float32)
    image[0, :, : part.shape[1], : part.shape[2]] = part[columns]
    return image


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    markers = [str(Path(name).with_suffix(".xml")) for name in PUBLISHED]
    folder = locate(SUITE.name, root, SUITE.folder, markers, "get it with download=true")
    images = read_annotations(folder)
    require_distinct(SUITE.name, {"the folder": [Path(name).stem for name in sorted(images)]})
    tiles = [
        (one, place, boxes)
        for name, one in sorted(images.items())
        for place, (_, boxes) in cut_boxes(one.boxes, one.size, TILE, KEPT).items()
        if _split_of(name, place) == split
    ]
    columns = by_sensor(bands, [band.name for band in BANDS])["rgb"]

    def read(index: int) -> Sample:
        one, place, boxes = tiles[index]
        target = {"boxes": boxes, "labels": np.zeros(len(boxes), np.int64)}
        return Sample(images={"rgb": _image(one, place, columns)}, target=target)

    def read_targets() -> np.ndarray:
        return np.array([[len(boxes) > 0] for _, _, boxes in tiles], np.int64)

    return Samples(
        ids=[f"{one.path.stem}_{row}_{column}" for one, (row, column), _ in tiles],
        # Within the image that is split by place a tile is the unit; elsewhere the site.
        blocks=[
            one.path.stem if PUBLISHED.get(one.path.name, ("site",))[0] else f"{one.path.stem}_{place[0]}_{place[1]}"
            for one, place, _ in tiles
        ],
        read=read,
        read_targets=read_targets,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the three images and their boxes below ``root/deepforest``: 4 MB."""
    for name, (_, image, boxes) in PUBLISHED.items():
        fetch(f"{SUITE.url}{name}", root / SUITE.folder / name, sha256=image)
        xml = Path(name).with_suffix(".xml").name
        fetch(f"{SUITE.url}{xml}", root / SUITE.folder / xml, sha256=boxes)


SUITE = Suite(
    name="tree_crowns",
    version=2,
    title="Tree crowns in airborne images, three NEON sites",
    bands=BANDS,
    image_size=(TILE, TILE),
    gsd_m=0.1,
    tasks=(Task(name="crowns", kind="detection", classes=("tree",), metric="box_map50"),),
    splits={"train": 6, "val": 2, "test": 4, "soaproot": 1, "ordway": 1},
    dataset="deepforest",
    licence="MIT",
    citation="Weinstein et al., DeepForest, Methods in Ecology and Evolution 2020, doi:10.1111/2041-210X.13472",
    url="https://raw.githubusercontent.com/weecology/DeepForest/main/src/deepforest/data/",
    folder="deepforest",
    notes="Three images of three sites: a check that detection works rather than a benchmark; own split by place "
    "within the first, whose tiles are neighbours, and the others as tests in other regions; tiles of 400 pixels, "
    "crowns clipped at their edges.",
    open=open_split,
    download=download,
)
