"""Galileo (Tseng et al. 2025, arXiv:2502.09356): one encoder for optical, radar, terrain and weather series.

The input is that of the publishers' evaluation of frozen features (nasaharvest/galileo, ``eval.py`` and ``src/eval``):

* Sentinel-2 is top-of-atmosphere reflectance x 10000 without the offset of 2022 (COPERNICUS/S2_HARMONIZED), Sentinel-1
  is in dB, ERA5-Land gives monthly mean temperature and the monthly *sum* of precipitation in metres (``era5.tp_sum``;
  the mean of daily precipitation is a different quantity, thirty times smaller), SRTM gives elevation and slope.
* Each band is mapped from its mean -/+ 2 standard deviations in pretraining to 0..1, without clipping. NDVI is computed
  from the raw values and not normalised.
* A channel group is visible if its first band is given; other bands of the group that are absent enter as raw zeros.
  Otherwise the group is masked. This is the rule of the publishers' CropHarvest evaluation, which feeds temperature
  without precipitation. (The NDVI of Sentinel-2 is visible in it too; their evaluations on images mask it.)
* An unknown month counts as July. The location token is visible where longitude and latitude are known.
* Positions are in metres; a pixel counts as 10 m.

The Dynamic World, WorldCereal, TerraClimate, VIIRS and LandScan inputs of pretraining are always masked here.

The vector is the mean over all visible tokens, a grid cell the mean over the dates and channel groups at its place.
Both use the tokens as they leave a block, and at ``norm`` the tokens after the norm.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.errors import Incompatible
from bench.core.sensors import SENTINEL2A, sentinel1_bands, sentinel2_bands

REFERENCE = (
    "Tseng et al. 2025, Galileo: Learning Global and Local Features in Pretrained Remote Sensing Models, "
    "arXiv:2502.09356"
)
REPOSITORY = "https://github.com/nasaharvest/galileo"
COMMIT = "0f0b5b95ac81acef4b74cf4686dc877202f4541b"
HUB = "https://huggingface.co/nasaharvest/galileo/resolve/main/models"

BANDS = (
    *sentinel1_bands(),
    *sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12", wavelengths=SENTINEL2A),
    Band(name="s2.ndvi", unit="index", gsd_m=10.0),
    Band(name="era5.t2m", unit="kelvin"),
    Band(name="era5.tp_sum", unit="metre"),
    Band(name="srtm.elevation", unit="metre", gsd_m=30.0),
    Band(name="srtm.slope", unit="degree", gsd_m=30.0),
)
# Mean and standard deviation over the pretraining data, from config/normalization.json of the repository.
STATISTICS = {
    "s1.vv": (-11.728724389184965, 4.887145774840316),
    "s1.vh": (-18.85558188024017, 5.730270320384293),
    "s2.b02": (1395.3408730676722, 917.7041440370853),
    "s2.b03": (1338.4026921784578, 913.2988423581528),
    "s2.b04": (1343.09883810357, 1092.678723527555),
    "s2.b05": (1543.8607982512297, 1047.2206083460424),
    "s2.b06": (2186.2022069512263, 1048.0101611156767),
    "s2.b07": (2525.0932853316694, 1143.6903026819996),
    "s2.b08": (2410.3377187373408, 1098.979177731649),
    "s2.b8a": (2750.2854646886753, 1204.472755085893),
    "s2.b11": (2234.911100061487, 1145.9774063078878),
    "s2.b12": (1474.5311266077113, 980.2429840007796),
    "era5.t2m": (271.5674963541667, 79.80828940314429),
    "era5.tp_sum": (0.08554303677156568, 0.11669547098151486),
    "srtm.elevation": (673.0152819503361, 983.0697298296237),
    "srtm.slope": (5.930092668915115, 8.167406789813247),
}
HEADS = {128: 8, 192: 3, 768: 12}  # by width, as in config/models of the repository


def _normalise() -> Normalise:
    """Return the map from mean -/+ 2 standard deviations to 0..1, which leaves NDVI unchanged."""
    pairs = [
        (mean - 2 * deviation, 4 * deviation)
        for mean, deviation in (STATISTICS.get(band.name, (0.5, 0.25)) for band in BANDS)
    ]
    return Normalise(kind="affine", shift=tuple(shift for shift, _ in pairs), scale=tuple(scale for _, scale in pairs))


def load_galileo(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return a Galileo encoder for `bands`, with patches of ``entry.patch`` pixels.

    Args:
        entry: one of `ENTRIES`, its random twin, or a copy with another ``patch`` of 1 to 8 pixels.
        weights: the publisher's ``encoder.pt``, or None for Xavier-uniform weights, as before pretraining.
        seed: of the random init.
        bands: in the order of ``entry.bands``.

    Raises:
        Incompatible: the bands make no channel group visible that has a position in space.
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.galileo import SPACE, SPACE_TIME, GalileoNetwork

    normalisation = zip(entry.bands, entry.normalise.shift, entry.normalise.scale, strict=True)
    raw_zeros = {band.name: -shift / scale for band, shift, scale in normalisation}
    network = built(
        lambda: GalileoNetwork(
            width=entry.width, depth=entry.depth, heads=HEADS[entry.width], bands=bands, absent=raw_zeros
        ),
        weights,
        seed=seed,
        entry=entry.name,
        rename=_rename,
    )
    if not any(group in network.sources for group in (*SPACE_TIME, *SPACE)):
        first = [members[0] for members in (*SPACE_TIME.values(), SPACE["SRTM"])]
        raise Incompatible(
            f"{entry.name} needs one of {' '.join(first)}; it is given {' '.join(band.name for band in bands)}"
        )
    network.resize_patches(entry.patch)
    return network


def _rename(key: str) -> str:
    """Return the network's name for a key of the file; some files have ``.backbone`` in their keys."""
    key = key.replace(".backbone", "").replace("month_embed.weight", "month_embed")
    return key.replace(".proj.", ".") if "_embed." in key else key


