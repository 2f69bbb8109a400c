"""Match a suite's bands, units and sizes to a model's, as a recipe; pure and torch-free, so that a plan can show it.

`bench.input.prepare` applies it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.core import UNITS, Absent, Band, ModelEntry, Suite, Task
from bench.core.errors import Incompatible

# A network trained on photographs may look at true-colour bands of a satellite; never the other way round.
# Harmonised Landsat-Sentinel bands are Sentinel-2's or Landsat's own, at 30 m; the doctor names the level.
STANDS_FOR: dict[str, tuple[str, ...]] = {
    "hls.blue": ("s2.b02", "landsat.blue"),
    "hls.green": ("s2.b03", "landsat.green"),
    "hls.red": ("s2.b04", "landsat.red"),
    "hls.nir": ("s2.b8a", "s2.b08", "landsat.nir"),
    "hls.swir1": ("s2.b11", "landsat.swir1"),
    "hls.swir2": ("s2.b12", "landsat.swir2"),
    "rgb.red": ("s2.b04", "hls.red", "landsat.red", "naip.red"),
    "rgb.green": ("s2.b03", "hls.green", "landsat.green", "naip.green"),
    "rgb.blue": ("s2.b02", "hls.blue", "landsat.blue", "naip.blue"),
}
# The other way round only where somebody asks for it (``rgb_as=s2``), and the recipe shows it.
PHOTO_AS_S2 = {"s2.b04": "rgb.red", "s2.b03": "rgb.green", "s2.b02": "rgb.blue"}
# derived band: (a, b) gives (a - b) / (a + b)
NORMALISED_DIFFERENCE: dict[str, tuple[str, str]] = {"s2.ndvi": ("s2.b08", "s2.b04")}


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One input channel of a backbone and its source in the suite.

    Attributes:
        band: the band of the backbone that it is used as, with its unit before normalisation.
        source: the suite's bands it is made of: one, two for a normalised difference, none where it is absent.
        shift: subtracted, after unit conversion.
        scale: divided by.
        stand_in: the source is another band, the nearest in wavelength.
    """

    band: Band
    source: tuple[Band, ...]
    shift: float = 0.0
    scale: float = 1.0
    stand_in: bool = False


