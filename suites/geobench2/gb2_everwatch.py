"""GEO-Bench-2 EverWatch: wading birds in drone images of the Everglades.

Images of `EverWatch <https://doi.org/10.5281/zenodo.11165946>`__, 1500 x 1500 pixels of 1 cm, which GEO-Bench-2 resized
to 512 x 512, without the boxes that became narrower than three pixels.

Dataset format, per sample of ``geobench_everwatch.tortilla``:

* ``image``: uint8 (3, 512, 512), red, green, blue
* ``annotations``: parquet, one row per bird: label, xmin, ymin, xmax, ymax in pixels

Dataset classes: see `CLASSES`; a bird without label is "Unknown White", as in the ``geobench_v2`` package. The
package also has a class 0, Background, which no bird has.

Splits: test is the publisher's, validation a tenth of the rest. No publication of their sizes was found; the counts
here are 0, and ``geobench-doctor --audit`` names the sizes of the files at hand.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://doi.org/10.5281/zenodo.11165946.
Licence: CC0-1.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from suites.geobench2._container import Entry, Parts
from suites.geobench2._reader import CITATION, boxes_of, class_of, fetch_containers, open_container, rasters
from suites.reading import Samples, read_parquet

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_everwatch.tortilla": "4afb1eada24ce990c1798fa481963ab8c0a0e302ba2d4112f02261c6a8246272",
}
SIZE = (512, 512)
BANDS = tuple(Band(name=f"rgb.{name}", unit="uint8", gsd_m=0.01) for name in ("red", "green", "blue"))
CLASSES = (
    *("White Ibis", "Great Egret", "Great Blue Heron", "Snowy Egret", "Wood Stork", "Roseate Spoonbill", "Anhinga"),
    "Unknown White",
)


def _birds(entry: Entry, parts: Parts | None) -> dict[str, np.ndarray]:
    part = (parts or entry.parts())["annotations"]
    table = read_parquet(part.content(), ["label", "xmin", "ymin", "xmax", "ymax"], part.label)
    rows = table.itertuples(index=False, name=None)
    birds = [(box, class_of(entry, label if isinstance(label, str) else CLASSES[-1], CLASSES)) for label, *box in rows]
    return boxes_of(part, birds, SIZE)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"rgb": rasters(["image"], BANDS, SIZE)},
        target=_birds,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/everwatch``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_everwatch",
    version=1,
    title="GEO-Bench-2 EverWatch: birds in drone images",
    bands=BANDS,
    image_size=SIZE,
    tasks=(Task(name="birds", kind="detection", classes=CLASSES, metric="box_map"),),
    splits={"train": 0, "val": 0, "test": 0},
    dataset="everwatch",
    licence="CC0-1.0",
    citation=f"{CITATION}; Garner et al., EverWatch benchmark, 2024, doi:10.5281/zenodo.11165946",
    url="https://hf.co/datasets/aialliance/everwatch",
    folder="geobenchv2/everwatch",
    notes="No publication of the split sizes was found: 0 stands for unknown. Days and places are not stated: "
    "intervals resample images, many of which show one colony. Boxes are clipped to the image.",
    open=open_split,
    download=download,
)
