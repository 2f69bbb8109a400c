"""Panopticon (Waldmann et al. 2025, arXiv:2503.10845): DINOv2 whose patch embedding attends over any set of channels.

Each channel is embedded separately, with an encoding of its wavelength in nanometres or, for radar, of its
polarisation; a cross-attention then merges the channels of a patch into one token. Sentinel-1, Sentinel-2 and Landsat
bands enter with the authors' identifiers (``dinov2/configs/data/satellites`` of Panopticon-FM/panopticon: the mean of
the spectral response of the band; radar by polarisation, with unknown orbit direction), true colour with those of the
example in their README, and other bands at the wavelength that their suite declares. A band without a wavelength is
refused.

Each band is standardised ("224x224 images with standard normal normalization", README) with the statistics of the
dataset at hand, as in the authors' evaluation. Images are resized to 224 pixels. The published positions are for a grid
of 37 x 37 patches, inherited from DINOv2. They are interpolated to 16 x 16 as in the authors' code (bicubic, with an
offset of 0.1 patches and without antialiasing), whereas torchgeo interpolates with antialiasing.

The image vector is the class token after the norm. Random twins have layer scales of 1: with 1e-5, from which
pretraining starts, every layer would equal the embedding.

The published taps are the layers that the authors' README uses for segmentation (``blk_indices`` 3 5 7 11, at 5ad7f82).
The authors' code applies the final norm to each of them; of all layers but the last, only the state before the norm can
be tapped.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.errors import Incompatible

if TYPE_CHECKING:
    import torch

# Wavelength in whole nanometres, as the network encodes it; radar channels have negative numbers.
CHANNELS = {
    "s2.b01": 442,
    "s2.b02": 492,
    "s2.b03": 559,
    "s2.b04": 664,
    "s2.b05": 704,
    "s2.b06": 740,
    "s2.b07": 782,
    "s2.b08": 827,
    "s2.b8a": 864,
    "s2.b09": 945,
    "s2.b10": 1373,
    "s2.b11": 1613,
    "s2.b12": 2203,
    "s1.vv": -1,
    "s1.vh": -2,
    "s1.hh": -3,
    "s1.hv": -4,
    "rgb.red": 664,
    "rgb.green": 559,
    "rgb.blue": 493,
    "landsat.coastal": 442,
    "landsat.blue": 482,
    "landsat.green": 560,
    "landsat.red": 654,
    "landsat.nir": 864,
    "landsat.swir1": 1608,
    "landsat.swir2": 2203,
    "landsat.pan": 596,
    "landsat.cirrus": 1374,
    "landsat.tirs1": 10847,
    "landsat.tirs2": 12017,
}
BANDS = tuple(
    Band(
        name=name,
        unit={"s1": "db", "rgb": "uint8"}.get(name.partition(".")[0], "dn"),
        wavelength_um=number / 1000 if number > 0 else None,
    )
    for name, number in CHANNELS.items()
    if not name.startswith("landsat.")
)


def channels_of(bands: tuple[Band, ...]) -> list[int]:
    """Return the number with which each band enters, in the order of the channels of the network.

    Args:
        bands: see `load_panopticon`.

    Raises:
        Incompatible: a band has neither such a number nor a wavelength.
    """
    from bench.networks.backbones import stacking_order

    numbers = []
    for band in stacking_order(bands):
        number = CHANNELS.get(band.name) or int(1000 * (band.wavelength_um or 0))
        if not number:
            raise Incompatible(
                f"Panopticon needs the wavelength of each band; {band.name} declares none. Leave it out with bands="
            )
        numbers.append(number)
    return numbers


def load_panopticon(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return torchgeo's Panopticon for `bands`, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publisher's file, or None for random init; its mask token is dropped.
        seed: of the random init.
        bands: any bands with a wavelength, and radar bands by polarisation, in any order.

    Raises:
        Incompatible: a band has no wavelength.
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.panopticon import PanopticonBackbone

    channels = channels_of(bands)
    network = built(
        _network,
        weights,
        seed=seed,
        entry=entry.name,
        rename=lambda key: None if key == "mask_token" else key,
    )
    return PanopticonBackbone(network, bands, channels=channels)


def _network() -> torch.nn.Module:
    """Return the network as initialised for pretraining, with the grid of positions of the file."""
    import torch
    from torchgeo.models import panopticon_vitb14

    network: Any = panopticon_vitb14(img_size=518).model
    with torch.no_grad():
        # torchgeo initialises positions with unit noise, to be filled from its file; training starts from these values.
        network.pos_embed.normal_(std=0.02)
        for block in network.blocks:
            block.ls1.gamma.fill_(1.0)
            block.ls2.gamma.fill_(1.0)
    return network  # type: ignore[no-any-return]


ENTRIES = (
    ModelEntry(
        name="panopticon_base",
        origin="pretrained",
        objective="joint-embedding",
        bands=BANDS,
        any_bands=True,
        sensors=("s2", "s1", "rgb", "landsat", "hls", "naip"),
        absent=("mask",),
        levels=("s2:L1C", "s2:L2A"),
        normalise=Normalise(kind="dataset"),
        image_size=224,
        patch=14,
        depth=12,
        width=768,
        parameters=98975232,
        weights=Weights(
            file="panopticon_base/panopticon_vitb14_teacher.pth",
            url="https://hf.co/lewaldm/panopticon/resolve/c8c2bb9555819e8b2bcedf5b3b00e3bf531554e7/"
            "panopticon_vitb14_teacher.pth",
            licence="CC-BY-4.0",
            source="torchgeo 0.8.1, Panopticon_Weights.VIT_BASE14; no hash stated; licence from the authors' README",
        ),
        taps=("block_4", "block_6", "block_8", "norm"),
        trained_on=("fmow", "fmow-sentinel", "satlaspretrain", "mmearth", "spectralearth", "lvd-142m"),
        reference="Waldmann et al. 2025, Panopticon: Advancing Any-Sensor Foundation Models for Earth Observation, "
        "arXiv:2503.10845",
        load=load_panopticon,
    ),
)
