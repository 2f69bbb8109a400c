"""UC Merced Land Use: 21 kinds of urban land use in aerial pictures, in torchgeo's layout.

The `UC Merced Land Use <http://weegee.vision.ucmerced.edu/datasets/landuse.html>`__ dataset: 2,100 pictures from the
USGS National Map Urban Area Imagery, 100 of each class, at 1 foot (0.3 m) per pixel.

Dataset format:

* ``UCMerced_LandUse/Images/<class>/<class><nn>.tif``: uint8, red green blue, 256 x 256 pixels; a few are smaller by
  some pixels per side and are resized to 256 x 256 (bilinear, antialiased), as in torchgeo
* splits ``uc_merced-{train,val,test}.txt``, one file name per line

Dataset classes: see `CLASSES`.

The publisher states no split. These are the lists of "In-domain representation learning for remote sensing" (arXiv
1911.06721) that torchgeo uses: 1,260 / 420 / 420.

If you use this dataset, please cite https://doi.org/10.1145/1869790.1869829. Licence: none is stated in
torchgeo's copy; the imagery is by the USGS.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import rgb_bands
from suites.reading import ClassFolders, Samples, download_class_folders, open_class_folders, open_picture

if TYPE_CHECKING:
    import numpy as np

BANDS = rgb_bands(0.3)
CLASSES = (
    *("agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral", "denseresidential", "forest"),
    *("freeway", "golfcourse", "harbor", "intersection", "mediumresidential", "mobilehomepark", "overpass"),
    *("parkinglot", "river", "runway", "sparseresidential", "storagetanks", "tenniscourt"),
)
HOST = "https://hf.co/datasets/torchgeo/ucmerced/resolve/7c5ef3454d9b1cccfa7ccde0c01fc8f00a45909a/"
IMAGES = Path("UCMerced_LandUse", "Images")
LISTS = {
    "train": ("uc_merced-train.txt", "f2fb12eb2210cfb53f93f063a35ff374"),
    "val": ("uc_merced-val.txt", "11ecabfc52782e5ea6a9c7c0d263aca0"),
    "test": ("uc_merced-test.txt", "046aff88472d8fc07c4678d03749e28d"),
}
ARCHIVE = ("UCMerced_LandUse.zip", "5b7ec56793786b6dc8a908e8854ac0e4")
SMALLEST = 200  # published pictures have 256 pixels per side or a few less; smaller ones are other files


def _picture(path: Path) -> np.ndarray:
    """Return a picture as uint8 (3, 256, 256) in the order red, green, blue."""
    import numpy as np

    tall, wide = SUITE.image_size
    with open_picture(path, "TIFF") as file:
        from PIL.Image import Resampling

        if min(file.size) < SMALLEST or max(file.size) > 2 * wide - SMALLEST:
            raise MissingData(f"{path} has {file.size} pixels, expected about {wide}; replace it by the published file")
        if file.mode != "RGB":
            raise MissingData(
                f"{path} has pixels of the kind {file.mode}, expected RGB; replace it by the published file"
            )
        picture = file.convert("RGB")
        if picture.size != (wide, tall):
            picture = picture.resize((wide, tall), Resampling.BILINEAR)
        return np.asarray(picture).transpose(2, 0, 1)


LAYOUT = ClassFolders(
    title="UC Merced",
    images=IMAGES,
    ending=".tif",
    lists=LISTS,
    kind=lambda name: name.rstrip("0123456789"),
    read=_picture,
    stored=BANDS,
    lists_at=HOST,
    archive=(f"{HOST}{ARCHIVE[0]}", *ARCHIVE),
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_class_folders(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put torchgeo's copy of the archive and its split lists below ``root/ucmerced``."""
    download_class_folders(SUITE, LAYOUT, root, fetch)


SUITE = Suite(
    name="ucmerced",
    version=1,
    title="UC Merced Land Use: 21 kinds of land use, aerial true colour",
    bands=BANDS,
    image_size=(256, 256),
    gsd_m=0.3,
    tasks=(Task(name="landuse", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 1260, "val": 420, "test": 420},
    dataset="ucmerced",
    licence="none stated (imagery of the USGS)",
    citation="Yang and Newsam, Bag-of-visual-words and spatial extensions for land-use classification, "
    "ACM SIGSPATIAL 2010, doi:10.1145/1869790.1869829",
    url=HOST,
    folder="ucmerced",
    notes="Random split of arXiv:1911.06721, as in torchgeo. A few pictures are smaller by some pixels and are resized "
    "to 256 x 256. Small (420 test pictures) and near its ceiling: consider the intervals.",
    open=open_split,
    download=download,
)
