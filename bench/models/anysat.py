"""AnySat (Astruc et al. 2024, arXiv:2412.14123): one network for series of any sensor, resolution and extent.

Two of its eleven sensors are supported: Sentinel-2 in 10 bands, and Sentinel-1 as VV and VH (the publisher's
``s1-asc``; its ``s1`` also has their ratio). Each input band is standardised with the statistics of the dataset at
hand, "as (data - mean) / std" (README of gastruc/AnySat), as was each of its pretraining datasets. Dates enter as days
of the year; an image of unknown date has day 0, as in the authors' evaluations (``src/data/So2Sat.py``).

A patch has 4 pixels of 10 metres on each side, the smallest patch into which large tiles were cut in pretraining. An
image of 128 pixels then has 1024 patches, which the authors advise not to exceed. Smaller images keep their own size.

The blocks are the 6 of the spatial transformer, which encodes the pixels of a patch, the 6 over patches, and the cross
block, which merges the tokens at a place into one. The image vector is the class token of the tile, which exists from
``block_7`` on. For segmentation the authors use the last grid together with each pixel's token after ``block_6``.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import sentinel1_bands, sentinel2_bands

BANDS = (*sentinel2_bands("b02 b03 b04 b05 b06 b07 b08 b8a b11 b12"), *sentinel1_bands())


def load_anysat(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return AnySat base for `bands`, with patches of ``entry.patch`` pixels.

    Args:
        entry: one of `ENTRIES`, its random twin, or a copy with another ``patch``.
        weights: the publisher's file, or None for random init; the parts for other sensors are dropped.
        seed: of the random init.
        bands: all bands of s2, of s1, or of both, in the order of `BANDS`.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.anysat import AnySatBackbone, AnySatNetwork
    from bench.networks.backbones import built

    network = built(
        lambda: AnySatNetwork(entry.width, depth=6, heads=12), weights, seed=seed, entry=entry.name, rename=_rename
    )
    return AnySatBackbone(network, bands, patch=entry.patch)


def _rename(key: str) -> str | None:
    """Return the key, or None for a part of another sensor and for the value that fills masked pixels."""
    kept = key.startswith(("projector_s2.", "projector_s1-asc.")) and not key.endswith("pad_parameter")
    return key if kept or not key.startswith("projector_") else None


ENTRIES = (
    ModelEntry(
        name="anysat_base",
        origin="pretrained",
        objective="joint-embedding",
        bands=BANDS,
        absent=("refuse", "mean", "zero", "nearest"),
        normalise=Normalise(kind="dataset"),
        image_size=128,
        any_size=True,
        patch=4,
        depth=13,
        width=768,
        temporal=True,
        parameters=98349760,
        weights=Weights(
            file="anysat_base/AnySat.pth",
            url="https://huggingface.co/g-astruc/AnySat/resolve/main/models/AnySat.pth",
            licence="MIT",
            source="hubconf.py of github.com/gastruc/AnySat; no hash stated",
        ),
        trained_on=("treesatai", "pastis", "flair", "planted", "s2naip"),
        reference="Astruc et al. 2024, AnySat: An Earth Observation Model for Any Resolutions, Scales, and Modalities, "
        "arXiv:2412.14123",
        load=load_anysat,
    ),
)
