"""OlmoEarth (Ai2 2025, arXiv:2511.13655): one encoder for series of Sentinel-2 and Sentinel-1 images.

The network is that of Ai2's package ``olmoearth_pretrain_minimal``. Version 1 has three tokens per patch of Sentinel-2,
one per ground resolution of the bands, and adds positions to the tokens. Version 1.2 (arXiv:2605.20804) has one token
per patch, preceded by a network over its pixels, and rotary positions in space and time.

The input is that of pretraining and of the package's ``Normalizer``: Sentinel-2 level 2A as reflectance x 10000 without
the offset of 2022, in 12 bands without cirrus, and Sentinel-1 in dB. Each band is mapped from its mean -/+ 2 standard
deviations in pretraining to 0..1, without clipping. Bands that a suite lacks are replaced as in that normaliser: by the
nearest band for version 1, and by zeros after normalisation for version 1.2, which was trained with dropped bands.
Landsat, the third sensor, is not supported: it was trained on raw level-1 numbers, to which reflectance cannot be
converted without the elevation of the sun.

Patches have 4 pixels on each side, as in the authors' evaluations, and images up to 128 pixels, as they recommend;
smaller images keep their own size. Positions are in metres, with 10 metres per pixel where a suite does not state it.
An unknown date counts as 1 July 2020, as in the authors' evaluations.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.core import Absent, Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import sentinel1_bands, sentinel2_bands

# Mean and standard deviation over the pretraining data (norm_configs/computed.json of the package).
STATISTICS = {
    "s2.b02": (1188.9412572078477, 1859.1923971769581),
    "s2.b03": (1407.7739105458452, 1727.7387413631088),
    "s2.b04": (1513.0573882432757, 1740.7757298757895),
    "s2.b08": (2755.481305028308, 1612.2565699990187),
    "s2.b05": (1890.9893042634167, 1754.7320388511766),
    "s2.b06": (2483.7812315422448, 1622.1172720635755),
    "s2.b07": (2722.728248756412, 1621.8226170190276),
    "s2.b8a": (2885.570263047681, 1611.3587521042082),
    "s2.b11": (2562.852607796968, 1441.5471830655151),
    "s2.b12": (1914.1383249044113, 1328.8914382756407),
    "s2.b01": (1115.8494388252218, 1955.6991794280914),
    "s2.b09": (3269.812554170875, 2651.088425085525),
    "s1.vv": (-11.648990747328444, 10.840350299936597),
    "s1.vh": (-17.745436133270044, 10.216274681392647),
}
BANDS = (
    *sentinel2_bands(" ".join(name.removeprefix("s2.") for name in STATISTICS if name.startswith("s2."))),
    *sentinel1_bands(),
)
ABSENT: dict[str, tuple[Absent, ...]] = {
    "v1": ("nearest", "refuse", "mean", "zero"),
    "v1.2": ("mean", "refuse", "nearest", "zero"),
}
PAPER = "Herzog et al. 2025, OlmoEarth: Stable Latent Image Modeling for Multimodal Earth Observation, arXiv:2511.13655"
SENSORS = ("sentinel2_l2a", "sentinel1")  # their names in the publisher's files


def load_olmoearth(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, size: str, version: str
) -> Backbone:
    """Return an OlmoEarth encoder for `bands`, with patches of ``entry.patch`` pixels.

    Args:
        entry: one of `ENTRIES`, its random twin, or a copy with another ``patch`` of 1 to 8 pixels.
        weights: the publisher's ``weights.pth``, or None for random init; its decoder, its target encoder and the parts
            for other sensors are dropped.
        seed: of the random init.
        bands: all bands of s2, of s1, or of both, in the order of `BANDS`.
        size: the publisher's name of it.
        version: ``v1`` or ``v1.2``.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    import torch

    from bench.networks.backbones import built

    with torch.device("cpu"):  # the package computes a table when it is first imported
        from bench.networks.olmoearth import OlmoEarthBackbone, encoder

    network = built(lambda: encoder(size, version), weights, seed=seed, entry=entry.name, rename=_rename)
    return OlmoEarthBackbone(network, bands, patch=entry.patch)


def _rename(key: str) -> str | None:
    """Return the encoder's name for a key of the publisher's file, or None for a key of another part."""
    if key.startswith(("decoder.", "target_encoder.")):
        return None
    key = key.removeprefix("encoder.")
    if key.startswith("project_and_aggregate.") or key == "composite_encodings.pos_embed":
        return None
    by_sensor = key.startswith(("patch_embeddings.per_modality", "composite_encodings.per_modality"))
    return key if not by_sensor or key.split(".")[2] in SENSORS else None


def _entry(size: str, version: str, *, depth: int, width: int, parameters: int) -> ModelEntry:
    name = f"olmoearth_{size}{'' if version == 'v1' else '.v1_2'}"
    repository = f"allenai/OlmoEarth-{version.replace('.', '_')}-{size.capitalize()}"
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="multimodal",
        bands=BANDS,
        absent=ABSENT[version],
        levels=("s2:L2A",),
        normalise=Normalise(
            kind="affine",
            shift=tuple(mean - 2 * deviation for mean, deviation in STATISTICS.values()),
            scale=tuple(4 * deviation for _, deviation in STATISTICS.values()),
            # Version 1.2 was trained with dropped bands, which are zeros after normalisation; for version 1 the mean of
            # a band is neutral.
            neutral=0.5 if version == "v1" else 0.0,
        ),
        image_size=128,
        any_size=True,
        patch=4,
        depth=depth,
        width=width,
        temporal=True,
        parameters=parameters,
        weights=Weights(
            file=f"{name}/weights.pth",
            url=f"https://huggingface.co/{repository}/resolve/main/weights.pth",
            licence="OlmoEarth Artifact License",
            source="olmoearth_pretrain_minimal 0.1.5, model_loader.py; no hash stated",
        ),
        requires="olmoearth_pretrain_minimal",
        trained_on=("olmoearth-pretrain",),
        reference=PAPER if version == "v1" else f"{PAPER}; version 1.2, arXiv:2605.20804",
        load=partial(load_olmoearth, size=size, version=version),
    )


ENTRIES = (
    _entry("nano", "v1", depth=4, width=128, parameters=909056),
    _entry("tiny", "v1", depth=12, width=192, parameters=5512320),
    _entry("base", "v1", depth=12, width=768, parameters=85750272),
    _entry("large", "v1", depth=24, width=1024, parameters=303237120),
    _entry("nano", "v1.2", depth=4, width=128, parameters=991616),
    _entry("tiny", "v1.2", depth=12, width=192, parameters=6917152),
    _entry("small", "v1.2", depth=12, width=384, parameters=24450112),
    _entry("base", "v1.2", depth=12, width=768, parameters=91366528),
)