@dataclass(frozen=True, kw_only=True)
class InputRecipe:
    """How a suite's images become one model's input. Its `facts` are part of a run's identity.

    Attributes:
        channels: in the order the backbone wants them.
        absent: what was done about bands the suite lacks (``refuse`` where none was).
        masked: model bands that the suite lacks and the network masks.
        normalise: kind of normalisation, see `bench.core.Normalise`.
        clip: bounds on normalised values, or None.
        size: (H, W) the backbone sees at a time.
        windows: images are larger than `size` and are covered by overlapping windows at native resolution.
        patch: token stride in pixels.
        fold_dates: dates are encoded one by one and their features averaged, or
        joined: put side by side along the channels, where what happened between two dates is the question.
        gsd_m: ground size of a pixel as fed, where the suite's is known.
        precision: of the network's arithmetic, ``fp32`` or ``bf16`` (autocast).
        neutral: fed for absent bands under ``absent=mean``.
    """

    channels: tuple[Channel, ...]
    absent: str
    masked: tuple[str, ...]
    normalise: str
    clip: tuple[float, float] | None
    size: tuple[int, int]
    windows: bool
    patch: int
    fold_dates: bool
    joined: bool = False
    gsd_m: float | None = None
    precision: str = "fp32"
    neutral: float = 0.0

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands the backbone receives, in order, with the ground sampling distance as fed, None where unknown."""
        return tuple(replace(channel.band, gsd_m=self.gsd_m) for channel in self.channels)

    @property
    def reads(self) -> tuple[Band, ...]:
        """The suite's bands that are read, each once, in first-use order."""
        return tuple(dict.fromkeys(band for channel in self.channels for band in channel.source))

    def extent(self, image: tuple[int, int]) -> tuple[int, int]:
        """Return the (H, W) that a token grid covers, in pixels of an image of (H, W) and of its label.

        An image that is covered by windows is padded, right and below, to whole tokens and to at least one window; an
        image that is resized is covered exactly. Where a grid meets a label, upsample it to the extent, then cut.
        """
        if not self.windows:
            return image
        high, wide = (max(-(-e // self.patch) * self.patch, s) for e, s in zip(image, self.size, strict=True))
        return high, wide

    def pads(self, image: tuple[int, int]) -> bool:
        """Return whether a token grid reaches beyond an image of (H, W): its side is no multiple of the patch."""
        return self.extent(image) != image

    def facts(self) -> dict[str, Any]:
        """Return the recipe as plain data for keys, records and listings.

        What was added since the first records stands in them only where it is not what it was then. The ground size of
        a pixel follows from the suite and the size.
        """
        extra = {"gsd_m": None, "precision": self.precision, "neutral": self.neutral, "joined": self.joined}
        return {
            "bands": [
                f"{c.band.name}<{'+'.join(s.name for s in c.source) or 'absent'}:{c.source[0].unit if c.source else ''}"
                f">{c.band.unit}"
                for c in self.channels
            ],
            "shift": [c.shift for c in self.channels],
            "scale": [c.scale for c in self.channels],
            **{k: v for k, v in asdict(self).items() if k not in ("channels", "clip", *extra)},
            **{name: value for name, value in extra.items() if value not in ("fp32", 0.0, None, False)},
            "clip": list(self.clip) if self.clip else None,
        }

    def summary(self) -> str:
        """Return one line for tables: bands, size, absent policy."""
        by_sensor: dict[str, list[str]] = {}
        for channel in self.channels:
            by_sensor.setdefault(channel.band.sensor, []).append(channel.band.name.partition(".")[2])
        bands = "; ".join(f"{sensor}: {' '.join(names)}" for sensor, names in by_sensor.items())
        size = f"{self.size[0]}x{self.size[1]}" + (" windows" if self.windows else "")
        stand_ins = [c.band.name for c in self.channels if not c.source or c.stand_in]
        filled = f", {self.absent} for {' '.join(stand_ins)}" if stand_ins else ""
        filled += ", bf16" if self.precision == "bf16" else ""
        masked = f", masked {len(self.masked)} bands" if self.masked else ""
        return f"{bands} at {size}, {self.normalise}{filled}{masked}"


def _source(name: str, offered: Mapping[str, Band]) -> tuple[Band, ...]:
    for candidate in (name, *STANDS_FOR.get(name, ())):
        if candidate in offered:
            return (offered[candidate],)
    pair = NORMALISED_DIFFERENCE.get(name, ())
    return tuple(offered[part] for part in pair) if pair and all(part in offered for part in pair) else ()


def _convertible(band: Band, source: tuple[Band, ...]) -> bool:
    if len(source) != 1:
        return True
    pair = {UNITS[source[0].unit].quantity, UNITS[band.unit].quantity}
    return len(pair) == 1 or pair == {"backscatter", "power"}


def _any_channels(entry: ModelEntry, offered: Mapping[str, Band], suite: str) -> list[Channel]:
    known = {band.name: index for index, band in enumerate(entry.bands)}
    accepted = [band for band in offered.values() if "*" in entry.sensors or band.sensor in entry.sensors]
    if not accepted:
        raise Incompatible(f"{entry.name} takes bands of {' '.join(entry.sensors)}; {suite} gives {' '.join(offered)}")
    channels = []
    for band in accepted:
        if entry.normalise.kind != "affine":
            channels.append(Channel(band=band, source=(band,)))
            continue
        if band.name not in known:
            raise Incompatible(
                f"{entry.name} has no normalisation for {band.name}; it has {' '.join(known)}: leave it out with bands="
            )
        index = known[band.name]
        channels.append(
            Channel(
                band=entry.bands[index],
                source=(band,),
                shift=entry.normalise.shift[index],
                scale=entry.normalise.scale[index],
            )
        )
    return channels


def _nearest(band: Band, entry: ModelEntry, sources: Mapping[str, tuple[Band, ...]]) -> tuple[Band, ...]:
    """Return the source of the entry's band of the same sensor that is nearest in wavelength; none if none has one."""
    near = [
        (abs(other.wavelength_um - band.wavelength_um), sources[other.name])
        for other in entry.bands
        if other.sensor == band.sensor and band.wavelength_um and other.wavelength_um and len(sources[other.name]) == 1
    ]
    return min(near, key=lambda pair: pair[0])[1] if near else ()


def _fixed_channels(
    entry: ModelEntry, offered: Mapping[str, Band], suite: str, absent: Absent
) -> tuple[list[Channel], list[str]]:
    affine = entry.normalise.kind == "affine"
    sources = {band.name: _source(band.name, offered) for band in entry.bands}
    present = {band.sensor for band in entry.bands if sources[band.name]}
    channels, missing = [], []
    for index, band in enumerate(entry.bands):
        source = sources[band.name]
        stand_in = not source and absent == "nearest"
        source = _nearest(band, entry, sources) if stand_in else source
        if band.sensor not in present or (not source and absent in ("refuse", "nearest", "mask")):
            missing.append(band.name)
            continue
        channels.append(
            Channel(
                band=band,
                source=source,
                shift=entry.normalise.shift[index] if affine else 0.0,
                scale=entry.normalise.scale[index] if affine else 1.0,
                stand_in=stand_in,
            )
        )
    lacking = [name for name in missing if name.partition(".")[0] in present]
    if not present or (lacking and absent in ("refuse", "nearest")):
        wanted = lacking or [band.name for band in entry.bands]
        others = [policy for policy in entry.absent if policy not in ("refuse", absent)]
        way = f"; absent={others[0]} would stand in for what is absent" if present and others else ""
        raise Incompatible(f"{entry.name} needs {' '.join(wanted)}; {suite} has {' '.join(offered)}{way}")
    return channels, missing if absent == "mask" else []


def _geometry(entry: ModelEntry, image: tuple[int, int], dense: bool, suite: str) -> tuple[tuple[int, int], bool]:
    """Return the (H, W) the backbone sees and whether windows cover the image."""
    tall, wide = image
    if entry.vectors:
        return image, False
    if entry.image_size == 1 and image != (1, 1):
        raise Incompatible(f"{entry.name} reads pixel time series; {suite} gives images of {tall} x {wide} pixels")
    if image == (1, 1):
        if entry.image_size != 1 and entry.origin != "baseline":
            raise Incompatible(
                f"{entry.name} reads images, {entry.image_size} pixels a side; {suite} gives single pixels"
            )
        return image, False
    if dense and max(image) > entry.image_size:
        if entry.image_size % entry.patch:
            raise Incompatible(
                f"{entry.name} reads {entry.image_size} pixels a side, no multiple of its patch of {entry.patch}: "
                f"windows of {suite} cannot be put together"
            )
        return (entry.image_size, entry.image_size), True
    if entry.any_size and max(image) <= entry.image_size:
        return (math.ceil(tall / entry.patch) * entry.patch, math.ceil(wide / entry.patch) * entry.patch), False
    return (entry.image_size, entry.image_size), False


def match(
    entry: ModelEntry,
    suite: Suite,
    task: Task,
    bands: Sequence[Band],
    *,
    absent: Absent | None = None,
    precision: str = "fp32",
    rgb_as: str = "",
) -> InputRecipe:
    """Return how `bands` of `suite` become the input of `entry`.

    Args:
        entry: the model.
        suite: gives image size and dates.
        task: dense kinds keep native resolution and are covered by windows; others are resized as a whole.
        bands: the suite's bands to use.
        absent: what to do about bands the suite lacks, among what the entry accepts; its own first choice if None.
        precision: of the network's arithmetic.
        rgb_as: ``s2`` lets red, green and blue photographs stand for Sentinel-2's true-colour bands.

    Raises:
        Incompatible: a band it cannot do without, a unit that cannot be converted, or a size that makes no sense.
    """
    if entry.vectors and task.dense:
        raise Incompatible(f"{entry.name} are vectors of whole images; {task.name} is predicted pixel by pixel")
    offered = {band.name: band for band in bands}
    # A policy that an entry does not accept is replaced by the entry's own, which the recipe records.
    policy = absent if absent in entry.absent else entry.absent[0]
    if entry.any_bands:
        channels, masked = _any_channels(entry, offered, suite.name), list[str]()
    else:
        if rgb_as == "s2":
            offered |= {k: offered[v] for k, v in PHOTO_AS_S2.items() if v in offered and k not in offered}
        channels, masked = _fixed_channels(entry, offered, suite.name, policy)
    for channel in channels:
        if not _convertible(channel.band, channel.source):
            raise Incompatible(
                f"{entry.name} takes {channel.band.name} in {channel.band.unit}; {suite.name} has "
                f"{channel.source[0].name} in {channel.source[0].unit}, another quantity"
            )
    size, windows = _geometry(entry, suite.image_size, task.dense, suite.name)
    return InputRecipe(
        channels=tuple(channels),
        absent=policy if masked or any(c.stand_in or not c.source for c in channels) else entry.absent[0],
        masked=tuple(masked),
        normalise=entry.normalise.kind,
        clip=entry.normalise.clip,
        size=size,
        windows=windows,
        patch=entry.patch,
        fold_dates=suite.dates != 1 and (task.kind == "change" or not entry.temporal),
        joined=task.kind == "change",
        gsd_m=suite.gsd_m and round(suite.gsd_m * (1 if windows else suite.image_size[0] / size[0]), 6),
        precision=precision,
        neutral=entry.normalise.neutral if policy == "mean" else 0.0,
    )
