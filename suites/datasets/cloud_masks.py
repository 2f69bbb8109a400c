"""Cloud masks: clouds and their shadows in a Sentinel-2 and a Landsat 5 scene, in the layout of ukis-csmask's samples.

Two labelled samples published with `ukis-csmask <https://github.com/dlr-eoc/ukis-csmask>`__: small, but real, and with
the same labels for two sensors.

Dataset format:

* ``sentinel2.npz``, ``landsat5.npz``, each with ``img``: float32 (512, 512, 6), reflectance of blue, green, red, near
  infrared, shortwave infrared at 1.6 and at 2.2 micrometres; and ``msk``: uint8 (512, 512, 1), codes 0..4

Dataset classes, as the publisher's tests use the codes: 4 cloud, 0 cloud shadow, 1, 2 and 3 clear. Task
``cloud_shadow`` distinguishes the three; task ``valid`` only distinguishes clear from cloud or shadow.

The scenes are cut into 64 tiles of 64 x 64 pixels, ``<scene>_<row>_<column>``. No split is published. Our split divides
the Sentinel-2 scene from north to south: four rows of tiles are train, two val, two test. The complete Landsat 5 scene
is a further test split, ``landsat5``: Thematic Mapper bands 1, 2, 3, 4, 5 and 7 have the names of their Sentinel-2
counterparts, so that a model trained on one sensor is tested on the other.

Neither place, date nor pixel size is published (the software expects about 30 m).

If you use this dataset, please cite https://doi.org/10.1016/j.rse.2019.05.022. Licence: Apache-2.0.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel2_bands
from suites.reading import Samples, by_sensor, check_request, check_type, locate, read_arrays, require

if TYPE_CHECKING:
    import numpy as np

BANDS = sentinel2_bands("b02 b03 b04 b08 b11 b12", unit="reflectance")
SIDE, TILE = 512, 64
ROWS = SIDE // TILE
# Split -> scene and rows of tiles.
SPLITS = {
    "train": ("sentinel2", range(4)),
    "val": ("sentinel2", range(4, 6)),
    "test": ("sentinel2", range(6, ROWS)),
    "landsat5": ("landsat5", range(ROWS)),
}
SHA256 = {
    "sentinel2": "b0bb793c4b53dbe99839372de70fcfa1b375147f0c6f0f936b3b2a321a0e7062",
    "landsat5": "9e9387fc2236c7a0d9da68d88f027865343750e731ec7f8124547cf7c22c46bf",
}
# Stored code 0, 1, 2, 3, 4 -> class.
CODES = {"cloud_shadow": (2, 0, 0, 0, 1), "valid": (1, 0, 0, 0, 1)}


def _scene(path: Path, codes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return reflectance (6, 512, 512) and classes (512, 512) of a scene."""
    import numpy as np

    arrays = read_arrays(path, {"img": (SIDE, SIDE, len(BANDS)), "msk": (SIDE, SIDE, 1)})
    for name, values in arrays.items():
        check_type(f"{path}: {name}", values.dtype, "float32" if name == "img" else "uint8")
    image, mask = arrays["img"], arrays["msk"][..., 0]
    present = np.unique(mask)
    if not np.isin(present, np.arange(len(codes))).all():
        raise MissingData(f"{path} holds the codes {present.tolist()}; a label is 0..4: replace it")
    return image.transpose(2, 0, 1).astype(np.float32), np.array(codes, np.int64)[mask.astype(np.int64)]


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    asked = check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, ("sentinel2.npz", "landsat5.npz"), "get it with download=true")
    scene, rows = SPLITS[split]
    path = require(folder / f"{scene}.npz", SUITE.name, f"the scene of split {split}")
    places = [(row, column) for row in rows for column in range(ROWS)]
    columns = by_sensor(bands, [band.name for band in BANDS])["s2"]
    # Read once, on first use: the files are small and compressed as a whole.
    scene_of = cache(lambda: _scene(path, CODES[task]))

    def window(index: int) -> tuple[slice, slice]:
        row, column = places[index]
        return slice(row * TILE, (row + 1) * TILE), slice(column * TILE, (column + 1) * TILE)

    def read(index: int) -> Sample:
        image, mask = scene_of()
        where = window(index)
        return Sample(images={"s2": image[(columns, *where)][None]}, target=mask[where].copy())

    def read_targets() -> np.ndarray:
        mask = scene_of()[1]
        return np.array(
            [[(mask[window(i)] == code).any() for code in range(len(asked.classes))] for i in range(len(places))],
            np.int64,
        )

    return Samples(
        ids=[f"{scene}_{row}_{column}" for row, column in places],
        # Neighbouring tiles share clouds.
        blocks=[f"{scene}_{row // 2}_{column // 2}" for row, column in places],
        read=read,
        read_targets=read_targets,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's two samples (6 MB) below ``root/ukis_csmask``."""
    for name, sha256 in SHA256.items():
        fetch(f"{SUITE.url}{name}.npz", root / SUITE.folder / f"{name}.npz", sha256=sha256)


SUITE = Suite(
    name="cloud_masks",
    version=1,
    title="Cloud masks: clouds and shadows, Sentinel-2 to Landsat 5",
    bands=BANDS,
    image_size=(TILE, TILE),
    levels=("s2:L1C",),
    tasks=(
        Task(name="cloud_shadow", kind="segmentation", classes=("clear", "cloud", "cloud shadow"), metric="miou"),
        Task(name="valid", kind="segmentation", classes=("clear", "cloud or shadow"), metric="miou"),
    ),
    splits={name: len(rows) * ROWS for name, (_, rows) in SPLITS.items()},
    dataset="ukis_csmask",
    licence="Apache-2.0",
    citation="Wieland et al., Remote Sensing of Environment 230, 2019, doi:10.1016/j.rse.2019.05.022",
    url="https://raw.githubusercontent.com/dlr-eoc/ukis-csmask/bcd8ea0ec73f588a8b58b334a92b85c96b00b6a2/tests/testfiles/",
    folder="ukis_csmask",
    notes="One scene cut into tiles, split of our own by rows of tiles: train and test share a scene. A check of the "
    "complete chain on real pixels, not a benchmark for ranking. Split landsat5 is another sensor under Sentinel-2's "
    "band names. Top-of-atmosphere reflectance, as the publisher's Level-1C test uses it; the pixel size is unknown. "
    "Intervals resample 2 x 2 tiles.",
    open=open_split,
    download=download,
)
