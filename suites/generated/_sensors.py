"""The demo's sensors: optical bands and radar channels of a generated landscape, and the scenes made of both.

The surface is a mixture of eight reference materials, observed with each scene's own season, sun, haze, cloud and
sensor noise (optical), or with speckle, incidence trend and terrain (radar).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.generated._landscape import (
    CLASSES,
    CLEAR,
    GRASSLAND,
    LAKE,
    LEAF,
    MATERIALS,
    MINERAL,
    RIVER,
    SIDE,
    SILT,
    SOIL,
    STRAW,
    TAR,
    TREE,
    Ground,
    logistic,
    make_ground,
    noise,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy import ndarray as Array

TILE = 64
TILES = (SIDE // TILE) ** 2
SEED = 20240611
BANDS = (
    *sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12"),
    *sentinel1_bands(),
)
# Reflectance in per cent of the materials in `MATERIALS`, in the order of the optical bands.
REFLECTANCE = {
    "leaf": (2.0, 3.0, 6.0, 3.5, 9.0, 28.0, 36.0, 38.0, 40.0, 40.0, 20.0, 10.0),
    "tree": (1.5, 2.2, 4.0, 2.4, 6.5, 20.0, 26.0, 28.0, 29.5, 29.5, 13.0, 6.0),
    "straw": (6.0, 8.0, 11.5, 15.0, 18.0, 21.0, 23.0, 25.0, 27.0, 28.0, 33.0, 23.0),
    "soil": (7.0, 9.0, 13.0, 17.0, 20.0, 22.0, 24.0, 26.0, 28.0, 29.0, 35.0, 30.0),
    "mineral": (13.0, 16.0, 19.5, 22.5, 24.0, 25.0, 26.0, 27.0, 28.0, 29.0, 31.0, 28.0),
    "tar": (7.0, 8.0, 9.0, 10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 12.5, 14.0, 13.0),
    "clear": (4.0, 4.0, 3.5, 2.0, 1.6, 1.2, 1.1, 1.0, 0.9, 0.8, 0.5, 0.3),
    "silt": (7.0, 9.0, 12.0, 12.5, 11.5, 7.5, 7.0, 5.0, 4.5, 4.0, 1.8, 1.0),
}
# Backscatter in dB of the same materials before moisture, height, wind and terrain: VV, VH.
BACKSCATTER = ((-11.5, -17.0), (-9.0, -14.5), (-12.5, -19.5), (-13.0, -20.5), (-9.0, -16.5), (-17.5, -24.0)) + (
    ((-22.0, -28.5),) * 2
)
FINE_BLOCK = {10.0: 1, 20.0: 2, 60.0: 4}  # pixels averaged for a band's ground sampling distance; 4 divides the side


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One generated scene, quantised so that the last bits of floating-point arithmetic have no effect."""

    images: Array  # int16 (bands, SIDE, SIDE): reflectance x 10000, then dB x 100
    landcover: Array  # int64 (TILES,)
    biomass: Array  # float32 (TILES,), t/ha
    flood: Array  # int8 (SIDE, SIDE): 0, 1, -1
    date: tuple[int, int, int]


