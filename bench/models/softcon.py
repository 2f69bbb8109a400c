"""SoftCon (Wang et al. 2024, arXiv:2405.20462): soft contrastive learning with land cover labels, from DINO weights.

The input is Sentinel-2 level 1C in all 13 bands as reflectance x 10000, or Sentinel-1 VV and VH in dB. Each band is
mapped from mean -/+ 2 standard deviations of SSL4EO-S12 to 0..1 and clipped (``normalize`` in the README of
zhu-xlab/softcon, which also rounds to 8 bits; statistics from torchgeo's ``_ssl4eo_s12_transforms_s2_stats``, whose
standardisation equals that map up to scale and offset).

The ViTs are those of DINOv2 with patches of 14 pixels at 224 pixels; files and names are torchgeo's. The image vector
is the class token of a ViT (which the encoder in the README returns) and the mean over the last grid of a ResNet.
"""

from __future__ import annotations

from functools import partial

from bench.core import ModelEntry, Normalise, Weights
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from bench.networks.from_timm import load_resnet, load_vit

VITS = "https://huggingface.co/wangyi111/softcon/resolve/bae909781911f8ec034b4b959992fae17b973c0c"
RESNETS = "https://huggingface.co/wangyi111/softcon/resolve/62ff465b2e7467dbfc70758ec1e9d08ab87fc46b"
# Mean and standard deviation over SSL4EO-S12.
OPTICAL = {
    "b01": (1612.9, 791.0),
    "b02": (1397.6, 854.3),
    "b03": (1322.3, 878.7),
    "b04": (1373.1, 1144.9),
    "b05": (1561.0, 1127.5),
    "b06": (2108.4, 1164.2),
    "b07": (2390.7, 1276.0),
    "b08": (2318.7, 1249.5),
    "b8a": (2581.0, 1345.9),
    "b09": (837.7, 577.5),
    "b10": (22.0, 47.5),
    "b11": (2195.2, 1340.0),
    "b12": (1537.4, 1142.9),
}
RADAR = {"vv": (-12.59, 5.26), "vh": (-20.26, 5.91)}
# Patch, depth, width, parameters without the first layer, parameters of the first layer per band.
NETWORKS = {
    "small": (14, 12, 384, 21403008, 75264),
    "base": (14, 12, 768, 85273344, 150528),
    "resnet50": (32, 4, 2048, 23498624, 3136),
}


def _entry(size: str, sensor: str) -> ModelEntry:
    facts = RADAR if sensor == "s1" else OPTICAL
    patch, depth, width, rest, first = NETWORKS[size]
    name = f"softcon_{size}" + (".s1" if sensor == "s1" else "")
    short = "rn50_softcon" if size == "resnet50" else f"vit{size[0]}14_softcon_enc"
    file = f"B{len(facts)}_{short}.pth"
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="joint-embedding",
        bands=sentinel1_bands() if sensor == "s1" else sentinel2_bands(" ".join(OPTICAL)),
        absent=("refuse", "mean", "zero", "nearest"),
        levels=("s1:GRD",) if sensor == "s1" else ("s2:L1C",),
        normalise=Normalise(
            kind="affine",
            shift=tuple(mean - 2 * spread for mean, spread in facts.values()),
            scale=tuple(4 * spread for _, spread in facts.values()),
            clip=(0.0, 1.0),
            neutral=0.5,
        ),
        image_size=224,
        patch=patch,
        depth=depth,
        width=width,
        parameters=rest + first * len(facts),
        weights=Weights(
            file=f"{name}/{file}",
            url=f"{RESNETS if size == 'resnet50' else VITS}/{file}",
            licence="Apache-2.0",
            source=f"torchgeo 0.8.1, {'SENTINEL1_GRD' if sensor == 's1' else 'SENTINEL2_ALL'}_SOFTCON; no hash stated",
        ),
        trained_on=("ssl4eo-s12", "ssl4eo-s12-ml"),
        reference="Wang et al. 2024, Multi-Label Guided Soft Contrastive Learning, arXiv:2405.20462",
        load=partial(load_resnet, name=size)
        if size == "resnet50"
        else partial(load_vit, name=f"vit_{size}_patch14_dinov2", img_size=224),
    )


ENTRIES = tuple(_entry(size, sensor) for size in NETWORKS for sensor in ("s2", "s1"))
