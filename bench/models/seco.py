"""Seasonal Contrast, SeCo (Manas et al. 2021, arXiv:2103.16607): ResNets on true-colour Sentinel-2 of 200,000 places.

Reflectance 0..1 is mapped to 0..255; then the range of each band between two quantiles is mapped to 0..1; then the
ImageNet moments are applied (``QUANTILES`` of ServiceNow/seasonal-contrast, ``datasets/seco_dataset.py``, which states
them by band name and also rounds to 8 bits and clips). torchgeo's transform has the same quantiles in the order blue,
green, red for bands in the order red, green, blue, and multiplies by 255 before the ImageNet moments. The authors' code
is followed here. Files are torchgeo's. The image vector is the mean over the grid of the last stage.
"""

from __future__ import annotations

from functools import partial

from bench.core import ModelEntry, Normalise, Weights
from bench.core.sensors import sentinel2_bands
from bench.networks.from_timm import load_resnet

BANDS = sentinel2_bands("b04 b03 b02")
DISPLAY = 255 / 10000  # 8-bit value of one step of reflectance x 10000
QUANTILES = ((0.0, 129.0), (2.0, 103.0), (3.0, 88.0))  # of B4, B3, B2
IMAGENET = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))


def _entry(size: str, width: int, parameters: int, commit: str, digits: str) -> ModelEntry:
    file = f"{size}_sentinel2_rgb_seco-{digits}.pth"
    pairs = list(zip(QUANTILES, IMAGENET, strict=True))
    return ModelEntry(
        name=f"seco_{size}",
        origin="pretrained",
        objective="joint-embedding",
        bands=BANDS,
        absent=("refuse", "mean", "zero", "nearest"),
        levels=("s2:L2A",),
        normalise=Normalise(
            kind="affine",
            shift=tuple((low + mean * (high - low)) / DISPLAY for (low, high), (mean, _) in pairs),
            scale=tuple(spread * (high - low) / DISPLAY for (low, high), (_, spread) in pairs),
            # The authors clip each band to 0..1 before the moments; these are the widest bounds that result.
            clip=(
                min(-mean / spread for mean, spread in IMAGENET),
                max((1 - mean) / spread for mean, spread in IMAGENET),
            ),
        ),
        image_size=224,
        patch=32,
        depth=4,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"seco_{size}/{file}",
            url=f"https://huggingface.co/torchgeo/{size}_sentinel2_rgb_seco/resolve/{commit}/{file}",
            sha256=digits,
            licence="Apache-2.0",
            source=f"torchgeo 0.8.1, SENTINEL2_RGB_SECO; hash starts with {digits} (file name)",
        ),
        trained_on=("seco",),
        reference="Manas et al. 2021, Seasonal Contrast, arXiv:2103.16607",
        load=partial(load_resnet, name=size),
    )


ENTRIES = (
    _entry("resnet18", 512, 11176512, "f8dcee692cf7142163b55a5c197d981fe0e717a0", "cefca942"),
    _entry("resnet50", 2048, 23508032, "fbd07b02a8edb8fc1035f7957160deed4321c145", "018bf397"),
)
