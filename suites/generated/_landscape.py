"""The ground of the demo's generated landscapes: land cover, canopy height, soil moisture and materials.

Terrain, moisture and canopy height are spectral noise; land-cover regions, field parcels, orchard rows, street grids,
rivers and lakes are placed on it. `suites.generated._sensors` makes images of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy import ndarray as Array

SIDE = 256
CLASSES = ("cropland", "orchard", "forest", "grassland", "urban", "bare", "river", "lake")
CROPLAND, ORCHARD, FOREST, GRASSLAND, URBAN, BARE, RIVER, LAKE = range(8)
# The materials that surfaces are mixed from.
MATERIALS = ("leaf", "tree", "straw", "soil", "mineral", "tar", "clear", "silt")
LEAF, TREE, STRAW, SOIL, MINERAL, TAR, CLEAR, SILT = range(8)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The ground of a scene, before a sensor observes it. Fields are (SIDE, SIDE)."""

    cover: Array  # class codes
    height: Array  # canopy height, 0..1
    slope: Array  # slope of the terrain towards the east, in standard deviations times relief
    shade: Array  # illumination by the sun relative to flat ground
    wet: Array  # soil moisture, 0..1
    smooth: Array  # smoothness of bare ground for the radar, 0..1
    bounce: Array  # walls and boulders that return the radar's signal, at least 0
    water: Array  # share of open water on the ground, 0..1
    mix: Array  # (materials, SIDE, SIDE) shares, summing to 1


def logistic(x: Array) -> Array:
    import numpy as np

    out: Array = 1.0 / (1.0 + np.exp(-np.clip(x, -40, 40)))
    return out


def noise(rng: np.random.Generator, count: int, wavelength: float, *, narrow: bool = False) -> Array:
    """Return periodic Gaussian fields (count, SIDE, SIDE) of mean 0 and deviation 1.

    Args:
        rng: source of randomness.
        count: number of fields.
        wavelength: in pixels; larger features have a flat spectrum, smaller ones fall off with its cube.
        narrow: whether only features of about that wavelength are kept.
    """
    import numpy as np

    columns = min(SIDE // 2 + 1, 1 + int(10 * SIDE / wavelength))  # further amplitudes are below 1e-4
    cycles = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :columns]) * wavelength
    amplitude = np.exp(-(((cycles - 1) / 0.4) ** 2)) if narrow else (1 + cycles**2) ** -2.0
    amplitude[0, 0] = 0.0
    white = rng.standard_normal((count, SIDE, columns, 2)).view(np.complex128)[..., 0]
    fields = np.fft.irfft2(white * amplitude, s=(SIDE, SIDE))
    out: Array = fields / fields.std(axis=(1, 2), keepdims=True)
    return out


def _cell(u: Array, v: Array) -> Array:
    """Return a number in 0..1023 for the unit cell that (u, v) lies in, different from that of its neighbours."""
    import numpy as np

    number: Array = (np.floor(u).astype(np.int64) * 389 + np.floor(v).astype(np.int64) * 631) % 1024
    return number


def _lattice(rng: np.random.Generator, size: float, aspect: float, bend: Array) -> tuple[Array, Array, Array]:
    """Return a rotated, bent lattice: coordinates u and v (1 per cell), and a number in 0..1023 per cell."""
    import numpy as np

    y, x = np.mgrid[:SIDE, :SIDE]
    angle = rng.random() * math.pi
    u = (x * math.cos(angle) + y * math.sin(angle)) / size + bend
    v = (y * math.cos(angle) - x * math.sin(angle)) / (size * aspect) + bend
    return u, v, _cell(u, v)


def _like(table: Array, field: Array) -> Array:
    """Return a standard Gaussian field with its values replaced by the values of `table` of the same rank.

    A patchwork and a drift then have the same histogram, and differ in arrangement only.
    """
    import numpy as np

    rank = logistic(1.702 * field)
    out: Array = np.sort(table)[(rank * len(table)).astype(np.int64)]
    return out


def _regions(rng: np.random.Generator, number: int, relief: Array) -> tuple[Array, Array, Array]:
    """Return class codes, the share of permanent water, and the distance in pixels to the valley line."""
    import numpy as np

    lift = np.array([-0.3, 0.0, 0.45, 0.1, -0.35, 0.35])[:, None, None]
    liking = 0.5 * rng.standard_normal((6, 1, 1))
    liking[number % 6] += 1.1  # every class gets some scenes, whatever is drawn
    cover = np.argmax(noise(rng, 6, 200.0) + lift * relief + liking, axis=0)
    valley, basin = noise(rng, 2, 260.0)
    basin = basin - 0.5 * relief
    steepness = [np.hypot(*np.gradient(field)) + 0.002 for field in (valley, basin)]
    to_valley = np.abs(valley) / steepness[0]
    to_lake = (np.quantile(basin, rng.uniform(0.82, 0.95)) - basin) / steepness[1]
    edge = rng.standard_normal(2) * 0.8
    half = rng.uniform(3.0, 7.0) * (1 + 0.15 * noise(rng, 1, 25.0)[0])
    has_river, has_lake = rng.random(2) < (0.4, 0.6)
    water = np.zeros_like(relief)
    if has_lake:
        shore = 9 + 3 * edge[1]
        cover = np.where(to_lake < shore, LAKE, cover)
        water = np.maximum(water, logistic(-to_lake / 0.5))
    if has_river:
        cover = np.where(to_valley < half + 18 + 3 * edge[0], RIVER, cover)
        water = np.maximum(water, logistic((half - to_valley) / 0.5))
    return cover, water, to_valley


