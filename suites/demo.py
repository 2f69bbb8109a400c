"""Demo: generated landscapes, so that the whole harness can be tried where no satellite data are at hand.

Every pixel is made by this file from a fixed seed: these are generated data, and scores on them say how the harness
works, not how a model does on Earth. Scenes of 2.56 x 2.56 km are composed from spectral noise (terrain, moisture,
canopy height), land-cover regions, field parcels, orchard rows, street grids, rivers and lakes. The surface is a
mixture of eight reference materials, seen through a season, sun, haze, cloud and sensor noise of the scene's own
(optical) and through speckle, incidence trend and terrain (radar). Scenes are cut into tiles of 64 x 64 pixels.

Dataset format:

* twelve Sentinel-2-like bands, surface reflectance x 10000 at 10 m (20 m and 60 m bands are averaged over blocks)
* two Sentinel-1-like channels, VV and VH backscatter in dB
* targets: class of the tile, above-ground biomass of the tile in t/ha, and a flood mask
* dates: the month of the scene; places are nowhere, so there is no longitude or latitude

Dataset classes:

* landcover, the one that covers most of the tile: cropland, orchard, forest, grassland, urban, bare, river, lake. They
  come in pairs with much the same spectra that differ by arrangement: parcels or drifts, rows or crowns, streets or
  rock, a band of water or a body of it; river and lake include their shores
* flood: dry, flooded; any open water counts as flooded, as in Sen1Floods11, and -1 marks cloud and mixed shore pixels.
  Waterlogged fields look wet to the optical sensor, smooth fields and radar shadow look like water to the radar

Splits: train, val and test come from different scenes: 40, 13 and 20 of them, 16 tiles each. Besides, a task
``unlabelled`` that no listing names has one split, ``train``: 4,000 tiles from 250 further scenes, for pretraining.

There is nothing to cite beside this software (Apache-2.0), and nothing to download.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Sample, Suite, Task
from bench.errors import UnknownName
from suites._read import Samples, by_sensor, check_request, sentinel1_bands, sentinel2_bands

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


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """One generated scene, quantised so that the last bits of floating-point arithmetic do not show."""

    images: Array  # int16 (bands, SIDE, SIDE): reflectance x 10000, then dB x 100
    landcover: Array  # int64 (TILES,)
    biomass: Array  # float32 (TILES,), t/ha
    flood: Array  # int8 (SIDE, SIDE): 0, 1, -1
    date: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """The ground of a scene, before anything looks at it. Fields are (SIDE, SIDE)."""

    cover: Array  # class codes
    height: Array  # canopy height, 0..1
    slope: Array  # of the terrain towards the east, in standard deviations times relief
    shade: Array  # illumination by the sun relative to flat ground
    wet: Array  # soil moisture, 0..1
    smooth: Array  # how smooth bare ground is to the radar, 0..1
    bounce: Array  # walls and boulders that return the radar's signal, at least 0
    water: Array  # share of open water on the ground, 0..1
    mix: Array  # (materials, SIDE, SIDE) shares, summing to 1


def _logistic(x: Array) -> Array:
    import numpy as np

    out: Array = 1.0 / (1.0 + np.exp(-np.clip(x, -40, 40)))
    return out


def _noise(rng: np.random.Generator, count: int, wavelength: float, *, narrow: bool = False) -> Array:
    """Return periodic Gaussian fields (count, SIDE, SIDE) of mean 0 and deviation 1.

    Args:
        rng: source of randomness.
        count: number of fields.
        wavelength: in pixels; larger features follow a flat spectrum, smaller ones fall off as its cube.
        narrow: keep only features of about that wavelength.
    """
    import numpy as np

    columns = min(SIDE // 2 + 1, 1 + int(10 * SIDE / wavelength))  # beyond, amplitudes are below 1e-4
    cycles = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :columns]) * wavelength
    amplitude = np.exp(-(((cycles - 1) / 0.4) ** 2)) if narrow else (1 + cycles**2) ** -2.0
    amplitude[0, 0] = 0.0
    white = rng.standard_normal((count, SIDE, columns, 2)).view(np.complex128)[..., 0]
    fields = np.fft.irfft2(white * amplitude, s=(SIDE, SIDE))
    out: Array = fields / fields.std(axis=(1, 2), keepdims=True)
    return out


def _cell(u: Array, v: Array) -> Array:
    """Return a number in 0..1023 for the unit cell that (u, v) lies in, unlike that of its neighbours."""
    import numpy as np

    number: Array = (np.floor(u).astype(np.int64) * 389 + np.floor(v).astype(np.int64) * 631) % 1024
    return number


def _lattice(rng: np.random.Generator, size: float, aspect: float, bend: Array) -> tuple[Array, Array, Array]:
    """Return a rotated, bent lattice: cell coordinates u and v (1 a cell), and a number in 0..1023 a cell."""
    import numpy as np

    y, x = np.mgrid[:SIDE, :SIDE]
    angle = rng.random() * math.pi
    u = (x * math.cos(angle) + y * math.sin(angle)) / size + bend
    v = (y * math.cos(angle) - x * math.sin(angle)) / (size * aspect) + bend
    return u, v, _cell(u, v)


def _like(table: Array, field: Array) -> Array:
    """Return a standard Gaussian field with its values replaced by those of `table` of the same rank.

    A patchwork and a drift then share their histogram, and differ in arrangement only.
    """
    import numpy as np

    rank = _logistic(1.702 * field)
    out: Array = np.sort(table)[(rank * len(table)).astype(np.int64)]
    return out


def _regions(rng: np.random.Generator, number: int, relief: Array) -> tuple[Array, Array, Array]:
    """Return class codes, the share of permanent water, and the distance in pixels to the valley line."""
    import numpy as np

    lift = np.array([-0.3, 0.0, 0.45, 0.1, -0.35, 0.35])[:, None, None]
    liking = 0.5 * rng.standard_normal((6, 1, 1))
    liking[number % 6] += 1.1  # every class gets its scenes, whatever the draw
    cover = np.argmax(_noise(rng, 6, 200.0) + lift * relief + liking, axis=0)
    valley, basin = _noise(rng, 2, 260.0)
    basin = basin - 0.5 * relief
    steepness = [np.hypot(*np.gradient(field)) + 0.002 for field in (valley, basin)]
    to_valley = np.abs(valley) / steepness[0]
    to_lake = (np.quantile(basin, rng.uniform(0.82, 0.95)) - basin) / steepness[1]
    edge = rng.standard_normal(2) * 0.8
    half = rng.uniform(3.0, 7.0) * (1 + 0.15 * _noise(rng, 1, 25.0)[0])
    has_river, has_lake = rng.random(2) < (0.4, 0.6)
    water = np.zeros_like(relief)
    if has_lake:
        shore = 9 + 3 * edge[1]
        cover = np.where(to_lake < shore, LAKE, cover)
        water = np.maximum(water, _logistic(-to_lake / 0.5))
    if has_river:
        cover = np.where(to_valley < half + 18 + 3 * edge[0], RIVER, cover)
        water = np.maximum(water, _logistic((half - to_valley) / 0.5))
    return cover, water, to_valley


def _vegetation(rng: np.random.Generator, season: float, cover: Array) -> Array:
    """Return material shares (materials, SIDE, SIDE) of fields, orchards, woods, meadows and shores."""
    import numpy as np

    bend = 0.12 * _noise(rng, 1, 30.0)[0]
    _, v, parcel = _lattice(rng, rng.uniform(13, 24), rng.uniform(1.0, 1.8), bend)
    fine, drift, stand, patch = (_noise(rng, 1, wavelength)[0] for wavelength in (2.0, 7.0, 9.0, 6.0))
    crop = 0.75 * season + 0.35 * np.where(rng.random(1024) < 0.5, -0.6, 0.6) + 0.12 * rng.random(1024)
    crop, dead, density = np.clip(crop, 0.02, 1), 0.7 * rng.random(1024), rng.uniform(-1.1, 0.3, 1024)
    period, rows = rng.uniform(4.5, 7.0), int(rng.integers(6, 11))
    along, across, plot = _lattice(rng, period * rows, 1.0, 0.6 * bend)
    planted = 1.15 * np.cos(2 * np.pi * rows * along) + 0.35 * np.cos(2 * np.pi * rows * across) + 0.4 * fine
    wild = 0.95 * _noise(rng, 1, period, narrow=True)[0] + 0.25 * fine
    crowns = np.select(
        [cover == ORCHARD, cover == FOREST, cover >= RIVER],
        [planted - density[plot], wild + 0.35 - _like(density, stand), wild + patch - 1.2],
        -40.0,
    )
    tilled = crop[parcel] + 0.07 * np.cos(2 * np.pi * v * 5)
    drifted = (_like(crop, drift) + 0.05 * fine) * np.where(cover == ORCHARD, 0.7, 1.0)
    green = np.clip(np.where(cover == CROPLAND, tilled, drifted), 0, 1)
    straw = np.where(cover == CROPLAND, dead[parcel] ** 1.6, _like(dead, patch))
    mix = np.zeros((len(MATERIALS), SIDE, SIDE))
    mix[TREE] = _logistic(3.0 * crowns)
    mix[LEAF] = green * (1 - mix[TREE])
    mix[STRAW] = (1 - green) * straw * (1 - mix[TREE])
    mix[SOIL] = (1 - green) * (1 - straw) * (1 - mix[TREE])
    return mix


def _mineral(rng: np.random.Generator, season: float, urban: Array) -> tuple[Array, Array]:
    """Return material shares of towns (where `urban`) and bare land, and the radar return of walls or boulders."""
    import numpy as np

    coarse, medium, fine, vein = _noise(rng, 4, 7.0)
    kinds = np.array([[0.55, 0.1, 0.35], [0.1, 0.75, 0.15], [0.2, 0.35, 0.45]])  # roofs and rocks: soil, mineral, tar
    garden = season * rng.uniform(0.0, 0.75, 1024) ** 1.5
    spike = rng.uniform(0.0, 1.0, 1024) ** 3 * 5
    kind = rng.random(1024)
    u, v, _ = _lattice(rng, rng.uniform(8, 13), rng.uniform(1.0, 1.4), 0.05 * _noise(rng, 1, 40.0)[0])
    street = np.minimum(u % 1, v % 1) < 0.2
    house = _cell(2 * u, 2 * v)
    cracks = vein > np.quantile(vein, 1 - 0.6 * street.mean())
    tar = np.where(urban, street, cracks)
    pick = np.where(urban, kind[house], _like(kind, coarse))
    green = np.where(tar, 0.0, np.where(urban, garden[house], 0.55 * _like(garden, medium)))
    bounce = np.where(tar, 0.0, np.where(urban, spike[house], 0.6 * _like(spike, fine)))
    mix = np.zeros((len(MATERIALS), SIDE, SIDE))
    surface = np.where(tar, np.array([0.1, 0.1, 0.8])[:, None, None], kinds.T[:, (pick * len(kinds)).astype(np.int64)])
    mix[[SOIL, MINERAL, TAR]] = surface * (1 - green)
    mix[[LEAF, TREE, STRAW]] = green * np.array([0.5, 0.3, 0.2])[:, None, None]
    return mix, bounce


def _ground(rng: np.random.Generator, number: int, season: float) -> _Ground:
    """Return the land of a scene: what covers it, how high it grows, how wet it is, and what it is made of."""
    import numpy as np

    relief = (_noise(rng, 1, 80.0) * 0.9 + _noise(rng, 1, 20.0) * 0.35)[0]
    cover, water, to_valley = _regions(rng, number, relief)
    built, bounce = _mineral(rng, season, cover == URBAN)
    grown = _vegetation(rng, season, cover)
    stony = (cover == URBAN) | (cover == BARE)
    mix = np.where(stony, built, grown)
    stature = _logistic(1.5 * (_noise(rng, 1, 25.0)[0] + rng.standard_normal()))
    height = np.where(cover == FOREST, 0.15 + 0.85 * stature, 0.3)
    damp, polish = _noise(rng, 2, 14.0)
    wet = _logistic(1.5 * (damp - 0.6 * relief + rng.standard_normal() - 0.5))
    ruggedness = rng.uniform(0.05, 1.0) ** 2
    north, east = (gradient / gradient.std() for gradient in np.gradient(relief))
    azimuth = rng.uniform(0.3, 0.7) * math.pi  # the sun stands in the south-east to south-west
    sun = north * math.sin(azimuth) + east * math.cos(azimuth)
    # Open water: rivers and lakes, and in most scenes a flood that fills the lowest land along the valley.
    if rng.random() < 0.6:
        level = to_valley / 70 + 0.45 * relief + 0.2 * damp
        water = np.maximum(water, _logistic((np.quantile(level, rng.uniform(0.03, 0.18)) - level) / 0.02))
    return _Ground(
        cover=cover,
        height=height,
        slope=ruggedness * east,
        shade=np.clip(1 + 0.22 * ruggedness * sun, 0.3, 1.7),
        wet=wet,
        smooth=np.clip(polish - 0.7, 0, 1.2) * (cover != URBAN),
        bounce=np.where(stony, bounce, 0.0),
        water=water,
        mix=mix,
    )


def _cloud(rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the opacity of clouds and the depth of their shadows, both 0..1; most scenes have none."""
    import numpy as np

    field = _noise(rng, 1, 25.0)[0]
    if rng.random() < 0.75:
        return np.zeros_like(field), np.zeros_like(field)
    opacity = _logistic((field - np.quantile(field, rng.uniform(0.92, 0.985))) / 0.12)
    return opacity, np.roll(opacity, (int(rng.integers(-30, -10)), int(rng.integers(-20, 20))), axis=(0, 1))