def _cloud(rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the opacity of clouds and the depth of their shadows, both 0..1; most scenes have no clouds."""
    import numpy as np

    field = noise(rng, 1, 25.0)[0]
    if rng.random() < 0.75:
        return np.zeros_like(field), np.zeros_like(field)
    opacity = logistic((field - np.quantile(field, rng.uniform(0.92, 0.985))) / 0.12)
    return opacity, np.roll(opacity, (int(rng.integers(-30, -10)), int(rng.integers(-20, 20))), axis=(0, 1))


def _optical(rng: np.random.Generator, ground: Ground, mix: Array, cloud: Array, shadow: Array) -> Array:
    """Return surface reflectance x 10000 as int16 (12, SIDE, SIDE), with this scene's season, sun and haze."""
    import numpy as np

    materials = np.array([REFLECTANCE[name] for name in MATERIALS]) / 100
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


def _radar(rng: np.random.Generator, ground: Ground, mix: Array) -> Array:
    """Return VV and VH backscatter in hundredths of a dB as int16 (2, SIDE, SIDE), with five-look speckle."""
    import numpy as np

    level = np.array(BACKSCATTER).T + rng.normal(0, 0.3, (2, len(MATERIALS)))
    level[:, [CLEAR, SILT]] += np.array([[1.0], [0.5]]) * rng.uniform(0, 6) ** 1.2  # wind roughens water
    power = np.tensordot(10 ** (level / 10), mix, 1)
    dry = 1 - mix[CLEAR] - mix[SILT]
    crowns = 10 ** (level[:, TREE] / 10)[:, None, None] * mix[TREE]
    power += crowns * np.stack([1.4 * ground.height - 0.6, 2.4 * ground.height**0.8 - 0.8])
    power += crowns * (1 - dry) * np.array([2.5, 0.4])[:, None, None]  # double bounce between trunk and water
    power *= 10 ** ((3.0 * ground.wet * (mix[SOIL] + mix[STRAW] + 0.5 * mix[LEAF]) - 1.2) / 10)
    power *= 10 ** (-0.8 * ground.smooth * (mix[SOIL] + mix[STRAW] + mix[MINERAL] + mix[TAR]))
    power *= 1 + np.array([1.0, 0.5])[:, None, None] * ground.bounce * dry
    power *= np.exp(0.5 * ground.slope * dry)
    power *= np.where(ground.slope < -1.1, 0.12, 1.0)  # slopes that face away from the radar
    trend = np.linspace(-1, 1, SIDE) * rng.uniform(-1.2, 1.2) + rng.normal(0, 0.3)
    power *= 10 ** (trend / 10) * rng.standard_gamma(5.0, power.shape) / 5.0
    power += np.array([10**-2.7, 10**-3.1])[:, None, None]
    out: Array = np.rint(1000 * np.log10(power)).astype(np.int16)
    return out


def cut_tiles(field: Array) -> Array:
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
def make_scene(pool: int, number: int) -> Scene:
    """Return scene `number` of a pool (0 train, 1 val, 2 test, 3 unlabelled), made once per process."""
    import numpy as np

    rng = np.random.default_rng([SEED, pool, number])
    month = int(rng.integers(3, 11))
    season = 0.25 + 0.6 * math.sin(math.pi * (month - 1.5) / 10.5) * rng.uniform(0.75, 1.1)
    ground = make_ground(rng, number, season)
    # Crowns and stalks emerge from a flood; little grows in a river or lake.
    above = 0.85 * ground.mix[TREE] + 0.6 * ground.mix[LEAF] + 0.3 * ground.mix[STRAW]
    above = np.where(ground.cover >= RIVER, 0.15, 1.0) * above
    silt = np.where(ground.cover == LAKE, rng.uniform(0.0, 0.7), rng.uniform(0.3, 1.0))
    mix = _drown(ground.mix, ground.water * (1 - above), silt)
    puddles = 0.75 * logistic(8 * (ground.wet - 0.65)) * (ground.cover <= GRASSLAND) * (1 - mix[TREE])
    cloud, shadow = _cloud(rng)
    puddled = _drown(mix, puddles * (1 - ground.water), silt)  # the radar observes the stalks, not the film of water
    canopy = 380 * (1 - np.exp(-2.0 * ground.mix[TREE] * ground.height)) + 9 * ground.mix[LEAF]
    mass = cut_tiles(canopy).mean(axis=1)
    noisy = mass + (5 + 0.12 * mass) * rng.standard_normal(TILES)
    flood = np.where(ground.water > 0.5, 1, 0)
    flood[(np.abs(ground.water - 0.5) < 0.35) | (cloud > 0.5)] = -1
    counts = np.stack([(cut_tiles(ground.cover) == code).sum(axis=1) for code in range(len(CLASSES))], axis=1)
    return Scene(
        images=np.concatenate([_optical(rng, ground, puddled, cloud, shadow), _radar(rng, ground, mix)]),
        landcover=counts.argmax(axis=1).astype(np.int64),
        biomass=np.maximum(np.rint(noisy * 10) / 10, 0.0).astype(np.float32),
        flood=flood.astype(np.int8),
        date=(2021, month, 15),
    )
