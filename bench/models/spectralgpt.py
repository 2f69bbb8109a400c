"""SpectralGPT (Hong et al. 2023, arXiv:2311.07113): a masked autoencoder whose tokens are 3 bands x 8 x 8 pixels.

Facts are from danfenghong/IEEE_TPAMI_SpectralGPT at 56d2c4d (README, ``util/datasets.py``, ``models_mae_spectral.py``,
``models_vit_tensor.py``). The input is Sentinel-2 in 12 bands (without cirrus, b10) in the order of the numbers of the
bands. ``spectralgpt_base`` was pretrained on fMoW-Sentinel at 96 pixels; ``spectralgpt_base.plus`` was trained further
on BigEarthNet at 128 pixels. Their positions are learned for that grid, so images are resized to its size.

Each band of each image is mapped from its own minimum and maximum to 0..1, as in pretraining and in the authors'
segmentation and change detection. The authors map BigEarthNet from mean -/+ 2 standard deviations of fMoW-Sentinel and
standardise EuroSAT with its own statistics.

Positions are those of pretraining: one code per place plus one per group of bands. (The authors' classification starts
from zeros instead, because its network has one code per token.) The image vector is the authors': the mean over all
tokens, and at ``norm`` the norm of that mean. They leave out the first token, where a class token would be if the
network had one; here it is included. A grid cell is the mean over the four groups of bands at its place. The authors'
segmentation learns the weights of that mean; concatenating the groups along the channels is the alternative.

The licence is that of the README of the repository.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import sentinel2_bands
from bench.networks.from_timm import without

BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12")


def load_spectralgpt(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return SpectralGPT's encoder, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publisher's file, or None for random init; the decoder is dropped.
        seed: of the random init.
        bands: `BANDS`, in that order.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.spectralgpt import SpectralBackbone, SpectralViT

    network = built(
        lambda: SpectralViT(
            side=entry.image_size, patch=entry.patch, bands=len(bands), width=entry.width, depth=entry.depth
        ),
        weights,
        seed=seed,
        entry=entry.name,
        rename=without("decoder_", "mask_token"),
    )
    return SpectralBackbone(network, bands, patch=entry.patch)


def _entry(
    name: str, *, side: int, parameters: int, levels: tuple[str, ...], trained_on: tuple[str, ...]
) -> ModelEntry:
    file = "SpectralGPT+.pth" if name.endswith(".plus") else "SpectralGPT.pth"
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="reconstruction",
        bands=BANDS,
        normalise=Normalise(kind="image_minmax", neutral=0.5),
        absent=("refuse", "mean", "nearest"),
        levels=levels,
        image_size=side,
        patch=8,
        depth=12,
        width=768,
        parameters=parameters,
        weights=Weights(
            file=f"{name}/{file}",
            url=f"https://zenodo.org/records/8412455/files/{file}?download=1",
            licence="GPL-3.0-only",
            how=f"fetch {file} of zenodo.org/records/8412455",
            source="url and licence from the README of danfenghong/IEEE_TPAMI_SpectralGPT; no hash stated",
        ),
        trained_on=trained_on,
        reference="Hong et al. 2023, SpectralGPT: Spectral Remote Sensing Foundation Model, arXiv:2311.07113",
        load=load_spectralgpt,
    )


ENTRIES = (
    _entry("spectralgpt_base", side=96, parameters=85317888, levels=("s2:L1C",), trained_on=("fmow-sentinel",)),
    _entry(
        "spectralgpt_base.plus",
        side=128,
        parameters=85403904,
        levels=("s2:L1C", "s2:L2A"),
        trained_on=("fmow-sentinel", "bigearthnet"),
    ),
)
