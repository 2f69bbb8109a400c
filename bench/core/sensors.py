"""Bands of satellites and cameras as most publishers state them: centre wavelength and ground sampling distance.

Models and suites name their bands from here. Values that a network was trained with instead (Clay, DOFA's radar,
Copernicus-FM, Panopticon) is a fact of that network and stands in its family's file.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.bands import Band

# Centre wavelength in micrometres and ground sampling distance in metres (Sentinel-2 MSI user guide, S2A).
SENTINEL2: dict[str, tuple[float, float]] = {
    "b01": (0.443, 60.0),
    "b02": (0.490, 10.0),
    "b03": (0.560, 10.0),
    "b04": (0.665, 10.0),
    "b05": (0.705, 20.0),
    "b06": (0.740, 20.0),
    "b07": (0.783, 20.0),
    "b08": (0.842, 10.0),
    "b8a": (0.865, 20.0),
    "b09": (0.945, 60.0),
    "b10": (1.375, 60.0),
    "b11": (1.610, 20.0),
    "b12": (2.190, 20.0),
}
# The measured centres of Sentinel-2A, which some publishers state instead of the nominal ones.
SENTINEL2A: dict[str, float] = {
    "b02": 0.4924,
    "b03": 0.5598,
    "b04": 0.6646,
    "b05": 0.7041,
    "b06": 0.7405,
    "b07": 0.7828,
    "b08": 0.8328,
    "b8a": 0.8647,
    "b11": 1.6137,
    "b12": 2.2024,
}
# Thematic Mapper and Enhanced Thematic Mapper (Landsat 4, 5 and 7), Operational Land Imager (Landsat 8 and 9).
LANDSAT: dict[str, dict[str, float]] = {
    "tm": {
        **{"blue": 0.485, "green": 0.56, "red": 0.66, "nir": 0.83, "swir1": 1.65, "swir2": 2.215, "pan": 0.71},
        **{"thermal": 11.45, "thermal_low": 11.45, "thermal_high": 11.45},
    },
    "oli": {
        **{"coastal": 0.443, "blue": 0.482, "green": 0.561, "red": 0.655, "nir": 0.865, "swir1": 1.609},
        **{"swir2": 2.201, "pan": 0.59, "cirrus": 1.373, "tirs1": 10.9, "tirs2": 12.0},
    },
}
# Harmonised Landsat and Sentinel-2: the centres of Sentinel-2's B02, B03, B04, B8A, B11 and B12.
HLS = {"blue": 0.490, "green": 0.560, "red": 0.665, "nir": 0.865, "swir1": 1.610, "swir2": 2.190}
# Red, green and blue as Sentinel-2 has them (which also stands for cameras that state none), of WorldView-2, and of
# an airborne mapping camera.
COLOURS = {"red": 0.665, "green": 0.560, "blue": 0.490}
WORLDVIEW = {"red": 0.660, "green": 0.545, "blue": 0.480}
AIRBORNE = {"red": 0.66, "green": 0.55, "blue": 0.48, "nir": 0.83}


def sentinel2_bands(
    names: str, unit: str = "dn", *, wavelengths: Mapping[str, float] | None = None
) -> tuple[Band, ...]:
    """Return Sentinel-2 bands for names parted by spaces, e.g. ``"b04 b03 b02"``, in that order.

    Args:
        names: as in `SENTINEL2`.
        unit: of their values.
        wavelengths: centres in micrometres, where they are not the nominal ones.
    """
    return tuple(
        Band(
            name=f"s2.{name}",
            unit=unit,
            wavelength_um=(wavelengths or {}).get(name, SENTINEL2[name][0]),
            gsd_m=SENTINEL2[name][1],
        )
        for name in names.split()
    )


def sentinel1_bands(unit: str = "db") -> tuple[Band, Band]:
    """Return Sentinel-1 VV and VH backscatter, at the 10 m of the ground-range detected product."""
    return Band(name="s1.vv", unit=unit, gsd_m=10.0), Band(name="s1.vh", unit=unit, gsd_m=10.0)


def hls_bands(unit: str = "dn") -> tuple[Band, ...]:
    """Return the six bands that Landsat and Sentinel-2 share, harmonised, blue first, at 30 m."""
    return tuple(Band(name=f"hls.{name}", unit=unit, wavelength_um=wave, gsd_m=30.0) for name, wave in HLS.items())


def rgb_bands(
    gsd_m: float | None = None, *, names: str = "red green blue", wavelengths: Mapping[str, float] = COLOURS
) -> tuple[Band, ...]:
    """Return the bands of an 8-bit picture with pixels of `gsd_m` metres, red green blue.

    Args:
        gsd_m: None where it varies or is not known.
        names: parted by spaces, in the order of the picture.
        wavelengths: centres in micrometres.
    """
    return tuple(
        Band(name=f"rgb.{name}", unit="uint8", wavelength_um=wavelengths[name], gsd_m=gsd_m) for name in names.split()
    )
