"""Prithvi-EO 1.0 and 2.0 (IBM and NASA): masked autoencoders of harmonised Landsat and Sentinel-2 time series.

The input is six bands of HLS at 30 m in reflectance x 10000, standardised with the publishers' moments:
``PRITHVI_V1_MEAN``, ``PRITHVI_V2_MEAN`` and their standard deviations in terratorch 1.2.11 (``prithvi_vit.py``); those
of 2.0 are also in the ``config.json`` published with its weights. Narrow near infrared (B8A) is the fourth band. The
files, the sizes of the networks and the network itself are terratorch's; install it with ``pip install
'geobench-run[terratorch]'``.

All dates enter together as 3-D patches that are one date long, so that the blocks mix them; pretraining had three dates
(1.0) or four (2.0). Positions are sines and cosines of date, row and column. They are computed for another number of
dates and interpolated for another grid, both as in terratorch. A grid cell is the mean over the dates at its place.

The ``tl`` networks are given year and day of the year (1 to 366) of each date, and latitude and longitude, each with a
learned weight. What is unknown is left out, as for a tenth of pretraining (terratorch, ``docs/guide/prithvi_eo.md``).
Days are counted as in the model card and in the ``inference.py`` published with the weights; the guide counts from 0.

The image vector is the mean over patch tokens, as in terratorch's neck and scalar head, which drop the class token (no
objective trained it). Under ``absent=mean`` an absent band enters as 0 after standardisation. terratorch does the same
for a subset of bands: it drops their part of the patch embedding.

The published taps for multi-level decoders are the last block of each quarter, the very last after the final norm:
``SelectIndices`` 2 5 8 11 for networks of 12 blocks, 5 11 17 23 for 24, 7 15 23 31 for 32 (``configs`` and ``examples``
of NASA-IMPACT/Prithvi-EO-2.0 at 7583112; terratorch, ``docs/guide/prithvi_eo.md``).
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import hls_bands

BANDS = hls_bands()
V1 = Normalise(
    kind="affine",
    shift=(775.0, 1081.0, 1229.0, 2497.0, 2204.0, 1611.0),
    scale=(1282.0, 1270.0, 1399.0, 1368.0, 1292.0, 1155.0),
)
V2 = Normalise(
    kind="affine",
    shift=(1087.0, 1342.0, 1433.0, 2734.0, 1958.0, 1363.0),
    scale=(2248.0, 2179.0, 2178.0, 1850.0, 1242.0, 1049.0),
)
V1_PAPER = "Jakubik et al. 2023, Foundation Models for Generalist Geospatial Artificial Intelligence, arXiv:2310.18660"
V2_PAPER = (
    "Szwarcman et al. 2024, Prithvi-EO-2.0: A Versatile Multi-Temporal Foundation Model for Earth Observation "
    "Applications, arXiv:2412.02732"
)
HEADS = {192: 3, 768: 12, 1024: 16, 1280: 16}  # by width
HUB = "https://huggingface.co/ibm-nasa-geospatial"
FILE = "file named by terratorch 1.2.11, prithvi_vit.pretrained_weights"
UNSTATED = f"{FILE}; no hash found stated"


def load_prithvi(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return terratorch's Prithvi encoder of the entry's size, with the publishers' weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publishers' file, or None for random init; its decoder and its table of positions are dropped.
        seed: of the random init.
        bands: `BANDS`, in that order.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
        ModuleNotFoundError: terratorch is not installed.
    """
    from bench.networks.backbones import built
    from bench.networks.prithvi import PrithviBackbone, prithvi_encoder

    network = built(
        lambda: prithvi_encoder(
            img_size=entry.image_size,
            patch_size=(1, entry.patch, entry.patch),
            num_frames=1,
            in_chans=len(bands),
            embed_dim=entry.width,
            depth=entry.depth,
            num_heads=HEADS[entry.width],
            coords_encoding=["time", "location"] if entry.name.partition(".")[0].endswith("_tl") else [],
            coords_scale_learn=True,
        ),
        weights,
        seed=seed,
        entry=entry.name,
        rename=encoder_key,
    )
    return PrithviBackbone(network, bands)


def encoder_key(key: str) -> str | None:
    """Return the encoder's name for a key of a publishers' file, or None for the decoder and tables of positions.

    Files hold the whole autoencoder, ``encoder.*`` and ``decoder.*``; the first files of Prithvi-EO-1.0 have no
    prefixes.
    """
    if key.startswith("decoder") or key == "mask_token" or key.endswith("pos_embed"):
        return None
    return key.removeprefix("encoder.")


