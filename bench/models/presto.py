"""Presto (Tseng et al. 2023, arXiv:2304.14065): a small encoder of the optical, radar and weather series of a pixel.

The input is that of the publishers' evaluation (nasaharvest/presto, ``presto/eval`` and ``presto/dataops``):

* Sentinel-1 is in dB, Sentinel-2 is top-of-atmosphere reflectance x 10000, ERA5 gives the monthly mean temperature in
  kelvin and the monthly mean of daily precipitation in metres (``era5.tp``), SRTM gives elevation in metres and slope
  in degrees, and Dynamic World gives a class 0..8 per date (``dw.class``; 9 marks an unknown class, whose token is
  masked).
* Bands are shifted and divided by round numbers: dB by (x + 25) / 25, reflectance x 10000 by 10000, temperature by
  (x - 272.15) / 35 (sic), precipitation by 0.03, elevation by 2000, slope by 50. Nothing is clipped.
* NDVI is (b08 - b04) / (b08 + b04) of the values fed, and 0 where both are 0. The publishers' evaluation recomputes it,
  and a suite should leave it to be derived: the last column of their fuel moisture file has this name but holds
  (b07 - b03) / (b07 + b03).
* A band group that lacks any of its bands is masked as a whole.
* Terrain is one token, read from the first date. Unknown months are counted from January. The location token is left
  out where longitude and latitude are unknown, as in the same authors' evaluation of Galileo.

``presto_worldcereal`` derives from it: WorldCereal fine-tuned it on crops, with the same network and normalisation
(``prometheo/models/presto`` of WorldCereal/prometheo) and positions for 72 dates instead of 24. Its authors feed it
surface reflectance and no land cover.

The vector is the mean over all visible tokens, including the location; at ``norm`` the norm is applied after the mean,
as published.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.errors import Incompatible
from bench.core.sensors import SENTINEL2A, sentinel1_bands, sentinel2_bands

REPOSITORY = "https://github.com/nasaharvest/presto"
COMMIT = "13173d028f035abcbcc3b13829314323a5c15d02"
CEREAL = "5fb39695c4a897c5a97fda782b88e139180b5793"  # of WorldCereal/prometheo
HEADS = 8

# Each band with its normalisation: the value subtracted, then the value by which the result is divided.
FACTS: tuple[tuple[Band, float, float], ...] = (
    *((band, -25.0, 25.0) for band in sentinel1_bands()),
    *((band, 0.0, 1e4) for band in sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12", wavelengths=SENTINEL2A)),
    (Band(name="s2.ndvi", unit="index", gsd_m=10.0), 0.0, 1.0),
    (Band(name="era5.t2m", unit="kelvin"), 272.15, 35.0),
    (Band(name="era5.tp", unit="metre"), 0.0, 0.03),
    (Band(name="srtm.elevation", unit="metre", gsd_m=30.0), 0.0, 2000.0),
    (Band(name="srtm.slope", unit="degree", gsd_m=30.0), 0.0, 50.0),
    (Band(name="dw.class", unit="class", gsd_m=10.0), 0.0, 1.0),
)


def load_presto(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, dates: int) -> Backbone:
    """Return Presto's encoder for `bands`, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publisher's ``default_model.pt``, or None for Xavier-uniform weights, as before pretraining; its
            decoder is dropped.
        seed: of the random init.
        bands: in the order of ``entry.bands``.
        dates: the longest series with a position for each date.

    Raises:
        Incompatible: no band group is complete.
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.presto import GROUPS, PrestoNetwork

    network = built(
        lambda: PrestoNetwork(width=entry.width, depth=entry.depth, heads=HEADS, bands=bands, dates=dates),
        weights,
        seed=seed,
        entry=entry.name,
        rename=_rename,
        prefix="encoder.",
    )
    if not network.visible and "dw.class" not in network.channels:
        groups = "; ".join(" ".join(members) for members in GROUPS.values())
        raise Incompatible(
            f"{entry.name} needs all bands of one of these groups: {groups}; "
            f"it is given {' '.join(band.name for band in bands)}"
        )
    return network


def _rename(key: str) -> str:
    """Return the network's name for a key of the encoder in the file."""
    return "month_embed" if key == "month_embed.weight" else key


def _entry(
    name: str, dates: int, weights: Weights, *, parent: str = "", trained_on: tuple[str, ...], reference: str
) -> ModelEntry:
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="reconstruction",
        parent=parent,
        bands=tuple(band for band, _, _ in FACTS),
        absent=("mask",),
        levels=("s2:L2A",) if parent else ("s2:L1C",),
        normalise=Normalise(
            kind="affine",
            shift=tuple(shift for _, shift, _ in FACTS),
            scale=tuple(scale for _, _, scale in FACTS),
        ),
        image_size=1,
        patch=1,
        depth=2,
        width=128,
        temporal=True,
        parameters=402_240,
        weights=weights,
        trained_on=trained_on,
        reference=reference,
        load=partial(load_presto, dates=dates),
    )


PAPER = "Tseng et al. 2023, Lightweight, Pre-trained Transformers for Remote Sensing Timeseries, arXiv:2304.14065"
ENTRIES = (
    _entry(
        "presto",
        24,
        Weights(
            file="presto/default_model.pt",
            url=f"https://raw.githubusercontent.com/nasaharvest/presto/{COMMIT}/data/default_model.pt",
            sha256="559c9d76f525bdf2dd3774da8b1e7f1510769b73baacac12e9e4d8d5c67fbe65",
            size=3_321_716,
            licence="MIT",
            how="fetch data/default_model.pt of github.com/nasaharvest/presto",
            source=f"{REPOSITORY}/tree/{COMMIT}",
        ),
        trained_on=("presto-pretraining",),
        reference=PAPER,
    ),
    _entry(
        "presto_worldcereal",
        72,
        Weights(
            file="presto_worldcereal/finetuned_presto_model.pt",
            url=f"https://raw.githubusercontent.com/WorldCereal/prometheo/{CEREAL}/prometheo/data/"
            "finetuned_presto_model.pt",
            sha256="5c11407d84b7f622e415796d13e9790eb6d7c2545510041a64abf60bd4f138fc",
            size=1_647_786,
            licence="MIT",
            how="fetch prometheo/data/finetuned_presto_model.pt of github.com/WorldCereal/prometheo",
            source=f"https://github.com/WorldCereal/prometheo/tree/{CEREAL}",
        ),
        parent="presto",
        trained_on=("presto-pretraining", "worldcereal"),
        reference=f"{PAPER}; fine-tuned by WorldCereal (github.com/WorldCereal/prometheo)",
    ),
)
