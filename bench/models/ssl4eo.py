"""Encoders pretrained on SSL4EO-S12: one corpus, several objectives and sizes, for Sentinel-2 or for Sentinel-1.

Sentinel-2 is level 1C in all 13 bands: reflectance x 10000 is divided by 10000 and clipped to 0..1, at 224 pixels: "13
bands of S2-L1C, 100 epochs, input clip to [0,1] by dividing 10000" (README of zhu-xlab/SSL4EO-S12). Sentinel-1 VV and
VH in dB are mapped from mean -/+ 2 standard deviations of the corpus to 0..1 and clipped (``normalize`` and ``S1_MEAN``
of zhu-xlab/DeCUR, ``src/pretrain/datasets/SSL4EO/ssl4eo_dataset_lmdb_mm_norm.py``, the authors' later release of the
same reader). torchgeo standardises with the same statistics, which equals that map up to scale and offset, without the
clip.

Band order, files and networks are torchgeo's. Every ViT-S has six heads, as in its pretraining code; the ViT-S of MoCo
v3 itself has twelve, and the authors changed it. The image vector is the class token of a ViT, as in the authors'
linear evaluations, and the mean over the last grid of a ResNet. torchgeo accepts MAE and FG-MAE files with or without
the final norm; for a file without it, the norm has weights of 1 and biases of 0. Positions are fixed, so images are
resized to 224 pixels, as by the authors.
"""

from __future__ import annotations

from functools import partial

from bench.core import Load, ModelEntry, Normalise, Objective, Weights
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from bench.networks.from_timm import load_resnet, load_vit

HUB = "https://huggingface.co"
PAPER = "Wang et al. 2023, SSL4EO-S12, arXiv:2211.07044"
METHODS: dict[str, tuple[Objective, str]] = {
    "dino": ("joint-embedding", f"{PAPER}; Caron et al. 2021, DINO, arXiv:2104.14294"),
    "moco": ("joint-embedding", f"{PAPER}; Chen et al. 2021, MoCo v3, arXiv:2104.02057"),
    "mae": ("reconstruction", f"{PAPER}; He et al. 2022, MAE, arXiv:2111.06377"),
    "fgmae": ("reconstruction", "Wang et al. 2024, FG-MAE, arXiv:2310.18653"),
    "decur": ("multimodal", "Wang et al. 2024, DeCUR, arXiv:2309.05300"),
}
BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b10 b11 b12")
RADAR = sentinel1_bands()
RADAR_MEAN, RADAR_SPREAD = (-12.59, -20.26), (5.26, 5.91)
S2 = Normalise(kind="affine", shift=(0.0,) * 13, scale=(10000.0,) * 13, clip=(0.0, 1.0))
S1 = Normalise(
    kind="affine",
    shift=tuple(mean - 2 * spread for mean, spread in zip(RADAR_MEAN, RADAR_SPREAD, strict=True)),
    scale=tuple(4 * spread for spread in RADAR_SPREAD),
    clip=(0.0, 1.0),
    neutral=0.5,
)
COLOUR = sentinel2_bands("b04 b03 b02")
# Patch, depth, width, number of bands -> parameters.
SIZES: dict[str, tuple[int, int, int, dict[int, int]]] = {
    "small": (16, 12, 384, {13: 22648704, 2: 21567360}),
    "base": (16, 12, 768, {13: 87764736, 2: 85602048}),
    "large": (16, 24, 1024, {13: 305923072, 2: 303039488}),
    "huge": (14, 32, 1280, {13: 633273600, 2: 630513920}),
    "resnet18": (32, 4, 512, {13: 11207872, 3: 11176512}),
    "resnet50": (32, 4, 2048, {13: 23539392, 3: 23508032, 2: 23504896}),
}
LOADERS: dict[str, Load] = {
    **{
        size: partial(load_vit, name=f"vit_{size}_patch{patch}_224", plain_norm="norm")
        for size, (patch, *_) in SIZES.items()
        if not size.startswith("resnet")
    },
    **{size: partial(load_resnet, name=size) for size in SIZES if size.startswith("resnet")},
}


def _entry(method: str, size: str, file: str, *, sensor: str = "", sha256: str = "", source: str = "") -> ModelEntry:
    """Return an entry; `file` is ``owner/repository@commit:name``."""
    repository, _, rest = file.partition("@")
    commit, _, name = rest.partition(":")
    bands = {"": BANDS, "s1": RADAR, "rgb": COLOUR}[sensor]
    patch, depth, width, parameters = SIZES[size]
    objective, reference = METHODS[method]
    entry = f"ssl4eo_{method}_{size}" + (f".{sensor}" if sensor else "")
    radar = sensor == "s1"
    colour = Normalise(kind="affine", shift=(0.0,) * 3, scale=(10000.0,) * 3, clip=(0.0, 1.0))
    stated = f"hash starts with {sha256} (file name)" if sha256 else "no hash stated"
    return ModelEntry(
        name=entry,
        origin="pretrained",
        objective=objective,
        bands=bands,
        absent=("refuse", "mean", "zero") if radar else ("refuse", "zero", "nearest"),
        levels=("s1:GRD",) if radar else ("s2:L1C",),
        normalise=S1 if radar else S2 if sensor == "" else colour,
        image_size=224,
        patch=patch,
        depth=depth,
        width=width,
        parameters=parameters[len(bands)],
        weights=Weights(
            file=f"{entry}/{name}",
            url=f"{HUB}/{repository}/resolve/{commit}/{name}",
            sha256=sha256,
            licence="Apache-2.0" if method == "decur" else "CC-BY-4.0",
            source=f"torchgeo 0.8.1, {source}; {stated}",
        ),
        trained_on=("ssl4eo-s12",),
        reference=reference,
        load=LOADERS[size],
    )


