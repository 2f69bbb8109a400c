"""Copernicus-FM (Wang et al. 2025, arXiv:2503.11849): a ViT whose patch embedding is generated from the bands' spectra.

Each band enters by centre wavelength and bandwidth. The network is also given longitude and latitude, date, and the
area of a patch on the ground; a learned token replaces what is unknown for an image. Its second mode, in which
variables enter by their names in words, is not supported.

Bands, wavelengths, bandwidths and moments are those of pretraining (``Copernicus-FM/src/engine_pretrain.py`` and
``main_pretrain.py`` of zhu-xlab/Copernicus-FM): Sentinel-2 level 1C as reflectance x 10000 and Sentinel-1 in dB, each
standardised. Bands on which it was not trained are reflectance too, and enter with the moments of the nearest band of
Sentinel-2. True-colour previews and harmonised Landsat-Sentinel enter as the corresponding bands of Sentinel-2, Landsat
with the centres and widths of its Operational Land Imager as published by USGS.

Images are resized to 224 pixels and cut into patches of 16, as the authors do for Sentinel-1 and Sentinel-2. The image
vector is the mean over patch tokens. The file has no final norm (the authors fit one per task), so the layers end at
``block_12``. The published taps for multi-level decoders are those of the authors' benchmark (``Copernicus-Bench/src/
foundation_models/CopernicusFM/models_dwv_seg.py`` of the same repository at da95635).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights

if TYPE_CHECKING:
    import torch

# Sentinel-2: wavelength and bandwidth in nanometres, mean and standard deviation of pretraining.
SENTINEL2 = {
    "b01": (440.0, 20.0, 1612.9, 791.0),
    "b02": (490.0, 65.0, 1397.6, 854.3),
    "b03": (560.0, 35.0, 1322.3, 878.7),
    "b04": (665.0, 30.0, 1373.1, 1144.9),
    "b05": (705.0, 15.0, 1561.0, 1127.5),
    "b06": (740.0, 15.0, 2108.4, 1164.2),
    "b07": (783.0, 20.0, 2390.7, 1276.0),
    "b08": (842.0, 115.0, 2318.7, 1249.5),
    "b8a": (860.0, 20.0, 2581.0, 1345.9),
    "b09": (940.0, 20.0, 837.7, 577.5),
    "b10": (1370.0, 30.0, 22.0, 47.5),
    "b11": (1610.0, 90.0, 2195.2, 1340.0),
    "b12": (2190.0, 180.0, 1537.4, 1142.9),
}
GSD = {"b01": 60.0, "b02": 10.0, "b03": 10.0, "b04": 10.0, "b08": 10.0, "b09": 60.0, "b10": 60.0}
RADAR = {"s1.vv": (5e7, 1e9, -12.59, 5.26), "s1.vh": (5e7, 1e9, -20.26, 5.91)}
# Bands of other sensors that count as a Sentinel-2 band.
SAME = {
    "rgb.red": "b04",
    "rgb.green": "b03",
    "rgb.blue": "b02",
    "hls.blue": "b02",
    "hls.green": "b03",
    "hls.red": "b04",
    "hls.nir": "b8a",
    "hls.swir1": "b11",
    "hls.swir2": "b12",
}
# Landsat: wavelength and bandwidth in nanometres, and the nearest Sentinel-2 band.
LANDSAT = {
    "landsat.coastal": (443.0, 16.0, "b01"),
    "landsat.blue": (482.0, 60.0, "b02"),
    "landsat.green": (561.5, 57.0, "b03"),
    "landsat.red": (654.5, 37.0, "b04"),
    "landsat.nir": (865.0, 28.0, "b8a"),
    "landsat.swir1": (1608.5, 85.0, "b11"),
    "landsat.swir2": (2200.5, 187.0, "b12"),
    "landsat.pan": (589.5, 173.0, "b03"),
    "landsat.cirrus": (1373.5, 21.0, "b10"),
}
SPECTRA = {
    **{f"s2.{name}": facts for name, facts in SENTINEL2.items()},
    **RADAR,
    **{name: SENTINEL2[other] for name, other in SAME.items()},
    **{name: (centre, width, *SENTINEL2[other][2:]) for name, (centre, width, other) in LANDSAT.items()},
}
BANDS = tuple(
    Band(
        name=name,
        unit="db" if name in RADAR else "dn",
        wavelength_um=None if name in RADAR else centre / 1000,
        gsd_m={"s2": GSD.get(name[3:], 20.0), "s1": 10.0, "hls": 30.0, "landsat": 30.0}.get(name.partition(".")[0]),
    )
    for name, (centre, *_) in SPECTRA.items()
)


def load_copernicusfm(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return torchgeo's Copernicus-FM base for `bands`, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the file of torchgeo or of the authors, or None for random init; the patch embedding for variables is
            dropped.
        seed: of the random init.
        bands: any of `BANDS`, in any order. The network is given the area of a patch if all bands state the same ground
            sampling distance, which then is that of the pixels as fed.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built, stacking_order
    from bench.networks.copernicusfm import CopernicusFMBackbone

    network = built(
        _network,
        weights,
        seed=seed,
        entry=entry.name,
        rename=lambda key: None if key.startswith("patch_embed_variable.") else key,
    )
    spectra = [SPECTRA[band.name] for band in stacking_order(bands)]
    gsds = {band.gsd_m for band in bands}
    gsd = gsds.pop() if len(gsds) == 1 else None
    return CopernicusFMBackbone(
        network,
        bands,
        wavelengths=[centre for centre, *_ in spectra],
        bandwidths=[width for _, width, *_ in spectra],
        area=(entry.patch * gsd / 1000) ** 2 if gsd else float("nan"),
    )


def _network() -> torch.nn.Module:
    """Return Copernicus-FM base as initialised for pretraining, without the parts that neither entry nor file uses."""
    import torch
    from timm.layers import build_sincos2d_pos_embed
    from torchgeo.models import copernicusfm_base

    # The authors' norms use a smaller epsilon than torchgeo's.
    network: Any = copernicusfm_base(num_classes=0, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6))
    network.fc_norm = torch.nn.Identity()
    del network.patch_embed_variable
    # torchgeo initialises these with zeros, to be filled from its file; a random twin needs positions and tokens.
    positions = build_sincos2d_pos_embed([14, 14], network.pos_embed.shape[-1], interleave_sin_cos=False)
    with torch.no_grad():
        network.pos_embed[0, 1:] = positions
        for token in (network.cls_token, network.coord_token, network.scale_token, network.time_token):
            token.normal_(std=0.02)
    return network  # type: ignore[no-any-return]


ENTRIES = (
    ModelEntry(
        name="copernicusfm_base",
        origin="pretrained",
        objective="multimodal",
        bands=BANDS,
        any_bands=True,
        sensors=("s2", "s1", "rgb", "hls", "landsat"),
        absent=("mask",),
        levels=("s2:L1C", "s1:GRD"),
        normalise=Normalise(
            kind="affine",
            shift=tuple(mean for _, _, mean, _ in SPECTRA.values()),
            scale=tuple(deviation for *_, deviation in SPECTRA.values()),
        ),
        image_size=224,
        patch=16,
        depth=12,
        width=768,
        parameters=113084672,
        weights=Weights(
            file="copernicusfm_base/CopernicusFM_ViT_base_varlang-085350e4.pth",
            url="https://huggingface.co/torchgeo/copernicus-fm/resolve/f395812cc990ba25a451dbb9c9e6d95c8482947e/"
            "CopernicusFM_ViT_base_varlang-085350e4.pth",
            sha256="085350e4",
            licence="CC-BY-4.0",
            source="url from torchgeo 0.8.1, CopernicusFM_Base_Weights.CopernicusFM_ViT; sha256 starts with 085350e4; "
            "licence from the authors' README",
        ),
        taps=("block_4", "block_6", "block_8", "block_12"),
        trained_on=("copernicus-pretrain",),
        reference="Wang et al. 2025, Towards a Unified Copernicus Foundation Model for Earth Vision, arXiv:2503.11849",
        load=load_copernicusfm,
    ),
)
