"""Demo: generated landscapes, so that the whole harness can be tried where no satellite data are at hand.

Every pixel is made by this file from a fixed seed: these are generated data, and scores on them say how the harness works,
not how a model does on Earth. Scenes of 2.56 x 2.56 km are composed from spectral noise (terrain, moisture, canopy height),
land-cover regions, field parcels, orchard rows, street grids, rivers and lakes; the surface is a mixture of eight reference
materials, seen through a season, sun, haze, cloud and sensor noise of the scene's own (optical) and through speckle,
incidence trend and terrain (radar). Scenes are cut into tiles of 64 x 64 pixels.

Dataset format:

* twelve Sentinel-2-like bands, surface reflectance x 10000 at 10 m (20 m and 60 m bands are averaged blocks)
* two Sentinel-1-like channels, VV and VH backscatter in dB
* targets: class of the tile, above-ground biomass in t/ha of the tile, and a flood mask

Dataset classes (`landcover`, the one that covers most of the tile):

* cropland, orchard, forest, grassland, urban, bare, river, lake

They come in pairs with much the same spectra that differ by arrangement: parcels or drifts, rows or crowns, streets or rock,
a band of water or a body of it. In `flood` every open water counts as flooded, as in Sen1Floods11; -1 marks cloud and mixed
shore pixels.

Splits: train, val and test come from different scenes. A further `unlabelled` task with a single split, train, gives a pool
for pretraining from scenes of its own. There is nothing to download, and nothing to cite beside the software.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Sample, Suite, Task
from bench.errors import UnknownName
from suites._read import sentinel1_bands, sentinel2_bands

if TYPE_CHECKING:
    import numpy as np
    from numpy import ndarray as Array

SIDE, TILE = 256, 64
TILES = (SIDE // TILE) ** 2
SEED = 20240611
SCENES = {"train": 40, "val": 13, "test": 20}
POOL = 250
CLASSES = ("cropland", "orchard", "forest", "grassland", "urban", "bare", "river", "lake")
CROPLAND, ORCHARD, FOREST, GRASSLAND, URBAN, BARE, RIVER, LAKE = range(8)
BANDS = (
    *sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12"),
    *sentinel1_bands(),
)
# Reflectance in per cent of the materials that surfaces are mixed from, in the order of the optical bands.
MATERIALS = {
    "leaf": (2.0, 3.0, 6.0, 3.5, 9.0, 28.0, 36.0, 38.0, 40.0, 40.0, 20.0, 10.0),
    "tree": (1.5, 2.2, 4.0, 2.4, 6.5, 20.0, 26.0, 28.0, 29.5, 29.5, 13.0, 6.0),
    "straw": (6.0, 8.0, 11.5, 15.0, 18.0, 21.0, 23.0, 25.0, 27.0, 28.0, 33.0, 23.0),
    "soil": (7.0, 9.0, 13.0, 17.0, 20.0, 22.0, 24.0, 26.0, 28.0, 29.0, 35.0, 30.0),
    "mineral": (13.0, 16.0, 19.5, 22.5, 24.0, 25.0, 26.0, 27.0, 28.0, 29.0, 31.0, 28.0),
    "tar": (7.0, 8.0, 9.0, 10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 12.5, 14.0, 13.0),
    "clear": (4.0, 4.0, 3.5, 2.0, 1.6, 1.2, 1.1, 1.0, 0.9, 0.8, 0.5, 0.3),
    "silt": (7.0, 9.0, 12.0, 12.5, 11.5, 7.5, 7.0, 5.0, 4.5, 4.0, 1.8, 1.0),
}
LEAF, TREE, STRAW, SOIL, MINERAL, TAR, CLEAR, SILT = range(8)
# Backscatter in dB of the same materials before moisture, height, wind and terrain: VV, VH.
BACKSCATTER = ((-11.5, -17.0), (-9.0, -14.5), (-12.5, -19.5), (-13.0, -20.5), (-9.0, -16.5), (-17.5, -24.0)) + (
    ((-22.0, -28.5),) * 2
)
FINE_BLOCK = {10.0: 1, 20.0: 2, 60.0: 4}  # pixels averaged for a band's ground sampling distance; 4 divides the side
