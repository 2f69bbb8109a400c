"""SatlasPretrain (Bastani et al. 2023, arXiv:2211.15660): backbones trained on 302 million labels of 137 kinds.

Sentinel-2 is level 1C. Its true colour is ESA's 8-bit picture (reflectance 0..0.3558 as 0..255, Sentinel-2 Products
Specification Document) divided by 255; the other bands are reflectance x 10000 divided by 8160 and clipped to 0..1
(Normalization.md of allenai/satlas; order and divisors also in torchgeo's ``_satlas_sentinel2_transforms``). Aerial
photographs of 8 bits are divided by 255. The networks are those for single images; those for several images have the
same architectures and were trained to be pooled by the maximum over dates. The radar and Landsat networks are not
supported: their 8-bit and 16-bit scales cannot be computed from dB and reflectance.

Files and networks are torchgeo's: torchvision's Swin v2, whose layers are its patch embedding, every block and the
final norm, and timm's ResNets. The image vector is the mean over the grid of the last layer. The networks were trained
on crops of 512 pixels and take any multiple of 32; 256 is torchgeo's crop.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands, sentinel2_bands
from bench.networks.from_timm import load_resnet, without

FOLDER = "https://huggingface.co/torchgeo/satlas/resolve/081d6607431bf36bdb59c223777cbb267131b8f2"
PICTURE = 3558.0  # reflectance x 10000 that ESA's true-colour picture shows as white
S2 = sentinel2_bands("b04 b03 b02 b05 b06 b07 b08 b11 b12")
AERIAL = rgb_bands()
# Name in torchvision or timm, depth, width, parameters without the first layer, parameters of the first layer per band.
NETWORKS: dict[str, tuple[str, int, int, int, int]] = {
    "swin_tiny": ("swin_v2_t", 12, 768, 27577962, 1536),
    "swin_base": ("swin_v2_b", 24, 1024, 86899704, 2048),
    "resnet50": ("resnet50", 4, 2048, 23498624, 3136),
    "resnet152": ("resnet152", 4, 2048, 58134400, 3136),
}


def load_swin(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, name: str) -> Backbone:
    """Return torchvision's Swin v2, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: torchgeo's file, or None for random init; its classification head is dropped.
        seed: of the random init.
        bands: the bands that the patch embedding takes, in order.
        name: of the architecture in torchvision.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    import torch
    import torchvision

    from bench.networks.backbones import built
    from bench.networks.pyramid import torchvision_swin

    def build() -> Any:
        network = getattr(torchvision.models, name)(weights=None)
        network.head = torch.nn.Identity()
        first = network.features[0][0]
        network.features[0][0] = torch.nn.Conv2d(len(bands), first.out_channels, kernel_size=4, stride=4)
        return network

    network = built(
        build,
        weights,
        seed=seed,
        entry=entry.name,
        rename=without("head."),
        plain_norm="norm",
    )
    return torchvision_swin(network, bands)


def _entry(size: str, kind: str, digits: str) -> ModelEntry:
    """Return an entry of multispectral (``""``), ``rgb`` or ``aerial`` images; `digits` start the hash of its file."""
    architecture, depth, width, rest, first = NETWORKS[size]
    bands = {"": S2, "rgb": S2[:3], "aerial": AERIAL}[kind]
    short = size.replace("swin_tiny", "swint").replace("swin_base", "swinb")
    file = (
        f"aerial_{short}_si-{digits}.pth" if kind == "aerial" else f"sentinel2_{short}_si_{kind or 'ms'}-{digits}.pth"
    )
    name = f"satlas_{size}" + (f".{kind}" if kind else "")
    white = 255.0 if kind == "aerial" else PICTURE
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="supervised",
        bands=bands,
        absent=("refuse", "zero", "nearest"),
        levels=() if kind == "aerial" else ("s2:L1C",),
        normalise=Normalise(
            kind="affine",
            shift=(0.0,) * len(bands),
            scale=(*(white,) * 3, *(8160.0,) * (len(bands) - 3)),
            clip=(0.0, 1.0),
        ),
        image_size=256,
        patch=32,
        depth=depth,
        width=width,
        parameters=rest + first * len(bands),
        weights=Weights(
            file=f"{name}/{file}",
            url=f"{FOLDER}/{file}",
            sha256=digits,
            licence="ODC-By-1.0",
            source=f"torchgeo 0.8.1, {architecture} weights; hash starts with {digits} (file name)",
        ),
        trained_on=("satlaspretrain",),
        reference="Bastani et al. 2023, SatlasPretrain, arXiv:2211.15660",
        load=partial(load_resnet if size.startswith("resnet") else load_swin, name=architecture),
    )


ENTRIES = (
    _entry("swin_tiny", "", "bc68e396"),
    _entry("swin_tiny", "rgb", "0c1a96e0"),
    _entry("swin_base", "", "fe22a12c"),
    _entry("swin_base", "rgb", "156a98d5"),
    _entry("swin_base", "aerial", "e4169eb1"),
    _entry("resnet50", "", "1f454cc6"),
    _entry("resnet50", "rgb", "45fc6972"),
    _entry("resnet152", "", "4500c6cb"),
    _entry("resnet152", "rgb", "f4d24c3c"),
)
