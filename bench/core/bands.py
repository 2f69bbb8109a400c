"""Units, bands and normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

NormaliseKind = Literal["affine", "dataset", "image_2sd", "image_minmax", "none"]


class Unit(NamedTuple):
    """A declared unit: ``physical = raw * scale + offset`` in the quantity's own unit."""

    quantity: str
    scale: float = 1.0
    offset: float = 0.0
    low: float = float("-inf")  # the raw values a sound sample stays within; the doctor checks them
    high: float = float("inf")


# 8-bit Sentinel-2 previews (EuroSAT RGB among them) map reflectance 0..0.275 to 0..255; that is also how reflectance is
# shown to a network trained on photographs.
UNITS: dict[str, Unit] = {
    "reflectance": Unit("reflectance", low=-0.2, high=3.0),
    "dn": Unit("reflectance", 1e-4, low=-2000.0, high=65535.0),
    # Sentinel-2 products of processing baseline 04.00 and later (January 2022) carry an offset of 1000.
    "dn_offset": Unit("reflectance", 1e-4, -0.1, low=0.0, high=65535.0),
    "uint8": Unit("reflectance", 0.275 / 255, low=0.0, high=255.0),
    "db": Unit("backscatter", low=-100.0, high=60.0),
    "power": Unit("power", low=0.0, high=1e6),
    "kelvin": Unit("temperature", low=150.0, high=400.0),
    "celsius": Unit("temperature", 1.0, 273.15, low=-100.0, high=100.0),
    "metre": Unit("length", low=-15000.0, high=15000.0),
    "degree": Unit("angle", low=-360.0, high=360.0),
    "index": Unit("index", low=-1.0, high=1.0),
    "class": Unit("class", low=-1.0, high=255.0),
    "radiance": Unit("radiance", low=-5.0, high=1000.0),  # W m-2 sr-1 um-1
    "mol_m2": Unit("column density", low=-0.01, high=1.0),
}


@dataclass(frozen=True, kw_only=True)
class Band:
    """One input channel; the part of its name before the dot is its sensor.

    Attributes:
        name: canonical name, e.g. ``"s2.b04"``, ``"s2.b8a"``, ``"s1.vv"``, ``"rgb.red"``, ``"srtm.elevation"``.
        unit: a key of `UNITS`.
        wavelength_um: centre wavelength in micrometres, where the band has one.
        gsd_m: ground sampling distance in metres: of the sensor in facts of suites and models, of the pixels as fed in
            the bands a loader is given.
    """

    name: str
    unit: str
    wavelength_um: float | None = None
    gsd_m: float | None = None

    @property
    def sensor(self) -> str:
        """The sensor the band belongs to, e.g. ``"s2"``."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Normalise:
    """How raw values become network input, applied exactly once, by `bench.input.prepare`.

    Attributes:
        kind: ``affine`` is ``(x - shift) / scale`` a band; ``dataset`` is a z-score with the suite's train statistics;
            ``image_2sd`` maps mean -/+ 2 standard deviations of each image and band to 0..1 and clips (CROMA);
            ``image_minmax`` maps the smallest and largest value of each image and band to 0 and 1; ``none`` leaves the
            values.
        shift: one value a band of the entry, in the order of its `bands` (``affine`` only).
        scale: likewise.
        clip: bounds on the result, or None.
        neutral: what a band's mean becomes; fed for an absent band under ``absent=mean``.
    """

    kind: NormaliseKind = "none"
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    clip: tuple[float, float] | None = None
    neutral: float = 0.0
