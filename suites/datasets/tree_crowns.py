"""Tree crowns: boxes around single trees in airborne colour images, in DeepForest's layout.

Three images of the National Ecological Observatory Network (NEON) with hand-drawn boxes, as published with
`DeepForest <https://github.com/weecology/DeepForest>`__: Yellowstone, Soaproot Saddle and Ordway-Swisher.

Dataset format, all in one folder:

* ``<image>.png`` or ``<image>.tif``: red, green, blue, uint8, at 0.1 m. One file declares 255 as no data, which is
  white in the others: it is read as white
* ``<image>.xml``: Pascal VOC boxes, in pixels from the upper left corner, read as the edges of the box
* ``<image>.csv``: image_path, xmin, ymin, xmax, ymax, label; read for images without an ``.xml``

Dataset classes: tree. The labels Tree, Alive and Dead all stand for crowns.

Images are cut into tiles of 400 x 400 pixels, the size of the images of the NEON tree evaluation, from the upper left
corner; pixels beyond an image's edge are NaN. A tile's id is ``<image>_<row>_<column>``. A crown that a cut divides
belongs, clipped, to each tile that holds a quarter of it or more, and to the tile that holds most of it.

No split is published. Our split divides Yellowstone by place: its southern row of tiles (65 crowns) is test, two tiles
in the east (37) are val, the other six (203) train; Soaproot Saddle (37 crowns) and Ordway-Swisher (61) are tests in
other regions. Further annotated images in the folder are split by the hash of their name, 70 / 15 / 15 %.

If you use this dataset, please cite https://doi.org/10.1111/2041-210X.13472. Licence: MIT.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import rgb_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    cut_boxes,
    listed_path,
    locate,
    open_raster,
    read_boxes,
    read_lines,
    read_raster,
    read_table,
    reading,
    require,
    require_distinct,
    share_of,
)

if TYPE_CHECKING:
    import numpy as np

TILE = 400
CROWNS = ("Tree", "Alive", "Dead")
KEPT = 0.25
BANDS = rgb_bands(0.1)
# Published image -> split (empty where it is by tile), and the SHA-256 of image and boxes.
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
    """An image, its size (height, width) as its annotation or, without one, its header states, and its boxes (N, 4)."""

    path: Path
    size: tuple[int, int]
    boxes: np.ndarray


def _checked(source: Path, size: tuple[int, int], boxes: list[tuple[float, ...]], labels: list[str]) -> np.ndarray:
    """Return the boxes as an array, after checking that each has an area inside the image, and a known label."""
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
    """Return the image and boxes of a Pascal VOC annotation."""
    tree, boxes, labels = read_boxes(path)
    with reading(path, "a filename and a size"):
        size = (int(tree.findtext("size/height", "")), int(tree.findtext("size/width", "")))
        image = listed_path(path.parent, str(tree.findtext("filename", "")), path)
    return Annotated(image, size, _checked(path, size, boxes, labels))


def _from_csv(path: Path) -> list[Annotated]:
    """Return the images and boxes of a table of boxes; nothing for a CSV file of another kind."""
    if not read_lines(path)[0].startswith("image_path,"):
        return []
    sides = ("xmin", "ymin", "xmax", "ymax")
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_table(path, ("image_path", *sides, "label")):
        rows.setdefault(row["image_path"], []).append(row)
    images = []
    for name, of_image in rows.items():
        image = require(listed_path(path.parent, name, path), "tree_crowns", f"it is listed in {path.name}")
        with open_raster(image) as file:
            size = (int(file.height), int(file.width))
        with reading(path, "boxes of four numbers"):
            boxes = [tuple(float(row[side]) for side in sides) for row in of_image]
        images.append(Annotated(image, size, _checked(path, size, boxes, [row["label"] for row in of_image])))
    return images


def read_annotations(folder: Path) -> dict[str, Annotated]:
    """Return image name -> annotated image, for every image in the folder that has boxes.

    Raises:
        MissingData: if a published image lacks its boxes, a file is absent or damaged, or a box or label is not valid.
    """
    for name in PUBLISHED:
        require((folder / name).with_suffix(".xml"), SUITE.name, f"the boxes of {name}")
    images = {image.path.name: image for image in map(_from_xml, sorted(folder.glob("*.xml")))}
    for path in sorted(folder.glob("*.csv")):
        if not path.with_suffix(".xml").exists():
            for image in _from_csv(path):
                images.setdefault(image.path.name, image)
    for image in images.values():
        require(image.path, SUITE.name, "an image that has boxes")
    return images


def _split_of(name: str, place: tuple[int, int]) -> str:
    """Return the split of a tile: by its image, or by (row, column) in the image that several splits share."""
    if name in PUBLISHED:
        row, column = place
        return PUBLISHED[name][0] or ("test" if row == 2 else "val" if row == 1 and column > 1 else "train")
    share = share_of(Path(name).stem)
    return "train" if share < 0.7 else "val" if share < 0.85 else "test"


def _image(image: Annotated, place: tuple[int, int], columns: list[int]) -> np.ndarray:
    """Return a tile as float32 (1, C, H, W), NaN beyond the image."""
    import numpy as np

    values = read_raster(image.path, (len(BANDS), *image.size), "uint8")
    rows, across = (slice(index * TILE, (index + 1) * TILE) for index in place)
    part = values[:, rows, across]
    pixels = np.full((1, len(columns), TILE, TILE), np.nan, np.float32)
    pixels[0, :, : part.shape[1], : part.shape[2]] = part[columns]
    return pixels


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    markers = [str(Path(name).with_suffix(".xml")) for name in PUBLISHED]
    folder = locate(SUITE.name, root, SUITE.folder, markers, "get it with download=true")
    images = read_annotations(folder)
    require_distinct(SUITE.name, {"the folder": [Path(name).stem for name in sorted(images)]})
    tiles = [
        (image, place, boxes)
        for name, image in sorted(images.items())
        for place, (_, boxes) in cut_boxes(image.boxes, image.size, TILE, KEPT).items()
        if _split_of(name, place) == split
    ]
    columns = by_sensor(bands, [band.name for band in BANDS])["rgb"]

    def read(index: int) -> Sample:
        image, place, boxes = tiles[index]
        target = {"boxes": boxes, "labels": np.zeros(len(boxes), np.int64)}
        return Sample(images={"rgb": _image(image, place, columns)}, target=target)

    def read_targets() -> np.ndarray:
        return np.array([[len(boxes) > 0] for _, _, boxes in tiles], np.int64)

    def block(image: Annotated, place: tuple[int, int]) -> str:
        # In the image that is split by place a tile is the unit, in the others the site.
        by_site = PUBLISHED.get(image.path.name, ("site",))[0]
        return image.path.stem if by_site else f"{image.path.stem}_{place[0]}_{place[1]}"

    return Samples(
        ids=[f"{image.path.stem}_{row}_{column}" for image, (row, column), _ in tiles],
        blocks=[block(image, place) for image, place, _ in tiles],
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
    notes="Three images of three sites: a check that detection works rather than a benchmark; split of our own by "
    "place within the first, whose tiles are neighbours, with the others as tests in other regions; tiles of 400 "
    "pixels, crowns clipped at their edges.",
    open=open_split,
    download=download,
)
