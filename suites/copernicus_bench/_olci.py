"""Facts of Sentinel-3's Ocean and Land Colour Instrument, and of the land-cover map that labels its datasets."""

from __future__ import annotations

from bench.core import Band

# OLCI: centre in nanometres and radiance (W m-2 sr-1 um-1) per stored count, as the publisher's readers state them.
OLCI = (
    (400.0, 0.0139465), (412.5, 0.0133873), (442.5, 0.0121481), (490.0, 0.0115198), (510.0, 0.0100953),
    (560.0, 0.0123538), (620.0, 0.00879161), (665.0, 0.00876539), (673.75, 0.0095103), (681.25, 0.00773378),
    (708.75, 0.00675523), (753.75, 0.0071996), (761.25, 0.00749684), (764.375, 0.0086512), (767.5, 0.00526779),
    (778.75, 0.00530267), (865.0, 0.00493004), (885.0, 0.00549962), (900.0, 0.00502847), (940.0, 0.00326378),
    (1020.0, 0.00324118),
)  # fmt: skip
SENTINEL3 = tuple(
    Band(name=f"s3.oa{number:02}", unit="radiance", wavelength_um=centre / 1000, gsd_m=300.0)
    for number, (centre, _) in enumerate(OLCI, start=1)
)
COUNTS = tuple(scale for _, scale in OLCI)

# CGLS-LC100 codes in the publisher's order of classes.
LC100 = {
    **{0: "unknown", 20: "shrubs", 30: "herbaceous vegetation", 40: "cultivated vegetation", 50: "built up"},
    **{60: "bare or sparse vegetation", 70: "snow and ice", 80: "permanent water", 90: "herbaceous wetland"},
    100: "moss and lichen",
    **{111: "closed evergreen needle-leaved forest", 112: "closed evergreen broad-leaved forest"},
    **{113: "closed deciduous needle-leaved forest", 114: "closed deciduous broad-leaved forest"},
    **{115: "closed mixed forest", 116: "closed other forest"},
    **{121: "open evergreen needle-leaved forest", 122: "open evergreen broad-leaved forest"},
    **{123: "open deciduous needle-leaved forest", 124: "open deciduous broad-leaved forest"},
    **{125: "open mixed forest", 126: "open other forest", 200: "oceans and seas"},
}