def _optical(rng: np.random.Generator, ground: _Ground, mix: Array, cloud: Array, shadow: Array) -> Array:
    """Return surface reflectance x 10000 as int16 (12, SIDE, SIDE), through this scene's season, sun and haze."""
    import numpy as np

    materials = np.array(list(MATERIALS.values())) / 100
    tilt, gain = 0.12 * rng.standard_normal(len(materials)), 1 + 0.1 * rng.standard_normal(len(materials))
    sunlit = (1 + (ground.shade - 1) * (1 - ground.water)) * rng.uniform(0.8, 1.15)
    damp = ground.wet * (mix[SOIL] + 0.5 * mix[STRAW] + 0.3 * mix[MINERAL])
    crowded = mix[TREE] * ground.height  # tall crowns shade each other
    haze, offsets = rng.uniform(0.0, 0.03), 0.0015 * rng.standard_normal(len(BANDS))
    seen = np.empty((materials.shape[1], SIDE, SIDE), np.int16)
    for index, band in enumerate(BANDS[: len(seen)]):
        wavelength, side = band.wavelength_um or 0.0, FINE_BLOCK[band.gsd_m or 10.0]
        colour = materials[:, index] * gain * (1 + tilt * (wavelength - 1.0))
        field = np.tensordot(colour, mix, 1) * sunlit
        field *= 1 - (0.55 if wavelength > 1.4 else 0.4) * damp
        field *= 1 - (0.45 if wavelength > 0.7 else 0.25) * crowded
        field *= 1 - (0.65 if wavelength > 0.7 else 0.55) * shadow
        field += haze * (wavelength / 0.443) ** -1.5
        field += cloud * ((0.35 if wavelength > 1.4 else 0.62) - 0.95 * field)
        if side > 1:
            blocks = field.reshape(SIDE // side, side, SIDE // side, side).mean(axis=(1, 3))
            field = np.repeat(np.repeat(blocks, side, 0), side, 1)
        field += (0.001 + 0.015 * field) * rng.standard_normal(field.shape) + offsets[index]
        seen[index] = np.clip(np.rint(field * 1e4), 1, 16000)
    return seen


def _radar(rng: np.random.Generator, ground: _Ground, mix: Array) -> Array:
    """Return VV and VH backscatter in hundredths of a dB as int16 (2, SIDE, SIDE), with five-look speckle."""
    import numpy as np

    level = np.array(BACKSCATTER).T + rng.normal(0, 0.3, (2, len(MATERIALS)))
    level[:, [CLEAR, SILT]] += np.array([[1.0], [0.5]]) * rng.uniform(0, 6) ** 1.2  # wind roughens water
    power = np.tensordot(10 ** (level / 10), mix, 1)
    dry = 1 - mix[CLEAR] - mix[SILT]
    crowns = 10 ** (level[:, TREE] / 10)[:, None, None] * mix[TREE]
    power += crowns * np.stack([1.4 * ground.height - 0.6, 2.4 * ground.height**0.8 - 0.8])
    power += crowns * (1 - dry) * np.array([2.5, 0.4])[:, None, None]  # trunk and water: a second bounce
    power *= 10 ** ((3.0 * ground.wet * (mix[SOIL] + mix[STRAW] + 0.5 * mix[LEAF]) - 1.2) / 10)
    power *= 10 ** (-0.8 * ground.smooth * (mix[SOIL] + mix[STRAW] + mix[MINERAL] + mix[TAR]))
    power *= 1 + np.array([1.0, 0.5])[:, None, None] * ground.bounce * dry
    power *= np.exp(0.5 * ground.slope * dry)
    power *= np.where(ground.slope < -1.1, 0.12, 1.0)  # slopes that look away from the radar
    trend = np.linspace(-1, 1, SIDE) * rng.uniform(-1.2, 1.2) + rng.normal(0, 0.3)
    power *= 10 ** (trend / 10) * rng.standard_gamma(5.0, power.shape) / 5.0
    power += np.array([10**-2.7, 10**-3.1])[:, None, None]
    out: Array = np.rint(1000 * np.log10(power)).astype(np.int16)
    return out


def _tiles(field: Array) -> Array:
    """Return a scene's field as (TILES, TILE * TILE), tiles in reading order."""
    across = SIDE // TILE
    return field.reshape(across, TILE, across, TILE).swapaxes(1, 2).reshape(TILES, TILE * TILE)


def _drown(mix: Array, share: Array, silt: Array) -> Array:
    """Return material shares with `share` of each pixel under water, of which `silt` is turbid."""
    out: Array = mix * (1 - share)
    out[CLEAR] += share * (1 - silt)
    out[SILT] += share * silt
    return out


@cache
def _scene(pool: int, number: int) -> _Scene:
    """Return scene `number` of a pool (0 train, 1 val, 2 test, 3 unlabelled), made once a process."""
    import numpy as np

    rng = np.random.default_rng([SEED, pool, number])
    month = int(rng.integers(3, 11))
    season = 0.25 + 0.6 * math.sin(math.pi * (month - 1.5) / 10.5) * rng.uniform(0.75, 1.1)
    ground = _ground(rng, number, season)
    # Crowns and stalks stand out of a flood; little grows in a river or lake.
    above = 0.85 * ground.mix[TREE] + 0.6 * ground.mix[LEAF] + 0.3 * ground.mix[STRAW]
    above = np.where(ground.cover >= RIVER, 0.15, 1.0) * above
    silt = np.where(ground.cover == LAKE, rng.uniform(0.0, 0.7), rng.uniform(0.3, 1.0))
    mix = _drown(ground.mix, ground.water * (1 - above), silt)
    puddles = 0.75 * _logistic(8 * (ground.wet - 0.65)) * (ground.cover <= GRASSLAND) * (1 - mix[TREE])
    cloud, shadow = _cloud(rng)
    puddled = _drown(mix, puddles * (1 - ground.water), silt)  # the radar sees the stalks, not the film of water
    canopy = 380 * (1 - np.exp(-2.0 * ground.mix[TREE] * ground.height)) + 9 * ground.mix[LEAF]
    mass = _tiles(canopy).mean(axis=1)
    noisy = mass + (5 + 0.12 * mass) * rng.standard_normal(TILES)
    flood = np.where(ground.water > 0.5, 1, 0)
    flood[(np.abs(ground.water - 0.5) < 0.35) | (cloud > 0.5)] = -1
    counts = np.stack([(_tiles(ground.cover) == code).sum(axis=1) for code in range(len(CLASSES))], axis=1)
    return _Scene(
        images=np.concatenate([_optical(rng, ground, puddled, cloud, shadow), _radar(rng, ground, mix)]),
        landcover=counts.argmax(axis=1).astype(np.int64),
        biomass=np.maximum(np.rint(noisy * 10) / 10, 0.0).astype(np.float32),
        flood=flood.astype(np.int8),
        date=(2021, month, 15),
    )


def _read(pool: int, task: str, picked: dict[str, list[int]], index: int) -> Sample:
    """Return tile `index` of a pool: its images in the wanted bands and the task's target."""
    import numpy as np

    number, tile = divmod(index, TILES)
    scene = _scene(pool, number)
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
    """Return the classes (n,), biomass (n, 1) or presence of dry and flooded (n, 2) of every tile of a pool."""
    import numpy as np

    if task == "unlabelled":
        return np.zeros((scenes * TILES, 0), np.float32)
    made = [_scene(pool, number) for number in range(scenes)]
    if task == "landcover":
        return np.concatenate([scene.landcover for scene in made])
    if task == "biomass":
        return np.concatenate([scene.biomass for scene in made])[:, None]
    masks = np.concatenate([_tiles(scene.flood) for scene in made])
    return np.stack([(masks == code).any(axis=1) for code in (0, 1)], axis=1).astype(np.int64)


def open_split(root: Path, task: str, split: str, bands: Sequence[Band]) -> Samples:
    """Return a split of a task, or the pool for pretraining where task is ``"unlabelled"`` and split ``"train"``.

    Args:
        root: ignored, everything is generated.
        task: ``landcover``, ``biomass``, ``flood`` or ``unlabelled``.
        split: ``train``, ``val`` or ``test``.
        bands: the bands wanted, in order.

    Raises:
        UnknownName: if the task, the split or a band is none of the above.
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
    notes="Generated data: scores tell how the harness works, not how a model does on Earth. Blocks are scenes; "
    "biomass carries noise that leaves an R2 of about 0.92 at best.",
    open=open_split,
)