def _entry(
    name: str,
    *,
    url: str,
    source: str,
    depth: int,
    width: int,
    parameters: int,
    patch: int = 16,
    size: int = 0,
    sha256: str = "",
) -> ModelEntry:
    first_version = name.startswith("v1")
    return ModelEntry(
        name=f"prithvi_{name}",
        origin="pretrained",
        objective="reconstruction",
        bands=BANDS,
        absent=("refuse", "mean", "zero", "nearest"),
        levels=("hls:SR",),
        normalise=V1 if first_version else V2,
        image_size=224,
        any_size=True,
        patch=patch,
        depth=depth,
        width=width,
        temporal=True,
        parameters=parameters,
        weights=Weights(
            file=f"prithvi_{name}/{url.rpartition('/')[2]}",
            url=f"{HUB}/{url}",
            sha256=sha256,
            size=size,
            licence="Apache-2.0",
            source=source,
        ),
        taps=(*(f"block_{depth * quarter // 4}" for quarter in (1, 2, 3)), "norm"),
        requires="terratorch",
        trained_on=("prithvi-eo-1-pretraining",) if first_version else ("prithvi-eo-2-pretraining",),
        reference=V1_PAPER if first_version else V2_PAPER,
        load=load_prithvi,
    )


ENTRIES = (
    _entry(
        "v1_100",
        url="Prithvi-EO-1.0-100M/resolve/main/Prithvi_EO_V1_100M.pt",
        source=UNSTATED,
        depth=12,
        width=768,
        parameters=86237184,
    ),
    _entry(
        "v2_tiny_tl",
        url="Prithvi-EO-2.0-tiny-TL/resolve/335eadc2c45ad5abe7bd307223e1c48c5b60c41b/Prithvi_EO_V2_tiny_TL.pt",
        source=f"{FILE}; revision and sha256 as two public projects pin them",
        depth=12,
        width=192,
        parameters=5634050,
        sha256="d47326db9bad502b611f73e3e3f3a0e68b7b82640d67c22c795417f7209f8d70",
    ),
    _entry(
        "v2_100_tl",
        url="Prithvi-EO-2.0-100M-TL/resolve/2c84e383194986040f883cc43d7869002c425e1b/Prithvi_EO_V2_100M_TL.pt",
        source=f"{FILE}; revision, size and sha256 as one public project pins them (size agrees with the network)",
        depth=12,
        width=768,
        parameters=86237186,
        size=454660610,
        sha256="d45406d5fc51af1d9657d48f2e2c3ff077408a2e1113f9a242889a4fe4469b17",
    ),
    _entry(
        "v2_300",
        url="Prithvi-EO-2.0-300M/resolve/b2f2520ab889f42a25c5361ba18761fcb4ea44ad/Prithvi_EO_V2_300M.pt",
        source=f"{UNSTATED}; revision as allenai/olmoearth_pretrain pins it",
        depth=24,
        width=1024,
        parameters=303886336,
    ),
    _entry(
        "v2_300_tl",
        url="Prithvi-EO-2.0-300M-TL/resolve/63adbd39c271da4c42f447e69b1a7c91a338cdc9/Prithvi_EO_V2_300M_TL.pt",
        source=f"{FILE}; revision and sha256 as three public projects pin them",
        depth=24,
        width=1024,
        parameters=303886338,
        size=1326660716,
        sha256="3629cedfbb350faafcb0dac902ae0d3c927e25ce8d9e0024aa1276ec66956ddb",
    ),
    _entry(
        "v2_600",
        url="Prithvi-EO-2.0-600M/resolve/87f15784813828dc37aa3197a143cd4689e4d080/Prithvi_EO_V2_600M.pt",
        source=f"{UNSTATED}; revision as allenai/olmoearth_pretrain pins it",
        depth=32,
        width=1280,
        parameters=631188480,
        patch=14,
    ),
    _entry(
        "v2_600_tl",
        url="Prithvi-EO-2.0-600M-TL/resolve/3d72adc6dfc4cc3862bf4f41da8c83db267193c9/Prithvi_EO_V2_600M_TL.pt",
        source=f"{FILE}; revision, size and sha256 as two public projects pin them",
        depth=32,
        width=1280,
        parameters=631188482,
        patch=14,
        size=2638217218,
        sha256="7b92c53b0204a76bb775bd8930f045e05776251caa8c83f7367ed0b75b594702",
    ),
)
