"""ViT-S/16 pretrained on SSL4EO-S12 by four objectives: same data, same architecture, same 13 bands.

Sentinel-2 level 1C in all 13 bands, reflectance x 10000 divided by 10000 and clipped to 0..1, at 224 pixels: "13 bands
of S2-L1C, 100 epochs, input clip to [0,1] by dividing 10000" (README of zhu-xlab/SSL4EO-S12). Band order, files and
the network are torchgeo's. All four have six heads, as their pretraining code has; MoCo v3's own ViT-S has twelve, and
the authors changed it. An image is pooled by its class token, as in their linear evaluations.

The network's positions are fixed at 14 x 14 patches, so images are resized to 224 pixels, as the authors do.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Objective, Weights

HUB = "https://huggingface.co"
SOURCE = "url from torchgeo 0.8.1, ViTSmall16_Weights"
PAPER = "Wang et al. 2023, SSL4EO-S12, arXiv:2211.07044"
BANDS = tuple(
    Band(name=f"s2.{name}", unit="dn", wavelength_um=wavelength, gsd_m=gsd)
    for name, wavelength, gsd in (
        ("b01", 0.443, 60.0),
        ("b02", 0.490, 10.0),
        ("b03", 0.560, 10.0),
        ("b04", 0.665, 10.0),
        ("b05", 0.705, 20.0),
        ("b06", 0.740, 20.0),
        ("b07", 0.783, 20.0),
        ("b08", 0.842, 10.0),
        ("b8a", 0.865, 20.0),
        ("b09", 0.945, 60.0),
        ("b10", 1.375, 60.0),
        ("b11", 1.610, 20.0),
        ("b12", 2.190, 20.0),
    )
)


def load_vit_small(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return timm's ViT-S/16 over 13 bands, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publisher's file in timm's layout; its classification head is dropped where it has one.
        seed: of the random init.
        bands: `BANDS`, in that order.

    Raises:
        MissingWeights: see `bench.checkpoints.load_state`.
    """
    import timm

    from bench.backbones import ViTBackbone, seeded
    from bench.checkpoints import load_state

    network = seeded(lambda: timm.create_model("vit_small_patch16_224", num_classes=0, in_chans=len(bands)), seed)
    if weights is not None:
        load_state(network, weights, entry=entry.name, rename=lambda key: None if key.startswith("head.") else key)
    return ViTBackbone(network, bands, pool="cls")


def _entry(method: str, objective: Objective, url: str, source: str, reference: str) -> ModelEntry:
    return ModelEntry(
        name=f"ssl4eo_{method}_small",
        origin="pretrained",
        objective=objective,
        bands=BANDS,
        normalise=Normalise(kind="affine", shift=(0.0,) * 13, scale=(10000.0,) * 13, clip=(0.0, 1.0)),
        image_size=224,
        patch=16,
        depth=12,
        width=384,
        parameters=22648704,
        weights=Weights(
            file=f"ssl4eo_{method}_small/{url.rpartition('/')[2]}",
            url=f"{HUB}/{url}",
            licence="CC-BY-4.0",
            source=source,
        ),
        trained_on=("ssl4eo-s12",),
        reference=reference,
        load=load_vit_small,
    )


ENTRIES = (
    _entry(
        "dino",
        "joint-embedding",
        "torchgeo/vit_small_patch16_224_sentinel2_all_dino/resolve/5b41dd418a79de47ac9f5be3e035405a83818a62/"
        "vit_small_patch16_224_sentinel2_all_dino-36bcc127.pth",
        f"{SOURCE}.SENTINEL2_ALL_DINO; sha256 starts with 36bcc127",
        f"{PAPER}; Caron et al. 2021, DINO, arXiv:2104.14294",
    ),
    _entry(
        "moco",
        "joint-embedding",
        "torchgeo/vit_small_patch16_224_sentinel2_all_moco/resolve/1cb683f6c14739634cdfaaceb076529adf898c74/"
        "vit_small_patch16_224_sentinel2_all_moco-67c9032d.pth",
        f"{SOURCE}.SENTINEL2_ALL_MOCO; sha256 starts with 67c9032d",
        f"{PAPER}; Chen et al. 2021, MoCo v3, arXiv:2104.02057",
    ),
    _entry(
        "mae",
        "reconstruction",
        "wangyi111/SSL4EO-S12/resolve/75c72195d35201dc1fb210818993518c25da566b/B13_vits16_mae_ep99_enc.pth",
        f"{SOURCE}.SENTINEL2_ALL_MAE; no hash stated",
        f"{PAPER}; He et al. 2022, MAE, arXiv:2111.06377",
    ),
    _entry(
        "fgmae",
        "reconstruction",
        "wangyi111/FGMAE/resolve/24dd3077d7a99ecd454eaec7adb83d045d7fa122/B13_vits16_fgmae_ep99_enc.pth",
        f"{SOURCE}.SENTINEL2_ALL_FGMAE; no hash stated",
        "Wang et al. 2024, FG-MAE, arXiv:2310.18653",
    ),
)
