"""NWPU VHR-10: ten kinds of objects in very-high-resolution colour images, as boxes.

The positive images of `NWPU VHR-10 <https://doi.org/10.1016/j.isprsjprs.2014.10.002>`__: most are from Google Earth at
0.5 to 2 m, the others are pansharpened colour-infrared images of Vaihingen at 0.08 m.

Dataset format, below ``NWPU VHR-10 dataset/``:

* ``positive image set/<nnn>.jpg``: 650 images of 533 to 1,728 x 358 to 1,028 pixels, uint8; red, green, blue, or in the
  Vaihingen images infrared, red, green instead
* ``annotations.json``: COCO, 3,921 boxes ``[x, y, width, height]`` of categories 1..10 (Su et al. 2019)
* ``negative image set/``: 150 images without objects, not read

Dataset classes: airplane, ship, storage tank, baseball diamond, tennis court, basketball court, ground track field,
harbor, bridge, vehicle.

Images are cut into tiles of 512 x 512 pixels from the upper left corner; pixels beyond an image's edge are NaN. A
tile's id is ``<nnn>_<row>_<column>``. An object that a cut divides belongs, clipped, to each tile that holds a quarter
of it or more, and to the tile that holds most of it. Tiles without an object are kept.

No split is published. Our split is by the hash of the image's number, 60 / 20 / 20 %: 425 / 112 / 113 images. Figures
in the literature refer to other splits, of complete images.

If you use this dataset, please cite https://doi.org/10.1016/j.isprsjprs.2014.10.002 and
https://doi.org/10.1109/IGARSS.2019.8898573. Licence: none is stated with the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import rgb_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    cut_boxes,
    fetch_archive,
    listed_path,
    locate,
    read_json,
    read_picture,
    reading,
    require,
    require_all,
    require_distinct,
    share_of,
)

if TYPE_CHECKING:
    import numpy as np

TILE = 512
KEPT = 0.25
BANDS = rgb_bands()
CLASSES = (
    *("airplane", "ship", "storage tank", "baseball diamond", "tennis court", "basketball court"),
    *("ground track field", "harbor", "bridge", "vehicle"),
)
TOP = "NWPU VHR-10 dataset"
BOXES = f"{TOP}/annotations.json"
HOST = "https://hf.co/datasets/isaaccorley/vhr10/resolve/"
ARCHIVE = (
    f"{HOST}60ecc4be33609184e2224606858cd00b7daba8df/NWPU%20VHR-10%20dataset.zip",
    "6add6751469c12dd8c8d6223064c6c4d",
)
ANNOTATIONS = (
    f"{HOST}7e7968ad265dadc4494e0ca4a079e0b63dc6f3f8/annotations.json",
    "7c76ec50c17a61bb0514050d20f22c08",
)


@dataclass(frozen=True)
class Annotated:
    """An annotated image.

    Attributes:
        stem: file name without ending.
        size: (height, width) in pixels.
        boxes: (N, 4) float32 x1 y1 x2 y2 in pixels.
        labels: (N,) int64 class codes.
    """

    stem: str
    size: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray


def _of_image(path: Path, image: dict[str, Any], objects: list[dict[str, Any]]) -> Annotated:
    """Return an image with its objects, after checking boxes and categories."""
    import numpy as np

    tall, wide, name = int(image["height"]), int(image["width"]), str(image["file_name"])
    for annotation in objects:
        left, top, width, height = (float(side) for side in annotation["bbox"])
        inside = left >= 0 and top >= 0 and left + width <= wide and top + height <= tall
        if not (math.isfinite(left + top + width + height) and width > 0 and height > 0 and inside):
            raise MissingData(
                f"{path} has for {name} the box {annotation['bbox']}, which has no area or leaves the image of "
                f"{wide} x {tall} pixels; download it again"
            )
        if not 1 <= annotation["category_id"] <= len(CLASSES):
            raise MissingData(
                f"{path} has for {name} the category {annotation['category_id']}; known are 1 to {len(CLASSES)}"
            )
    boxes = np.array([annotation["bbox"] for annotation in objects], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = np.array([annotation["category_id"] - 1 for annotation in objects], np.int64)
    return Annotated(listed_path(Path(), name, path).stem, (tall, wide), boxes, labels)


def read_annotations(path: Path) -> list[Annotated]:
    """Return every annotated image, sorted by name.

    Raises:
        MissingData: if the file is damaged, or a box or category is not valid.
    """
    content = read_json(path)
    with reading(path, "a COCO annotation"):
        objects: dict[int, list[dict[str, object]]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            objects[annotation["image_id"]].append(annotation)
        images = [_of_image(path, image, objects[image["id"]]) for image in content["images"]]
    return sorted(images, key=lambda image: image.stem)


def _split_of(stem: str) -> str:
    share = share_of(stem)
    return "train" if share < 0.6 else "val" if share < 0.8 else "test"


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, [BOXES, f"{TOP}/positive image set"], "get it with download=true")
    images = read_annotations(require(folder / BOXES, SUITE.name, "the boxes of every image"))
    stems: dict[str, list[str]] = {name: [] for name in SUITE.splits}
    for image in images:
        stems[_split_of(image.stem)].append(image.stem)
    require_distinct(SUITE.name, stems, "annotations.json")
    wanted = [image for image in images if _split_of(image.stem) == split]
    pictures = folder / TOP / "positive image set"
    require_all([pictures / f"{image.stem}.jpg" for image in wanted], SUITE.name, "annotations.json")
    tiles = [
        (image, place, boxes, image.labels[which])
        for image in wanted
        for place, (which, boxes) in cut_boxes(image.boxes, image.size, TILE, KEPT).items()
    ]
    columns = by_sensor(bands, [band.name for band in BANDS])["rgb"]

    def read(index: int) -> Sample:
        image, (row, column), boxes, labels = tiles[index]
        values = read_picture(pictures / f"{image.stem}.jpg", (len(BANDS), *image.size))
        part = values[:, row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        pixels = np.full((1, len(columns), TILE, TILE), np.nan, np.float32)
        pixels[0, :, : part.shape[1], : part.shape[2]] = part[columns]
        return Sample(images={"rgb": pixels}, target={"boxes": boxes, "labels": labels})

    def read_targets() -> np.ndarray:
        present = np.zeros((len(tiles), len(CLASSES)), np.int64)
        for row, (_, _, _, labels) in enumerate(tiles):
            present[row, labels] = 1
        return present

    return Samples(
        ids=[f"{image.stem}_{row}_{column}" for image, (row, column), _, _ in tiles],
        blocks=[image.stem for image, _, _, _ in tiles],
        read=read,
        read_targets=read_targets,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put images and boxes below ``root/vhr10``, from the links that torchgeo uses."""
    folder = root / SUITE.folder
    if not (folder / TOP / "positive image set").exists():
        fetch_archive(fetch, ARCHIVE[0], folder / f"{TOP}.zip", folder, md5=ARCHIVE[1])
    fetch(ANNOTATIONS[0], folder / BOXES, md5=ANNOTATIONS[1])


SUITE = Suite(
    name="vhr10",
    version=1,
    title="NWPU VHR-10: ten kinds of objects in aerial images",
    bands=BANDS,
    image_size=(TILE, TILE),
    tasks=(Task(name="objects", kind="detection", classes=CLASSES, metric="box_map"),),
    splits={"train": 1861, "val": 477, "test": 485},
    dataset="vhr10",
    licence="not stated",
    citation="Cheng et al., ISPRS Journal 98, 2014, doi:10.1016/j.isprsjprs.2014.10.002; boxes: Su et al., IGARSS "
    "2019, doi:10.1109/IGARSS.2019.8898573",
    url=HOST,
    folder="vhr10",
    notes="Split of our own by the hash of the image; tiles of 512 pixels, objects clipped at their edges; ground size "
    "varies; some images are colour-infrared and are used unchanged.",
    open=open_split,
    download=download,
)
