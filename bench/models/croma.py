"""CROMA (Fuller et al. 2023, arXiv:2311.00566): a radar, an optical and a joint encoder, contrastive and masked.

Input is Sentinel-2 in 12 bands (without cirrus, b10) and Sentinel-1 in dB, whichever of them a suite has. With one
sensor, the layers are those of its encoder (12 blocks for s2, 6 for s1). With both sensors, they are the embedding and
the 12 blocks of the optical encoder, then the 6 blocks of the joint encoder as ``block_13`` to ``block_18``, then the
joint norm. `depth` below is that of the optical encoder; `parameters` counts the radar, optical and joint encoders.

Each band of each image is mapped from mean -/+ 2 standard deviations to 0..1 and clipped, as in SatMAE and SeCo, where
this is done per image. The example in the README of antofuller/CROMA computes the moments over the whole batch, which
would make the features of an image depend on the other images of its batch.

The network was pretrained at 120 pixels. Positions are ALiBi biases, which exist for other sizes: smaller images of
whole 8-pixel patches keep their own resolution.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import sentinel1_bands, sentinel2_bands

if TYPE_CHECKING:
    import torch

OPTICAL = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12")
BANDS = (*OPTICAL, *sentinel1_bands())


def parts_for(bands: tuple[Band, ...]) -> tuple[str, ...]:
    """Return the parts of the network that the sensors of `bands` need, by their names in the publisher's file."""
    sensors = {band.sensor for band in bands}
    if sensors == {"s1", "s2"}:
        return ("s1_encoder", "s2_encoder", "joint_encoder")
    return ("s2_encoder", "s2_GAP_FFN") if "s2" in sensors else ("s1_encoder", "s1_GAP_FFN")


def load_croma(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, size: str = "base"
) -> Backbone:
    """Return the parts of torchgeo's CROMA that the sensors of `bands` need, trained or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publisher's file or torchgeo's copy of it, or None for random init.
        seed: of the random init.
        bands: all bands of s2, of s1, or of both, in the order of `BANDS`.
        size: ``base`` or ``large``.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.croma import CROMABackbone

    parts = parts_for(bands)
    network = built(
        lambda: _network(parts, size),
        weights,
        seed=seed,
        entry=entry.name,
        # The other parts of the file belong to a sensor that is not given.
        rename=lambda key: key if key.split(".")[0] in parts else None,
    )
    return CROMABackbone(network, bands)


def _network(parts: tuple[str, ...], size: str) -> torch.nn.Module:
    from torchgeo.models import croma_base, croma_large

    modalities = [name for name, part in (("sar", "s1_encoder"), ("optical", "s2_encoder")) if part in parts]
    # torchgeo computes the attention bias for one image size in a slow loop; the backbone computes its own.
    network: Any = (croma_large if size == "large" else croma_base)(modalities=modalities, image_size=8)
    del network.attn_bias
    for name, _ in list(network.named_children()):
        if name not in parts:
            delattr(network, name)
    return network  # type: ignore[no-any-return]


def _entry(size: str, depth: int, width: int, parameters: int, commit: str, digits: str) -> ModelEntry:
    file = f"CROMA_{size}-{digits}.pt"
    return ModelEntry(
        name=f"croma_{size}",
        origin="pretrained",
        objective="multimodal",
        bands=BANDS,
        absent=("refuse", "mean", "zero", "nearest"),
        levels=("s2:L1C", "s2:L2A", "s1:GRD"),
        normalise=Normalise(kind="image_2sd", neutral=0.5),
        image_size=120,
        any_size=True,
        patch=8,
        depth=depth,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"croma_{size}/{file}",
            url=f"https://huggingface.co/torchgeo/croma/resolve/{commit}/{file}",
            sha256=digits,
            licence="CC-BY-4.0",
            source=f"torchgeo 0.8.1, CROMA{size.capitalize()}_Weights.CROMA_VIT; hash starts with {digits} (file name)",
        ),
        trained_on=("ssl4eo-s12",),
        reference="Fuller et al. 2023, CROMA: Remote Sensing Representations with Contrastive Radar-Optical Masked "
        "Autoencoders, arXiv:2311.00566",
        load=partial(load_croma, size=size),
    )


ENTRIES = (
    _entry("base", 12, 768, 184917504, "387883f08af79d777167519c57cd826eda89a16f", "0238d814"),
    _entry("large", 24, 1024, 655765504, "92cb1a0f4e34c6c01558baf070197c01255382f6", "921e69ad"),
)
