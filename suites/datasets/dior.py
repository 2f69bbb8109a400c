"""DIOR: twenty kinds of objects in colour images from Google Earth, as boxes.

The horizontal boxes of `DIOR <https://arxiv.org/abs/1909.00133>`__: 23,463 images, 192,472 objects, ground size 0.5 to
30 m.

Dataset format, as the authors' archives unpack:

* ``JPEGImages-trainval/<nnnnn>.jpg`` and ``JPEGImages-test/<nnnnn>.jpg``: 800 x 800 pixels, red green blue, uint8
* ``Annotations/Horizontal Bounding Boxes/<nnnnn>.xml``: Pascal VOC; coordinates are read as the edges of the box, as
  torchgeo does
* ``ImageSets/Main/{train,val,test}.txt`` or ``Main/{train,val,test}.txt``: one image number per line

Dataset classes: airplane, airport, baseballfield, basketballcourt, bridge, chimney, dam, Expressway-Service-area,
Expressway-toll-station, golffield, groundtrackfield, harbor, overpass, ship, stadium, storagetank, tenniscourt,
trainstation, vehicle, windmill. Names are compared without regard to case, hyphens, blanks and underscores.

The authors' splits: 5,862 / 5,863 / 11,738.

If you use this dataset, please cite https://doi.org/10.1016/j.isprsjprs.2019.11.023. Licence: none is stated with the
data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import rgb_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    listed_path,
    locate,
    read_boxes,
    read_lines,
    read_picture,
    require,
    require_all,
    require_distinct,
)

if TYPE_CHECKING:
    import numpy as np

SIDE = 800
BANDS = rgb_bands()
CLASSES = (
    *("airplane", "airport", "baseballfield", "basketballcourt", "bridge", "chimney", "dam"),
    *("expresswayservicearea", "expresswaytollstation", "golffield", "groundtrackfield", "harbor", "overpass"),
    *("ship", "stadium", "storagetank", "tenniscourt", "trainstation", "vehicle", "windmill"),
)
LISTS = ("ImageSets/Main", "Main")
ANNOTATIONS = Path("Annotations", "Horizontal Bounding Boxes")
IMAGES = {"train": "JPEGImages-trainval", "val": "JPEGImages-trainval", "test": "JPEGImages-test"}
SOURCE = "https://drive.google.com/drive/folders/1UdlgHk49iu6WpcJ5467iT-UqNPpx__CC"


def read_objects(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes (N, 4) float32 x1 y1 x2 y2 in pixels and the classes (N,) int64 of an image.

    Raises:
        MissingData: if the file is damaged, or a box or class in it is not valid.
    """
    import numpy as np

    _, boxes, names = read_boxes(path)
    labels = []
    for stated, box in zip(names, boxes, strict=True):
        left, top, right, bottom = box
        if not (0 <= left < right <= SIDE and 0 <= top < bottom <= SIDE):
            raise MissingData(
                f"{path} has the box {box}, which has no area or leaves the image of {SIDE} x {SIDE} pixels; replace it"
            )
        name = "".join(letter for letter in stated.lower() if letter.isalnum())
        if name not in CLASSES:
            raise MissingData(f"{path} has the class {stated!r}; known are {', '.join(CLASSES)}")
        labels.append(CLASSES.index(name))
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    markers = [f"{below}/{name}.txt" for below in LISTS for name in SUITE.splits]
    folder = locate(
        SUITE.name, root, SUITE.folder, markers, f"unpack the archives of {SOURCE} there (download=true has no link)"
    )
    lists = next(folder / below for below in LISTS if (folder / below).is_dir())
    ids = {name: read_lines(require(lists / f"{name}.txt", SUITE.name, "the list of a split")) for name in SUITE.splits}
    require_distinct(SUITE.name, ids, {name: f"{name}.txt" for name in ids})
    listed = lists / f"{split}.txt"
    images = [listed_path(folder / IMAGES[split], f"{name}.jpg", listed) for name in ids[split]]
    labels = [listed_path(folder / ANNOTATIONS, f"{name}.xml", listed) for name in ids[split]]
    for paths in (images, labels):
        require_all(paths, SUITE.name, f"{split}.txt")
    columns = by_sensor(bands, [band.name for band in BANDS])["rgb"]

    def read(index: int) -> Sample:
        boxes, classes = read_objects(labels[index])
        values = read_picture(images[index], (len(BANDS), SIDE, SIDE))
        image = {"rgb": values[columns][None].astype(np.float32)}
        return Sample(images=image, target={"boxes": boxes, "labels": classes})

    def read_targets() -> np.ndarray:
        present = np.zeros((len(labels), len(CLASSES)), np.int64)
        for row, path in enumerate(labels):
            present[row, read_objects(path)[1]] = 1
        return present

    return Samples(ids=ids[split], blocks=ids[split], read=read, read_targets=read_targets)


def download(root: Path, fetch: Fetch) -> None:
    """Tell how to get the data, since no direct link serves all of it.

    Raises:
        MissingData: always.
    """
    raise MissingData(
        f"dior has no direct link to all its files: get the authors' archives from {SOURCE} and unpack them below "
        f"{root / SUITE.folder}; the copy that torchgeo serves lacks the boxes of the test images"
    )


SUITE = Suite(
    name="dior",
    version=1,
    title="DIOR: twenty kinds of objects in images from Google Earth",
    bands=BANDS,
    image_size=(SIDE, SIDE),
    tasks=(Task(name="objects", kind="detection", classes=CLASSES, metric="box_map"),),
    splits={"train": 5862, "val": 5863, "test": 11738},
    dataset="dior",
    licence="not stated",
    citation="Li et al., DIOR, ISPRS Journal 159, 2020, doi:10.1016/j.isprsjprs.2019.11.023",
    url=SOURCE,
    folder="dior",
    notes="The authors' splits; scores in the literature are often of networks trained on train and val; the ground "
    "size varies and is not stated.",
    open=open_split,
    download=download,
)
