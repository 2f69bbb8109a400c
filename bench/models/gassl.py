"""Geography-aware self-supervised learning, GASSL (Ayush et al. 2021, arXiv:2011.09980): a ResNet-50 on fMoW RGB.

Photographs of 8 bits are divided by 255 and normalised with the ImageNet moments, at 224 pixels
(``moco_fmow/main_moco_geo+tp.py`` of sustainlab-group/geography-aware-ssl, and equally torchgeo, which provides the
file). The image vector is the mean over the grid of the last stage.
"""

from __future__ import annotations

from functools import partial

from bench.core import ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands
from bench.networks.from_timm import load_resnet

BANDS = rgb_bands()

ENTRIES = (
    ModelEntry(
        name="gassl_resnet50",
        origin="pretrained",
        objective="joint-embedding",
        bands=BANDS,
        normalise=Normalise(
            kind="affine",
            shift=tuple(255 * value for value in (0.485, 0.456, 0.406)),
            scale=tuple(255 * value for value in (0.229, 0.224, 0.225)),
        ),
        image_size=224,
        patch=32,
        depth=4,
        width=2048,
        parameters=23508032,
        weights=Weights(
            file="gassl_resnet50/resnet50_fmow_rgb_gassl-da43d987.pth",
            url="https://huggingface.co/torchgeo/resnet50_fmow_rgb_gassl/resolve/"
            "fe8a91026cf9104f1e884316b8e8772d7af9052c/resnet50_fmow_rgb_gassl-da43d987.pth",
            sha256="da43d987",
            licence="not stated",
            source="torchgeo 0.8.1, ResNet50_Weights.FMOW_RGB_GASSL; hash starts with da43d987 (file name)",
        ),
        trained_on=("fmow",),
        reference="Ayush et al. 2021, Geography-Aware Self-Supervised Learning, arXiv:2011.09980",
        load=partial(load_resnet, name="resnet50"),
    ),
)