def _converted(method: str, size: str, commit: str, digits: str, *, sensor: str = "", source: str) -> ModelEntry:
    """Return an entry whose file torchgeo converted and published in a repository of its own."""
    architecture = "vit_small_patch16_224" if size == "small" else size
    kind = {"": "sentinel2_all", "s1": "sentinel1_all", "rgb": "sentinel2_rgb"}[sensor]
    stem = f"{architecture}_{kind}_{method}"
    return _entry(
        method, size, f"torchgeo/{stem}@{commit}:{stem}-{digits}.pth", sensor=sensor, sha256=digits, source=source
    )


def _masked(method: str, size: str, sensor: str) -> ModelEntry:
    """Return an entry whose MAE or FG-MAE file the authors published."""
    repository, commit = {
        "mae": ("wangyi111/SSL4EO-S12", "75c72195d35201dc1fb210818993518c25da566b"),
        "fgmae": ("wangyi111/FGMAE", "24dd3077d7a99ecd454eaec7adb83d045d7fa122"),
    }[method]
    patch = SIZES[size][0]
    epoch = 99 if size != "huge" else {"mae": 199, "fgmae": 399}[method]
    count = 2 if sensor == "s1" else 13
    name = f"B{count}_vit{size[0]}{patch}_{method}_ep{epoch}_enc.pth"
    enum = f"ViT{size.capitalize()}{patch}_Weights.{'SENTINEL1_GRD' if sensor else 'SENTINEL2_ALL'}_{method.upper()}"
    return _entry(method, size, f"{repository}@{commit}:{name}", sensor=sensor, source=enum)


ENTRIES = (
    _converted(
        "dino",
        "small",
        "5b41dd418a79de47ac9f5be3e035405a83818a62",
        "36bcc127",
        source="ViTSmall16_Weights.SENTINEL2_ALL_DINO",
    ),
    _converted(
        "moco",
        "small",
        "1cb683f6c14739634cdfaaceb076529adf898c74",
        "67c9032d",
        source="ViTSmall16_Weights.SENTINEL2_ALL_MOCO",
    ),
    *(_masked(m, size, s) for m in ("mae", "fgmae") for size in ("small", "base", "large", "huge") for s in ("", "s1")),
    _converted(
        "dino",
        "resnet50",
        "d7f14bf5530d70ac69d763e58e77e44dbecfec7c",
        "d6c330e9",
        source="ResNet50_Weights.SENTINEL2_ALL_DINO",
    ),
    _converted(
        "moco",
        "resnet50",
        "da4f3c9dbe09272eb902f3b37f46635fa4726879",
        "df8b932e",
        source="ResNet50_Weights.SENTINEL2_ALL_MOCO",
    ),
    _converted(
        "moco",
        "resnet50",
        "efd9723b59a88e9dc1420dc1e96afb25b0630a3c",
        "2b57ba8b",
        sensor="rgb",
        source="ResNet50_Weights.SENTINEL2_RGB_MOCO",
    ),
    _converted(
        "moco",
        "resnet50",
        "e79862c667853c10a709bdd77ea8ffbad0e0f1cf",
        "906e4356",
        sensor="s1",
        source="ResNet50_Weights.SENTINEL1_ALL_MOCO",
    ),
    _converted(
        "moco",
        "resnet18",
        "5b8cddc9a14f3844350b7f40b85bcd32aed75918",
        "59bfdff9",
        source="ResNet18_Weights.SENTINEL2_ALL_MOCO",
    ),
    _converted(
        "moco",
        "resnet18",
        "e1c032e7785fd0625224cdb6699aa138bb304eec",
        "e3a335e3",
        sensor="rgb",
        source="ResNet18_Weights.SENTINEL2_RGB_MOCO",
    ),
    _entry(
        "decur",
        "resnet50",
        "torchgeo/decur@eba7ae5945d482a4319be046d34b552db5dd9950:rn50_ssl4eo-s12_ms_decur_ep100-fc6b09ff.pth",
        sha256="fc6b09ff",
        source="ResNet50_Weights.SENTINEL2_ALL_DECUR",
    ),
    _entry(
        "decur",
        "resnet50",
        "torchgeo/decur@9328eeb90c686a88b30f8526ed757b4bc0f12027:rn50_ssl4eo-s12_sar_decur_ep100-f0e69ba2.pth",
        sensor="s1",
        sha256="f0e69ba2",
        source="ResNet50_Weights.SENTINEL1_ALL_DECUR",
    ),
)