def _entry(size: str, *, depth: int, width: int, parameters: int, weights: Weights) -> ModelEntry:
    return ModelEntry(
        name=f"galileo_{size}",
        origin="pretrained",
        objective="multimodal",
        bands=BANDS,
        absent=("mask",),
        normalise=_normalise(),
        image_size=96,
        any_size=True,
        patch=8,
        depth=depth,
        width=width,
        temporal=True,
        parameters=parameters,
        weights=weights,
        trained_on=("galileo-pretraining",),
        reference=REFERENCE,
        load=load_galileo,
    )


def _on_hub(size: str) -> Weights:
    return Weights(
        file=f"galileo_{size}/encoder.pt",
        url=f"{HUB}/{size}/encoder.pt",
        licence="MIT",
        how=f"fetch models/{size}/encoder.pt of huggingface.co/nasaharvest/galileo",
        source=f"{REPOSITORY} (README, Dockerfile)",
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        "nano",
        depth=4,
        width=128,
        parameters=1_036_704,
        weights=Weights(
            file="galileo_nano/encoder.pt",
            url=f"https://raw.githubusercontent.com/nasaharvest/galileo/{COMMIT}/data/models/nano/encoder.pt",
            sha256="eab6acacf527886a508a555bc24efe4b4a2cf91b162e84cd1c4a1807e942180c",
            size=4_189_406,
            licence="MIT",
            how="fetch data/models/nano/encoder.pt of github.com/nasaharvest/galileo",
            source=f"{REPOSITORY}/tree/{COMMIT}",
        ),
    ),
    _entry("tiny", depth=12, width=192, parameters=5_703_792, weights=_on_hub("tiny")),
    _entry("base", depth=12, width=768, parameters=86_516_160, weights=_on_hub("base")),
)
