"""TerraMind 1.0 (IBM and ESA; Jakubik et al. 2025, arXiv:2504.11171): any-to-any generative pretraining on TerraMesh.

Two of its raw inputs are used, whichever a suite has: Sentinel-2 level 2A in 12 bands (without cirrus, b10;
reflectance x 10000 in "range 0-10000", hence without the offset of 2022, according to the examples in IBM/terramind)
and Sentinel-1 ground range detected, VV and VH in dB. Each is standardised with the moments of pretraining
(``v1_pretraining_mean`` and ``_std`` in terratorch 1.2.11, ``terramind_register.py``). The network has further patch
embeddings that are not used here, for level 1C in 13 bands, terrain-corrected radar, an 8-bit RGB product, elevation,
and tokens of coordinates, land cover and vegetation index.

The network is terratorch's, built for the modalities of the given bands; install it with ``pip install
'geobench-run[terratorch]'``. With both sensors, the patches of both form one sequence, and each layer is the mean over
the two at each place, which is terratorch's default way to merge. The image vector is the mean over tokens; there is no
class token.

The network was pretrained at 224 pixels; positions are sines and cosines, which it interpolates for other sizes. Under
``absent=mean`` an absent band enters as 0 after standardisation. terratorch does the same for a subset of bands: the
patch embedding has no bias, and terratorch drops their part of it.

The published taps for multi-level decoders are the last block of each quarter, the very last after the final norm:
``SelectIndices`` 2 5 8 11 for tiny, small and base, 5 11 17 23 for large (``configs`` of IBM/terramind at 8090b5c).
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import sentinel1_bands, sentinel2_bands

# Mean and standard deviation over the pretraining data.
OPTICAL = {
    "b01": (1390.458, 2106.761),
    "b02": (1503.317, 2141.107),
    "b03": (1718.197, 2038.973),
    "b04": (1853.91, 2134.138),
    "b05": (2199.1, 2085.321),
    "b06": (2779.975, 1889.926),
    "b07": (2987.011, 1820.257),
    "b08": (3083.234, 1871.918),
    "b8a": (3132.22, 1753.829),
    "b09": (3162.988, 1797.379),
    "b11": (2424.884, 1434.261),
    "b12": (1857.648, 1334.311),
}
RADAR = {"vv": (-12.599, 5.195), "vh": (-20.293, 5.890)}
BANDS = (*sentinel2_bands(" ".join(OPTICAL)), *sentinel1_bands())
MODALITIES = {"s2": "S2L2A", "s1": "S1GRD"}
# Names of the patch embeddings in the publishers' files.
EMBEDDINGS = {"s2": "untok_sen2l2a@224", "s1": "untok_sen1grd@224"}
HEADS = {192: 3, 384: 6, 768: 12, 1024: 16}  # by width
GATED = (768, 1024)  # widths whose feed-forward networks are SwiGLU
HUB = "https://huggingface.co/ibm-esa-geospatial"


def load_terramind(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return terratorch's TerraMind encoder for the sensors of `bands`, with the publishers' weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the publishers' file, or None for random init; its decoder and the embeddings of other modalities are
            dropped.
        seed: of the random init.
        bands: all bands of s2, of s1, or of both, in the order of `BANDS`.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
        ModuleNotFoundError: terratorch is not installed.
    """
    from bench.networks.backbones import built
    from bench.networks.terramind import TerraMindBackbone, terramind_encoder

    sensors = dict.fromkeys(band.sensor for band in bands)
    modalities = {sensor: MODALITIES[sensor] for sensor in sensors}
    wanted = tuple(EMBEDDINGS[sensor] for sensor in sensors)
    network = built(
        lambda: terramind_encoder(
            list(modalities.values()),
            width=entry.width,
            depth=entry.depth,
            heads=HEADS[entry.width],
            gated=entry.width in GATED,
            image_size=entry.image_size,
            patch=entry.patch,
        ),
        weights,
        seed=seed,
        entry=entry.name,
        rename=lambda key: key if is_encoder_key(key, wanted) else None,
    )
    return TerraMindBackbone(network, bands, modalities)


def is_encoder_key(key: str, embeddings: tuple[str, ...]) -> bool:
    """Return whether a key of a publishers' file belongs to the encoder or to one of the given patch embeddings.

    Files hold the whole network: ``encoder.*``, ``encoder_norm.*``, ``encoder_embeddings.<modality>.*``, and for
    generation ``decoder*`` and ``mask_token``.
    """
    if key.startswith("encoder_embeddings."):
        return key.removeprefix("encoder_embeddings.").startswith(tuple(f"{name}." for name in embeddings))
    return not key.startswith(("decoder", "mask_token"))


def _entry(
    size: str, *, depth: int, width: int, parameters: int, revision: str, sha256: str, bytes_: int, projects: str
) -> ModelEntry:
    file = f"TerraMind_v1_{size}.pt"
    return ModelEntry(
        name=f"terramind_{size}",
        origin="pretrained",
        objective="multimodal",
        bands=BANDS,
        absent=("refuse", "mean", "zero", "nearest"),
        levels=("s2:L2A", "s1:GRD"),
        normalise=Normalise(
            kind="affine",
            shift=tuple(mean for table in (OPTICAL, RADAR) for mean, _ in table.values()),
            scale=tuple(spread for table in (OPTICAL, RADAR) for _, spread in table.values()),
        ),
        image_size=224,
        any_size=True,
        patch=16,
        depth=depth,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"terramind_{size}/{file}",
            url=f"{HUB}/TerraMind-1.0-{size}/resolve/{revision}/{file}",
            sha256=sha256,
            size=bytes_,
            licence="Apache-2.0",
            source=f"file named by terratorch 1.2.11, terramind_register.pretrained_weights; {projects}; the size "
            "agrees with the network and the modalities that the publishers list",
        ),
        taps=(*(f"block_{depth * quarter // 4}" for quarter in (1, 2, 3)), "norm"),
        requires="terratorch",
        trained_on=("terramesh", "ssl4eo-s12", "major-tom-core"),
        reference="Jakubik et al. 2025, TerraMind: Large-Scale Generative Multimodality for Earth Observation, "
        "arXiv:2504.11171",
        load=load_terramind,
    )


PINNED = "revision, size and sha256 as several public projects pin them"
ENTRIES = (
    _entry(
        "tiny",
        depth=12,
        width=192,
        parameters=6022464,
        revision="2b5ac0a3ed7dd7e922ccfd595b56607f342df343",
        sha256="e56ea9ebcd4451078b9ca4893d5cd8a89bbee376ae16829c3e7fbbbc76de0eba",
        bytes_=211873402,
        projects=PINNED,
    ),
    _entry(
        "small",
        depth=12,
        width=384,
        parameters=22661760,
        revision="960f7549bfe9d7a08946860042f83badd604c779",
        sha256="755e9cce9483fd61334ef66c79f805406db5151a8b44a685c8fbbe023c684701",
        bytes_=504231662,
        projects=PINNED,
    ),
    _entry(
        "base",
        depth=12,
        width=768,
        parameters=87707904,
        revision="fb96c70d0a5f68dcc44030b89cbfd8ec3fb0c67a",
        sha256="83c3a0938067c83867a46e564443c2fa38383bf4f966d931b11cb025b847d7ec",
        bytes_=1518713958,
        projects=PINNED,
    ),
    _entry(
        "large",
        depth=24,
        width=1024,
        parameters=305662976,
        revision="main",
        sha256="a1c6b567ce6862c7ac07181551add840edce52f652abccfe5f17d23544060f81",
        bytes_=3787890978,
        projects="size and sha256 as one public project measured them on its download",
    ),
)
