"""Clay 1.0 and 1.5 (Clay Foundation 2024): masked autoencoders for any bands, given wavelengths, scale, date and place.

Bands enter with their central wavelengths in micrometres (radar at the authors' placeholders, 3.5 and 4.0) and are
standardised with the moments of pretraining; both are as listed in ``configs/metadata.yaml`` of Clay-foundation/model,
at tag v1.0 for version 1.0. Both versions were pretrained on Sentinel-2 level 2A, Landsat collection 2 surface
reflectance and NAIP; terrain-corrected Sentinel-1 is in linear power for version 1.0 and in dB for version 1.5. The
moments of Landsat are listed in digital numbers and are converted here to reflectance x 10000 (``0.275 x - 2000``, the
scale of collection 2). The network takes the bands that a suite has and needs no others. In pretraining it saw one
sensor at a time. Where a suite has several sensors, their bands enter together by wavelength, which the network
supports but was not trained for. Pretraining also included aerial RGB (LINZ), MODIS and commercial imagery; they have
no entry.

Positions are in metres: they use the ground size of a pixel as fed where the suite states it, otherwise the smallest of
the sensors. The week of the year, and latitude and longitude, enter as sines and cosines, or as zeros where unknown, as
for a fifth of the images in pretraining (``claymodel/datamodule.py``). The hour, which suites do not provide, is always
zeros; in pretraining it was known whenever the week was.

The image vector is the class token, as in the authors' classifier and exported embedders (``claymodel/finetune``).
Positions are computed for any grid, so that images of whole 8-pixel patches keep their own resolution.

The network is reimplemented here. terratorch 1.2.11 includes both versions, but importing its modules sets torch's
float32 matrix products to "medium" precision for the whole process.

The published taps for multi-level decoders are those of the segmentation model released with version 1.0
(``feature_maps`` in ``configs/segment_chesapeake.yaml`` at tag v1.0), which reads the output of the final norm as a
fifth. The segmentation model of version 1.5 reads the last layer only.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights

# Name, wavelength in micrometres, ground sampling distance in metres, mean and standard deviation.
SENTINEL_2 = (
    ("b02", 0.493, 10.0, 1105.0, 1809.0),
    ("b03", 0.56, 10.0, 1355.0, 1757.0),
    ("b04", 0.665, 10.0, 1552.0, 1888.0),
    ("b05", 0.704, 20.0, 1887.0, 1870.0),
    ("b06", 0.74, 20.0, 2422.0, 1732.0),
    ("b07", 0.783, 20.0, 2630.0, 1697.0),
    ("b08", 0.842, 10.0, 2743.0, 1742.0),
    ("b8a", 0.865, 20.0, 2785.0, 1648.0),
    ("b11", 1.61, 20.0, 2388.0, 1470.0),
    ("b12", 2.19, 20.0, 1835.0, 1379.0),
)
SENTINEL_1_POWER = (("vv", 3.5, 10.0, 0.123273, 1.492154), ("vh", 4.0, 10.0, 0.027337, 0.122182))
SENTINEL_1_DB = (("vv", 3.5, 10.0, -12.113, 8.314), ("vh", 4.0, 10.0, -18.673, 8.017))
LANDSAT_COUNTS = (
    ("red", 0.65, 30.0, 13705.0, 9578.0),
    ("green", 0.56, 30.0, 13310.0, 9408.0),
    ("blue", 0.48, 30.0, 12474.0, 10144.0),
    ("nir", 0.86, 30.0, 17801.0, 8277.0),
    ("swir1", 1.6, 30.0, 14615.0, 5300.0),
    ("swir2", 2.2, 30.0, 12701.0, 4522.0),
)
# Collection 2 stores reflectance as (reflectance + 0.2) / 0.0000275.
LANDSAT = tuple(
    (name, wave, gsd, 0.275 * mean - 2000.0, 0.275 * deviation) for name, wave, gsd, mean, deviation in LANDSAT_COUNTS
)
NAIP = (
    ("red", 0.65, 1.0, 110.16, 47.23),
    ("green", 0.56, 1.0, 115.41, 39.82),
    ("blue", 0.48, 1.0, 98.15, 35.43),
    ("nir", 0.842, 1.0, 139.04, 49.86),
)
WAVELENGTHS = {
    f"{sensor}.{row[0]}": row[1]
    for sensor, rows in (("s2", SENTINEL_2), ("s1", SENTINEL_1_DB), ("landsat", LANDSAT), ("naip", NAIP))
    for row in rows
}
Rows = tuple[tuple[str, float, float, float, float], ...]
HEADS = {768: 12, 1024: 16}  # by width
REPOSITORY = "https://github.com/Clay-foundation/model"


def load_clay(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return Clay's encoder for `bands`, with the publishers' weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publishers' checkpoint, or None for random init; its decoder, its teacher and the projection onto
            the teacher's features are dropped.
        seed: of the random init.
        bands: any bands of the entry, in any order.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built, stacking_order
    from bench.networks.clay import ClayBackbone, ClayEncoder

    network = built(
        lambda: ClayEncoder(entry.width, entry.depth, HEADS[entry.width], entry.patch),
        weights,
        seed=seed,
        entry=entry.name,
        rename=encoder_key,
    )
    nominal = {band.name: band.gsd_m for band in entry.bands}
    return ClayBackbone(
        network,
        bands,
        wavelengths=[WAVELENGTHS[band.name] for band in stacking_order(bands)],
        gsd=min(band.gsd_m or nominal[band.name] or 10.0 for band in bands),
    )


def encoder_key(key: str) -> str | None:
    """Return the encoder's name for a key of a publishers' file, or None for a key of another part of the training."""
    if key.startswith("model.") and not key.startswith("model.encoder."):
        return None
    return key.removeprefix("model.encoder.")


def _bands(sensor: str, unit: str, rows: Rows) -> tuple[Band, ...]:
    return tuple(
        Band(name=f"{sensor}.{name}", unit=unit, wavelength_um=wave, gsd_m=gsd) for name, wave, gsd, _, _ in rows
    )


def _entry(
    version: str,
    *,
    radar: Rows,
    radar_unit: str,
    image_size: int,
    depth: int,
    width: int,
    parameters: int,
    weights: Weights,
    taps: tuple[str, ...] = (),
) -> ModelEntry:
    rows = (*SENTINEL_2, *radar, *LANDSAT, *NAIP)
    return ModelEntry(
        name=f"clay_{version}",
        origin="pretrained",
        objective="reconstruction",
        bands=(
            *_bands("s2", "dn", SENTINEL_2),
            *_bands("s1", radar_unit, radar),
            *_bands("landsat", "dn", LANDSAT),
            *_bands("naip", "uint8", NAIP),
        ),
        absent=("mask",),
        levels=("s2:L2A", "s1:RTC", "landsat:SR"),
        normalise=Normalise(kind="affine", shift=tuple(row[3] for row in rows), scale=tuple(row[4] for row in rows)),
        image_size=image_size,
        any_size=True,
        patch=8,
        depth=depth,
        width=width,
        parameters=parameters,
        weights=weights,
        taps=taps,
        trained_on=("clay-pretraining",),
        reference=f"Clay Foundation 2024, Clay Foundation Model {'1.0' if version == 'v1' else '1.5'}, {REPOSITORY}",
        load=load_clay,
    )


ENTRIES = (
    _entry(
        "v1",
        radar=SENTINEL_1_POWER,
        radar_unit="power",
        image_size=224,
        depth=12,
        width=768,
        parameters=92102144,
        taps=("block_4", "block_6", "block_8", "block_12"),
        weights=Weights(
            file="clay_v1/clay-v1-base.ckpt",
            url="https://huggingface.co/made-with-clay/Clay-legacy/resolve/main/v1/clay-v1-base.ckpt",
            licence="OpenRAIL-M",
            source="url from terratorch 1.2.11, clay_v1.embedder.default_cfgs; licence from the notes of release v1.0; "
            "no hash found stated",
        ),
    ),
    _entry(
        "v15",
        radar=SENTINEL_1_DB,
        radar_unit="db",
        image_size=256,
        depth=24,
        width=1024,
        parameters=311442944,
        weights=Weights(
            file="clay_v15/clay-v1.5.ckpt",
            url="https://huggingface.co/made-with-clay/Clay/resolve/70200ebcccdf67bf2a0cb9984c77ddee26c10ed2/v1.5/"
            "clay-v1.5.ckpt",
            sha256="21432069250b9b3f9a65ffd0071c5ad56b793247285ab0604edf7f531d4798d0",
            licence="Apache-2.0",
            source="url and licence from the repository's documentation; revision and sha256 as three public projects "
            "pin them",
        ),
    ),
)
