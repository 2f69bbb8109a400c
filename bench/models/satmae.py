"""SatMAE (Cong et al. 2022, arXiv:2207.08051) and SatMAE++ (Noman et al. 2024, arXiv:2403.05419): masked autoencoders.

There are three encoders of SatMAE and two of SatMAE++, which adds a loss at larger scales and keeps the encoders. Facts
are from sustainlab-group/SatMAE at e31c11f (``util/datasets.py``, ``models_mae*.py``, ``models_vit*.py``, README) and
techmn/satmae_pp at ee173bf, whose statistics, groups and encoders are the same.

* ``rgb``: one photograph of fMoW at 224 pixels, with patches of 16, standardised with mean and standard deviation of
  fMoW. The network is timm's ViT.
* ``s2``: Sentinel-2 of fMoW-Sentinel without b01, b09 and b10 at 96 pixels, with patches of 8. Each band is mapped from
  mean -/+ 2 standard deviations to 0..1 and clipped (the authors also round to 8 bits, which is left out here). The
  paper describes the images as surface reflectance, but they have a cirrus band, whose statistics are those of
  top-of-atmosphere products: level 1C. A token stands for one of three channel groups at one patch.
* ``temporal``: three photographs of one place at 224 pixels, with patches of 16, and the year, month and hour of each.
  Samples here have no hour. Its code is the mean over the day, as the code of an unknown year or month is the mean over
  2002..2017 or over the year. The authors pick two further dates at random; here they are the middle and the last date
  of a series.

The image vector is the mean over patch tokens, the authors' default (``--global_pool``); the class token is tapped too.
A grid cell is the mean over the channel groups, or dates, at its place; the alternative is to concatenate them along
the channels (three times as wide). Positions are fixed sines for one grid, so images are resized to the size of
pretraining, as by the authors.

In place of an absent band the authors feed the mean of the band, which is 0.5 after this normalisation, not 0.
Therefore ``mean`` for ``s2`` feeds 0.5 (see `bench.core.Normalise`).

Licences are those of the SatMAE repository and of the model cards of SatMAE++. The MD5 of Zenodo files, where known, is
also in `Weights.source`.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, Load, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands, sentinel2_bands
from bench.networks.from_timm import without

RGB = rgb_bands()
RGB_MEAN = (0.4182007312774658, 0.4214799106121063, 0.3991275727748871)
RGB_DEVIATION = (0.28774282336235046, 0.27541765570640564, 0.2764017581939697)
# Mean and standard deviation over fMoW-Sentinel.
SENTINEL = {
    "b02": (1184.3824625, 650.2842772),
    "b03": (1120.77120066, 712.12507725),
    "b04": (1136.26026392, 965.23119807),
    "b05": (1263.73947144, 948.9819932),
    "b06": (1645.40315151, 1108.06650639),
    "b07": (1846.87040806, 1258.36394548),
    "b08": (1762.59530783, 1233.1492281),
    "b8a": (1972.62420416, 1364.38688993),
    "b11": (1732.16362238, 1310.36996126),
    "b12": (1247.91870117, 1087.6020813),
}
S2 = sentinel2_bands(" ".join(SENTINEL))
PHOTOGRAPH = Normalise(
    kind="affine", shift=tuple(255 * mean for mean in RGB_MEAN), scale=tuple(255 * value for value in RGB_DEVIATION)
)
REFLECTANCE = Normalise(
    kind="affine",
    shift=tuple(mean - 2 * deviation for mean, deviation in SENTINEL.values()),
    scale=tuple(4 * deviation for _, deviation in SENTINEL.values()),
    clip=(0.0, 1.0),
    neutral=0.5,
)
# Starts of the keys of the decoder, and of the upsampling that follows it in SatMAE++.
PRETRAINING_ONLY = ("decoder_", "mask_token", "proj_up_", "up_block")
PAPER = "Cong et al. 2022, SatMAE: Pre-training Transformers for Temporal and Multi-Spectral Satellite Imagery, "
PAPER_PP = "Noman et al. 2024, Rethinking Transformers Pre-training for Multi-Spectral Satellite Imagery, "
ZENODO = "https://zenodo.org/record"
HUB = "https://huggingface.co/mubashir04"


def load_rgb(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return timm's ViT of the entry's size, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publisher's file, or None for random init; the decoder is dropped.
        seed: of the random init.
        bands: `RGB`, in that order.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    import torch
    from timm.models.vision_transformer import VisionTransformer

    from bench.networks.backbones import built
    from bench.networks.satmae import initialise, sincos_2d
    from bench.networks.vit import ViTBackbone

    def build() -> VisionTransformer:
        network = VisionTransformer(
            img_size=entry.image_size,
            patch_size=entry.patch,
            embed_dim=entry.width,
            depth=entry.depth,
            num_heads=entry.width // 64,
            num_classes=0,
        )
        initialise(network)
        with torch.no_grad():
            network.pos_embed[0] = sincos_2d(entry.width, entry.image_size // entry.patch)
        return network

    network = built(build, weights, seed=seed, entry=entry.name, rename=without(*PRETRAINING_ONLY))
    return ViTBackbone(network, bands, pool="mean")


def load_group_channel(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return the encoder of channel groups of the entry's size, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publisher's file, or None for random init; the decoder is dropped. The authors' fine-tuning code
            has a ``channel_cls_embed`` and their pretraining code does not; it is used if the file holds one.
        seed: of the random init.
        bands: `S2`, in that order.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.checkpoint_files import read_state
    from bench.networks.satmae import GroupChannelBackbone, GroupChannelViT

    channel_cls = weights is not None and any(
        name.rpartition(".")[2] == "channel_cls_embed" for name in read_state(weights)
    )
    network = built(
        lambda: GroupChannelViT(
            side=entry.image_size,
            patch=entry.patch,
            width=entry.width,
            depth=entry.depth,
            channel_cls=channel_cls,
        ),
        weights,
        seed=seed,
        entry=entry.name,
        rename=without(*PRETRAINING_ONLY),
    )
    return GroupChannelBackbone(network, bands, pool="mean")


def load_temporal(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return the encoder of three dates of the entry's size, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publisher's file, or None for random init; the decoder is dropped.
        seed: of the random init.
        bands: `RGB`, in that order.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.satmae import TemporalBackbone, TemporalViT

    network = built(
        lambda: TemporalViT(side=entry.image_size, patch=entry.patch, width=entry.width, depth=entry.depth),
        weights,
        seed=seed,
        entry=entry.name,
        rename=without(*PRETRAINING_ONLY),
    )
    return TemporalBackbone(network, bands, pool="mean")


def _entry(name: str, load: Load, *, parameters: int, weights: Weights, reference: str) -> ModelEntry:
    sentinel, large = load is load_group_channel, name.endswith("_large")
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="reconstruction",
        bands=S2 if sentinel else RGB,
        normalise=REFLECTANCE if sentinel else PHOTOGRAPH,
        absent=("refuse", "mean", "zero", "nearest") if sentinel else ("refuse",),
        levels=("s2:L1C",) if sentinel else (),
        image_size=96 if sentinel else 224,
        patch=8 if sentinel else 16,
        depth=24 if large else 12,
        width=1024 if large else 768,
        temporal=load is load_temporal,
        parameters=parameters,
        weights=weights,
        trained_on=("fmow-sentinel",) if sentinel else ("fmow",),
        reference=reference,
        load=load,
    )


def _zenodo(name: str, record: int, file: str, *, md5: str = "") -> Weights:
    stated = f"md5 {md5} on Zenodo" if md5 else "no hash stated"
    return Weights(
        file=f"{name}/{file}",
        url=f"{ZENODO}/{record}/files/{file}",
        md5=md5,
        licence="CC-BY-NC-4.0",
        how=f"fetch {file} of zenodo.org/records/{record}",
        source=f"url and licence from the README and LICENSE of sustainlab-group/SatMAE; {stated}",
    )


def _hub(name: str, data: str, *, commit: str, sha256: str, size: int) -> Weights:
    repository = f"checkpoint_ViT-L_pretrain_{data}"
    return Weights(
        file=f"{name}/{repository}.pth",
        url=f"{HUB}/{repository}/resolve/{commit}/{repository}.pth",
        sha256=sha256,
        size=size,
        licence="Apache-2.0",
        source="url from the README of techmn/satmae_pp; hash and size from the pointer file of that commit",
    )


ENTRIES = (
    _entry(
        "satmae_rgb_large",
        load_rgb,
        parameters=303301632,
        weights=_zenodo("satmae_rgb_large", 7369797, "fmow_pretrain.pth"),
        reference=f"{PAPER}arXiv:2207.08051",
    ),
    _entry(
        "satmae_s2_base",
        load_group_channel,
        parameters=85625600,
        weights=_zenodo(
            "satmae_s2_base", 7338613, "pretrain-vit-base-e199.pth", md5="1269e6a8255cee0affdeb6bb75776c86"
        ),
        reference=f"{PAPER}arXiv:2207.08051",
    ),
    _entry(
        "satmae_s2_large",
        load_group_channel,
        parameters=303083008,
        weights=_zenodo(
            "satmae_s2_large", 7338613, "pretrain-vit-large-e199.pth", md5="436bcd815194afdae38f3e023c74e9cd"
        ),
        reference=f"{PAPER}arXiv:2207.08051",
    ),
    _entry(
        "satmae_temporal_large",
        load_temporal,
        parameters=303225984,
        weights=_zenodo("satmae_temporal_large", 7369797, "pretrain_fmow_temporal.pth"),
        reference=f"{PAPER}arXiv:2207.08051",
    ),
    _entry(
        "satmaepp_rgb_large",
        load_rgb,
        parameters=303301632,
        weights=_hub(
            "satmaepp_rgb_large",
            "fmow_rgb",
            commit="8f4c97f767fb633c635e0c23f6e1441be9487f0f",
            sha256="95e3feff830ecd945161dacdc791c9c9d433d9943baa0f000d71af3765843d30",
            size=3952618663,
        ),
        reference=f"{PAPER_PP}arXiv:2403.05419",
    ),
    _entry(
        "satmaepp_s2_large",
        load_group_channel,
        parameters=303083008,
        weights=_hub(
            "satmaepp_s2_large",
            "fmow_sentinel",
            commit="e6792ae99987b96569993306b396c232f27ba8cc",
            sha256="a3c71857fa8c00394d40dd83bdd0a54c92b640c1909bfea148b069b857048af2",
            size=3951109525,
        ),
        reference=f"{PAPER_PP}arXiv:2403.05419",
    ),
)
