"""Presto (Tseng et al. 2023, arXiv:2304.14065): a small encoder of a pixel's optical, radar and weather series.

Input as in the publishers' evaluation (nasaharvest/presto, ``presto/eval`` and ``presto/dataops``):

* Sentinel-1 in dB, Sentinel-2 as top-of-atmosphere reflectance x 10000, ERA5 as monthly mean temperature in kelvin and
  the month's mean of daily precipitation in metres (``era5.tp``), SRTM elevation in metres and slope in degrees,
  Dynamic World as a class 0..8 a date (``dw.class``, 9 where none is known: that date's token is then masked).
* Bands are shifted and divided by round numbers: dB by (x + 25) / 25, reflectance x 10000 by 10000, temperature by
  (x - 272.15) / 35 (sic), precipitation by 0.03, elevation by 2000, slope by 50. Nothing is clipped.
* NDVI is (b08 - b04) / (b08 + b04) of the values fed, 0 where both are 0. The publishers' evaluation computes it anew,
  and a suite does well to leave it to be derived: the last column of their fuel moisture file goes by that name, but
  holds (b07 - b03) / (b07 + b03).
* A band group that lacks any of its bands is masked as a whole.
* Terrain is one token, taken from the first date. Months count on from January where no date is known. The location
  token is left out where longitude and latitude are unknown, as the same authors do in their evaluation of Galileo.

``presto_worldcereal`` is its descendant, fine-tuned by WorldCereal on crops: the same network and normalisation
(``prometheo/models/presto`` of WorldCereal/prometheo), with positions for 72 dates instead of 24. Its authors feed it
surface reflectance and no land cover.

A vector is the mean over all visible tokens, location included; at ``norm`` it is normed after the mean, as published.
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

# Each band with what is subtracted from it and what it is then divided by.
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
    """Return Presto's encoder in evaluation mode, fed `bands`.

    Args:
        entry: one of `ENTRIES`.
        weights: the publisher's ``default_model.pt`` (its decoder is left aside); None for Xavier-uniform weights, as
            before pretraining.
        seed: of that random init.
        bands: in the order of ``entry.bands``.
        dates: the longest series there are positions for.

    Raises:
        Incompatible: no band group is complete.
        MissingWeights: see `bench.networks.checkpoints.load_state`.
    """
    import torch

    from bench.networks.checkpoints import load_state
    from bench.networks.presto import GROUPS, PrestoNetwork

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PrestoNetwork(width=entry.width, depth=entry.depth, heads=HEADS, bands=bands, dates=dates)
    if not network.visible and "dw.class" not in network.channels:
        groups = "; ".join(" ".join(members) for members in GROUPS.values())
        raise Incompatible(
            f"{entry.name} needs one of these groups whole: {groups}; "
            f"it is given {' '.join(band.name for band in bands)}"
        )
    if weights is not None:
        load_state(network, weights, entry=entry.name, prefix="encoder.", rename=_rename)
    return network.eval()


def _rename(key: str) -> str:
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
