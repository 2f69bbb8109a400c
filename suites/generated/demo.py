"""Demo: generated landscapes, to try the complete harness where no satellite data are available.

A program makes every pixel from a fixed seed (`suites.generated._landscape`, `suites.generated._sensors`): these are
generated data, and scores on them show how the harness works, not how a model performs on Earth. Scenes of 2.56 x 2.56
km are composed of spectral noise (terrain, moisture, canopy height), land-cover regions, field parcels, orchard rows,
street grids, rivers and lakes. The surface is a mixture of eight reference materials, observed with each scene's own
season, sun, haze, cloud and sensor noise (optical), or with speckle, incidence trend and terrain (radar). Scenes are
cut into tiles of 64 x 64 pixels.

Dataset format:

* twelve Sentinel-2-like bands, surface reflectance x 10000 at 10 m (20 m and 60 m bands are averaged over blocks)
* two Sentinel-1-like channels, VV and VH backscatter in dB
* targets: class of the tile, above-ground biomass of the tile in t/ha, and a flood mask
* dates: the month of the scene; there is no longitude or latitude

Dataset classes:

* landcover, the class that covers most of the tile: cropland, orchard, forest, grassland, urban, bare, river, lake. The
  classes form pairs with similar spectra that differ in arrangement: parcels or drifts, rows or crowns, streets or
  rock, a band or a body of water; river and lake include their shores
* flood: dry, flooded; any open water counts as flooded, as in Sen1Floods11, and -1 marks cloud and mixed shore pixels.
  Waterlogged fields look wet to the optical sensor; smooth fields and radar shadow look like water to the radar

Splits: train, val and test consist of different scenes: 40, 13 and 20 scenes with 16 tiles each. In addition a task
``unlabelled``, which no listing names, has one split, ``train``: 4,000 tiles of 250 further scenes, for pretraining.

Nothing is downloaded; the only source to cite is this software (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Sample, Suite, Task
from bench.core.errors import UnknownName
from suites.generated._landscape import CLASSES, SIDE
from suites.generated._sensors import BANDS, TILE, TILES, cut_tiles, make_scene
from suites.reading import Samples, by_sensor, check_request

if TYPE_CHECKING:
    from numpy import ndarray as Array

SCENES = {"train": 40, "val": 13, "test": 20}
POOL = 250


def _read(pool: int, task: str, picked: dict[str, list[int]], index: int) -> Sample:
    """Return tile `index` of a pool: its images in the wanted bands and the task's target."""
    import numpy as np

    number, tile = divmod(index, TILES)
    scene = make_scene(pool, number)
    row, column = divmod(tile, SIDE // TILE)
    window = (slice(row * TILE, (row + 1) * TILE), slice(column * TILE, (column + 1) * TILE))
    images = {}
    for sensor, channels in picked.items():
        values = scene.images[(channels, *window)].astype(np.float32)
        images[sensor] = (values / np.float32(100) if sensor == "s1" else values)[None]
    target: object = None
    if task == "landcover":
        target = int(scene.landcover[tile])
    elif task == "biomass":
        target = scene.biomass[tile : tile + 1]
    elif task == "flood":
        target = scene.flood[window].astype(np.int64)
    return Sample(images=images, target=target, when=np.array([scene.date], np.int32))


def _read_targets(pool: int, task: str, scenes: int) -> Array:
    """Return the classes (n,), biomass (n, 1) or presence of dry and flooded (n, 2) of all tiles of a pool."""
    import numpy as np

    if task == "unlabelled":
        return np.zeros((scenes * TILES, 0), np.float32)
    generated = [make_scene(pool, number) for number in range(scenes)]
    if task == "landcover":
        return np.concatenate([scene.landcover for scene in generated])
    if task == "biomass":
        return np.concatenate([scene.biomass for scene in generated])[:, None]
    masks = np.concatenate([cut_tiles(scene.flood) for scene in generated])
    return np.stack([(masks == code).any(axis=1) for code in (0, 1)], axis=1).astype(np.int64)


def open_split(root: Path, task: str, split: str, bands: Sequence[Band]) -> Samples:
    """Return a split of a task, or the pool for pretraining if the task is ``"unlabelled"`` and the split ``"train"``.

    Args:
        root: ignored, since everything is generated.
        task: ``landcover``, ``biomass``, ``flood`` or ``unlabelled``.
        split: ``train``, ``val`` or ``test``.
        bands: the bands wanted, in order.

    Raises:
        UnknownName: if the suite has no such task, split or band.
    """
    if task == "unlabelled":
        check_request(SUITE, SUITE.tasks[0].name, split, bands)
        if split != "train":
            raise UnknownName("split of demo's unlabelled pool", split, ["train"])
        name, pool, scenes = "pool", len(SCENES), POOL
    else:
        check_request(SUITE, task, split, bands)
        name, pool, scenes = split, list(SCENES).index(split), SCENES[split]
    picked = by_sensor(bands, [band.name for band in BANDS])
    return Samples(
        ids=[f"{name}_{number:03d}_{tile:02d}" for number in range(scenes) for tile in range(TILES)],
        blocks=[f"{name}_{number:03d}" for number in range(scenes) for _ in range(TILES)],
        read=partial(_read, pool, task, picked),
        read_targets=partial(_read_targets, pool, task, scenes),
    )


SUITE = Suite(
    name="demo",
    version=1,
    title="generated data: landscapes with land cover, biomass and flood, to try everything without a download",
    bands=BANDS,
    image_size=(TILE, TILE),
    gsd_m=10.0,
    levels=("s2:L2A", "s1:GRD"),
    tasks=(
        Task(name="landcover", kind="classification", classes=CLASSES, metric="accuracy"),
        Task(name="biomass", kind="regression", quantity="above-ground biomass", unit="t/ha", metric="r2"),
        Task(name="flood", kind="segmentation", classes=("dry", "flooded"), metric="miou", ignore=-1),
    ),
    splits={split: scenes * TILES for split, scenes in SCENES.items()},
    generated=True,
    dataset="demo",
    licence="Apache-2.0",
    notes="Generated data: scores show how the harness works, not how a model performs on Earth. Blocks are scenes; "
    "biomass contains noise that limits R2 to about 0.92.",
    open=open_split,
)
