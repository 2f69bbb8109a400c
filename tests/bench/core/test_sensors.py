"""Bands of the sensors: names and wavelengths."""

from __future__ import annotations

from bench.core.sensors import SENTINEL2, SENTINEL2A, hls_bands, rgb_bands, sentinel2_bands


def test_sensors_name_their_bands():
    assert [band.name for band in sentinel2_bands("b8a b02")] == ["s2.b8a", "s2.b02"]
    assert set(SENTINEL2A) < set(SENTINEL2)
    assert all(abs(SENTINEL2A[name] - SENTINEL2[name][0]) < 0.02 for name in SENTINEL2A), "the same bands"
    stated, given = sentinel2_bands("b01 b02", wavelengths=SENTINEL2A)
    assert (stated.wavelength_um, given.wavelength_um) == (0.443, 0.4924)
    near = dict(zip((band.name for band in hls_bands()), sentinel2_bands("b02 b03 b04 b8a b11 b12"), strict=True))
    assert all(band.wavelength_um == near[band.name].wavelength_um for band in hls_bands())
    assert [band.wavelength_um for band in rgb_bands()] == [b.wavelength_um for b in sentinel2_bands("b04 b03 b02")]
