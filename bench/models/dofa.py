"""DOFA (Xiong et al. 2024, arXiv:2403.15356): a ViT whose patch embedding is generated from the bands' wavelengths.

The wavelengths of Sentinel-2 and RGB bands are those of the authors' examples. Radar has no optical wavelength:
Sentinel-1 bands enter at 3.75, the placeholder in the pretraining of this release; 5.405 belongs to DOFA v2 (torchgeo
issue 3931 and pull request 3942). Other bands enter at the wavelength that their suite declares; a band without one is
refused and gets no substitute.

Each band is standardised with the train statistics of the suite. Pretraining standardised each band with the statistics
of its own 8-bit archive (listed in the README: Sentinel-2 true colour as stretched by ESA, other bands divided by 8160,
radar amplitudes clipped to 255). Reflectance and dB cannot be mapped exactly to these scales, and none is listed for
further bands. In pretraining the network received mean 0 and standard deviation 1 in each band, and its authors
evaluate it in this way, with the statistics of each downstream dataset (xiong-zhitong/DOFA-pytorch,
``src/datasets/geobench_wrapper.py``). torchgeo's transform for these weights only crops and leaves normalisation to the
user.

The image vector is the mean over patch tokens. torchgeo's file has no final norm (torchgeo fits its own per task), so
the layers end at ``block_12``. Positions are fixed at 14 x 14 patches, so images are resized to 224 pixels.

The published taps for multi-level decoders are those of the authors' evaluations (xiong-zhitong/DOFA-pytorch,
``foundation_models/DOFA/models_dwv_seg.py``). An example published with the weights, for the base network only, has the
last block of each quarter instead (zhu-xlab/DOFA, ``downstream_tasks/segmentation/configs/dofa_vit_seg.py``).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.errors import Incompatible
from bench.core.sensors import rgb_bands, sentinel1_bands, sentinel2_bands

if TYPE_CHECKING:
    import torch

BANDS = (
    *sentinel2_bands("b04 b03 b02 b05 b06 b07 b08 b11 b12"),
    *(replace(band, wavelength_um=3.75) for band in sentinel1_bands()),
    *rgb_bands(1.0),
)
TAPS = {12: ("block_4", "block_6", "block_8", "block_12"), 24: ("block_8", "block_12", "block_16", "block_24")}
WAVELENGTHS = {band.name: band.wavelength_um for band in BANDS}


def wavelengths_of(bands: tuple[Band, ...]) -> list[float]:
    """Return the wavelength in micrometres at which each band enters, in the order of the channels of the network.

    Args:
        bands: see `load_dofa`.

    Raises:
        Incompatible: a band has no wavelength.
    """
    from bench.networks.backbones import stacking_order

    wavelengths = []
    for band in stacking_order(bands):
        wavelength = WAVELENGTHS.get(band.name) or band.wavelength_um
        if not wavelength:
            raise Incompatible(
                f"DOFA needs the wavelength of each band; {band.name} declares none. Leave it out with bands="
            )
        wavelengths.append(wavelength)
    return wavelengths


def load_dofa(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, size: str = "base"
) -> Backbone:
    """Return torchgeo's DOFA for `bands`, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: torchgeo's file, or None for random init.
        seed: of the random init.
        bands: any bands with a wavelength, in any order.
        size: ``base`` or ``large``.

    Raises:
        Incompatible: a band has no wavelength.
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.dofa import DOFABackbone

    wavelengths = wavelengths_of(bands)
    network = built(lambda: _network(size), weights, seed=seed, entry=entry.name)
    return DOFABackbone(network, bands, wavelengths=wavelengths)


def _network(size: str) -> torch.nn.Module:
    """Return DOFA as initialised for pretraining, without the parts for which torchgeo's file has no weights."""
    import torch
    from timm.layers import build_sincos2d_pos_embed
    from torchgeo.models import dofa_base_patch16_224, dofa_large_patch16_224

    network: Any = (dofa_large_patch16_224 if size == "large" else dofa_base_patch16_224)(num_classes=0)
    network.fc_norm = torch.nn.Identity()
    # torchgeo initialises both with zeros, to be filled from its files; a random twin needs positions.
    positions = build_sincos2d_pos_embed([14, 14], network.embed_dim, interleave_sin_cos=False)
    with torch.no_grad():
        network.pos_embed[0, 1:] = positions
        network.cls_token.normal_(std=0.02)
    return network  # type: ignore[no-any-return]


def _entry(size: str, depth: int, width: int, parameters: int, digits: str) -> ModelEntry:
    file = f"dofa_{size}_patch16_224-{digits}.pth"
    return ModelEntry(
        name=f"dofa_{size}",
        origin="pretrained",
        objective="reconstruction",
        bands=BANDS,
        any_bands=True,
        sensors=("s2", "s1", "rgb", "landsat", "hls", "naip"),
        absent=("mask",),
        normalise=Normalise(kind="dataset"),
        image_size=224,
        patch=16,
        depth=depth,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"dofa_{size}/{file}",
            url=f"https://huggingface.co/torchgeo/dofa/resolve/b8db318b64a90b9e085ec04ba8851233c5893666/{file}",
            sha256=digits,
            licence="CC-BY-4.0",
            source=f"torchgeo 0.8.1, DOFA{size.capitalize()}16_Weights.DOFA_MAE; hash starts with {digits} (file name)",
        ),
        taps=TAPS[depth],
        trained_on=("satlaspretrain", "five-billion-pixels", "hyspecnet-11k"),
        reference="Xiong et al. 2024, Neural Plasticity-Inspired Foundation Model for Observing the Earth Crossing "
        "Modalities, arXiv:2403.15356",
        load=partial(load_dofa, size=size),
    )


ENTRIES = (
    _entry("base", 12, 768, 111310592, "a0275954"),
    _entry("large", 24, 1024, 337103360, "0ff904d3"),
)
