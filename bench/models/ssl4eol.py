"""SSL4EO-L (Stewart et al. 2023, arXiv:2306.09424): MoCo v2 and SimCLR on Landsat 4-9, one network per product.

The input is the 8-bit scale of the corpus divided by 255: top-of-atmosphere reflectance 0..0.4, surface reflectance
0..0.3 and brightness temperature from -25 to 45 degrees Celsius, each mapped to 0..1 and clipped (scripts of the
corpus, ``compress_{tm_toa,etm_toa,etm_sr,oli_tirs_toa,oli_sr}.sh`` in torchgeo's ``experiments/ssl4eo/landsat``;
``_ssl4eo_l_transforms`` of torchgeo divides by 255 and crops to 224 pixels). Band order, files and networks are
torchgeo's. The image vector is the class token of a ViT and the mean over the last grid of a ResNet.
"""

from __future__ import annotations

from functools import partial

from bench.core import Band, ModelEntry, Normalise, Weights
from bench.core.sensors import LANDSAT
from bench.networks.from_timm import load_resnet, load_vit

FOLDER = "https://huggingface.co/torchgeo/ssl4eo_landsat/resolve/1c88bb51b6e17a21dde5230738fa38b74bd74f76"
FREEZING = 273.15
# Product -> instrument, processing level, reflectance at full scale, bands in the order of the network.
PRODUCTS: dict[str, tuple[str, str, float, str]] = {
    "tm_toa": ("tm", "TOA", 0.4, "blue green red nir swir1 thermal swir2"),
    "etm_toa": ("tm", "TOA", 0.4, "blue green red nir swir1 thermal_low thermal_high swir2 pan"),
    "etm_sr": ("tm", "SR", 0.3, "blue green red nir swir1 swir2"),
    "oli_tirs_toa": ("oli", "TOA", 0.4, "coastal blue green red nir swir1 swir2 pan cirrus tirs1 tirs2"),
    "oli_sr": ("oli", "SR", 0.3, "coastal blue green red nir swir1 swir2"),
}
# First digits of the hash of each file, MoCo's then SimCLR's; they are part of the file's name.
DIGITS = {
    "vits16": {
        "tm_toa": ("a1c967d8", "7c2d9799"),
        "etm_toa": ("26d19bcf", "34fb12cb"),
        "etm_sr": ("eaa4674e", "a14c466a"),
        "oli_tirs_toa": ("c7c2cceb", "ad43e9a4"),
        "oli_sr": ("c9b8898d", "4e8f6102"),
    },
    "resnet50": {
        "tm_toa": ("ba1ce753", "a1c93432"),
        "etm_toa": ("e9a84d5a", "70b5575f"),
        "etm_sr": ("1266cde3", "e5d185d7"),
        "oli_tirs_toa": ("de7f5e0f", "030cebfe"),
        "oli_sr": ("ff580dad", "94f78913"),
    },
    "resnet18": {
        "tm_toa": ("1c691b4f", "d2d38ace"),
        "etm_toa": ("bb88689c", "4d813f79"),
        "etm_sr": ("4f078acd", "8e8543b4"),
        "oli_tirs_toa": ("a3002f51", "b0635cc6"),
        "oli_sr": ("660e82ed", "7bced5be"),
    },
}
# Size, patch, depth, width, parameters without the first layer, parameters of the first layer per band.
NETWORKS = {
    "vits16": ("small", 16, 12, 384, 21370752, 98304),
    "resnet50": ("resnet50", 32, 4, 2048, 23498624, 3136),
    "resnet18": ("resnet18", 32, 4, 512, 11167104, 3136),
}


def _entry(network: str, product: str, method: str, digits: str) -> ModelEntry:
    instrument, level, full, names = PRODUCTS[product]
    size, patch, depth, width, rest, first = NETWORKS[network]
    bands = tuple(
        Band(
            name=f"landsat.{name}",
            unit="kelvin" if name.startswith(("thermal", "tirs")) else "reflectance",
            wavelength_um=LANDSAT[instrument][name],
            gsd_m=30.0,
        )
        for name in names.split()
    )
    thermal = [band.unit == "kelvin" for band in bands]
    name = f"ssl4eol_{method}_{size}.{product}"
    file = f"{network}_landsat_{product}_{method}-{digits}.pth"
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="joint-embedding",
        bands=bands,
        absent=("refuse", "zero", "nearest"),
        levels=(f"landsat:{level}",),
        normalise=Normalise(
            kind="affine",
            shift=tuple(FREEZING - 25.0 if is_thermal else 0.0 for is_thermal in thermal),
            scale=tuple(70.0 if is_thermal else full for is_thermal in thermal),
            clip=(0.0, 1.0),
        ),
        image_size=224,
        patch=patch,
        depth=depth,
        width=width,
        parameters=rest + first * len(bands),
        weights=Weights(
            file=f"{name}/{file}",
            url=f"{FOLDER}/{file}",
            sha256=digits,
            licence="CC0-1.0",
            source=f"torchgeo 0.8.1, LANDSAT_{product.upper()}_{method.upper()}; hash starts with {digits} (file name)",
        ),
        trained_on=("ssl4eo-l",),
        reference="Stewart et al. 2023, SSL4EO-L, arXiv:2306.09424",
        load=partial(load_vit, name="vit_small_patch16_224", plain_norm="norm")
        if network == "vits16"
        else partial(load_resnet, name=network),
    )


ENTRIES = tuple(
    _entry(network, product, method, digits)
    for network, products in DIGITS.items()
    for product, pair in products.items()
    for method, digits in zip(("moco", "simclr"), pair, strict=True)
)