def _vegetation(rng: np.random.Generator, season: float, cover: Array) -> Array:
    """Return material shares (materials, SIDE, SIDE) of fields, orchards, woods, meadows and shores."""
    import numpy as np

    bend = 0.12 * noise(rng, 1, 30.0)[0]
    _, v, parcel = _lattice(rng, rng.uniform(13, 24), rng.uniform(1.0, 1.8), bend)
    fine, drift, stand, patch = (noise(rng, 1, wavelength)[0] for wavelength in (2.0, 7.0, 9.0, 6.0))
    crop = 0.75 * season + 0.35 * np.where(rng.random(1024) < 0.5, -0.6, 0.6) + 0.12 * rng.random(1024)
    crop, dead, density = np.clip(crop, 0.02, 1), 0.7 * rng.random(1024), rng.uniform(-1.1, 0.3, 1024)
    period, rows = rng.uniform(4.5, 7.0), int(rng.integers(6, 11))
    along, across, plot = _lattice(rng, period * rows, 1.0, 0.6 * bend)
    planted = 1.15 * np.cos(2 * np.pi * rows * along) + 0.35 * np.cos(2 * np.pi * rows * across) + 0.4 * fine
    wild = 0.95 * noise(rng, 1, period, narrow=True)[0] + 0.25 * fine
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
    mix[TREE] = logistic(3.0 * crowns)
    mix[LEAF] = green * (1 - mix[TREE])
    mix[STRAW] = (1 - green) * straw * (1 - mix[TREE])
    mix[SOIL] = (1 - green) * (1 - straw) * (1 - mix[TREE])
    return mix


def _mineral(rng: np.random.Generator, season: float, urban: Array) -> tuple[Array, Array]:
    """Return material shares of towns (where `urban`) and bare land, and the radar return of walls or boulders."""
    import numpy as np

    coarse, medium, fine, vein = noise(rng, 4, 7.0)
    kinds = np.array([[0.55, 0.1, 0.35], [0.1, 0.75, 0.15], [0.2, 0.35, 0.45]])  # roofs and rocks: soil, mineral, tar
    garden = season * rng.uniform(0.0, 0.75, 1024) ** 1.5
    spike = rng.uniform(0.0, 1.0, 1024) ** 3 * 5
    kind = rng.random(1024)
    u, v, _ = _lattice(rng, rng.uniform(8, 13), rng.uniform(1.0, 1.4), 0.05 * noise(rng, 1, 40.0)[0])
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


def make_ground(rng: np.random.Generator, number: int, season: float) -> Ground:
    """Return the ground of a scene: land cover, canopy height, soil moisture and materials.

    Args:
        rng: source of randomness.
        number: number of the scene, which selects the class that it favours.
        season: greenness of the season, 0..1.
    """
    import numpy as np

    relief = (noise(rng, 1, 80.0) * 0.9 + noise(rng, 1, 20.0) * 0.35)[0]
    cover, water, to_valley = _regions(rng, number, relief)
    built, bounce = _mineral(rng, season, cover == URBAN)
    grown = _vegetation(rng, season, cover)
    stony = (cover == URBAN) | (cover == BARE)
    mix = np.where(stony, built, grown)
    stature = logistic(1.5 * (noise(rng, 1, 25.0)[0] + rng.standard_normal()))
    height = np.where(cover == FOREST, 0.15 + 0.85 * stature, 0.3)
    damp, polish = noise(rng, 2, 14.0)
    wet = logistic(1.5 * (damp - 0.6 * relief + rng.standard_normal() - 0.5))
    ruggedness = rng.uniform(0.05, 1.0) ** 2
    north, east = (gradient / gradient.std() for gradient in np.gradient(relief))
    azimuth = rng.uniform(0.3, 0.7) * math.pi  # the sun stands in the south-east to south-west
    sun = north * math.sin(azimuth) + east * math.cos(azimuth)
    # Open water: rivers and lakes, and in most scenes a flood that fills the lowest land along the valley.
    if rng.random() < 0.6:
        level = to_valley / 70 + 0.45 * relief + 0.2 * damp
        water = np.maximum(water, logistic((np.quantile(level, rng.uniform(0.03, 0.18)) - level) / 0.02))
    return Ground(
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
