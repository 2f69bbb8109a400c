"""The tiny zoo: three small networks, pretrained on the unlabelled landscapes of the demo and shipped with the package.

Each represents one objective and has fewer than half a million parameters, so that the whole harness runs in a minute:
``tiny_mae`` (reconstruction, He et al. 2022), ``tiny_dino`` (joint embedding, Caron et al. 2021) and ``tiny_croma``
(multimodal, Fuller et al. 2023). They were trained on generated data only and know nothing of the Earth.
``geobench-make recipe=pretrain model=tiny_mae`` trains one again; the JSON card next to the weights states how the
shipped weights were made.

Bands are standardised with the mean and standard deviation over the unlabelled pool. ``tiny_croma`` takes optical
images, radar images or both; it needs all bands of a sensor.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Backbone, Band, ModelEntry, Normalise, Objective, Weights
from bench.core.errors import Incompatible
from bench.core.sensors import sentinel1_bands, sentinel2_bands

if TYPE_CHECKING:
    import torch

IMAGE_SIZE, PATCH = 64, 8  # pixels
# Mean and standard deviation over the unlabelled pool of the demo suite, in the bands' units.
STATISTICS: dict[str, tuple[float, float]] = {
    "s2.b01": (645.4, 511.7),
    "s2.b02": (744.1, 555.2),
    "s2.b03": (947.8, 560.6),
    "s2.b04": (939.8, 631.0),
    "s2.b05": (1166.5, 597.6),
    "s2.b06": (1788.7, 739.3),
    "s2.b07": (2093.8, 882.7),
    "s2.b08": (2189.3, 979.0),
    "s2.b8a": (2296.0, 1007.6),
    "s2.b09": (2308.8, 972.6),
    "s2.b11": (1649.6, 799.4),
    "s2.b12": (1166.8, 701.0),
    "s1.vv": (-13.119, 3.761),
    "s1.vh": (-19.183, 4.041),
}
# The pixels of the demo have one size, which is stated by the bands as fed.
S2 = tuple(replace(band, gsd_m=None) for band in sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12"))
S1 = tuple(replace(band, gsd_m=None) for band in sentinel1_bands())


def load_tiny(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return a network of the tiny zoo, with the shipped weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: its safetensors file, or None for random init.
        seed: of the random init.
        bands: ``entry.bands``; for ``tiny_croma`` optionally those of one sensor, which give the encoder of that
            sensor.

    Raises:
        Incompatible: the bands are of no sensor that the network takes, or not all bands of a sensor.
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.croma import CROMABackbone
    from bench.networks.tiny import tiny_network
    from bench.networks.vit import ViTBackbone

    sensors = {band.sensor for band in bands}
    if not bands or [band.name for band in bands] != [band.name for band in entry.bands if band.sensor in sensors]:
        given = " ".join(band.name for band in bands) or "none"
        raise Incompatible(f"{entry.name} takes {' '.join(band.name for band in entry.bands)}; it is given {given}")
    if entry.objective != "multimodal":
        network = built(lambda: tiny_network(entry, bands), weights, seed=seed, entry=entry.name)
        return ViTBackbone(network, bands, pool="cls" if entry.objective == "joint-embedding" else "mean")
    # The projection of a single sensor is not used where the joint encoder pools both.
    parts = {f"{sensor}_encoder" for sensor in sensors}
    parts |= {"joint_encoder"} if len(sensors) == 2 else {f"{sensor}_GAP_FFN" for sensor in sensors}

    def build() -> torch.nn.Module:
        network: torch.nn.Module = tiny_network(entry, bands)
        for name in [name for name, _ in network.named_children() if name not in parts]:
            delattr(network, name)
        return network

    def rename(key: str) -> str | None:
        return key if key.split(".")[0] in parts else None

    return CROMABackbone(built(build, weights, seed=seed, entry=entry.name, rename=rename), bands)


def _entry(
    name: str,
    objective: Objective,
    bands: tuple[Band, ...],
    *,
    width: int,
    parameters: int,
    size: int,
    sha256: str,
    words: str,
    reference: str,
) -> ModelEntry:
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective=objective,
        bands=bands,
        absent=("refuse", "mean", "zero", "nearest"),
        normalise=Normalise(
            kind="affine",
            shift=tuple(STATISTICS[band.name][0] for band in bands),
            scale=tuple(STATISTICS[band.name][1] for band in bands),
        ),
        image_size=IMAGE_SIZE,
        patch=PATCH,
        depth=6,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"tiny/{name}.safetensors",
            sha256=sha256,
            size=size,
            licence="Apache-2.0",
            how=f"run: geobench-make recipe=pretrain model={name} {words}",
        ),
        trained_on=("geobench-demo-unlabelled",),
        reference=reference,
        load=load_tiny,
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        "tiny_mae",
        "reconstruction",
        S2,
        width=72,
        parameters=439_128,
        size=884_928,
        sha256="b8177c144c466cb61d3424cc09bed446ee4071f5b575b378cf735b3b8a2138f4",
        words="learning_rate=3e-3",
        reference="He et al. 2022, Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377",
    ),
    _entry(
        "tiny_dino",
        "joint-embedding",
        S2,
        width=72,
        parameters=439_128,
        size=884_928,
        sha256="4f3e99a83eb7f53338e7191fa993efa6e3c555d1ce19d5a9a1d2eac5512e2aec",
        words="batch=32",
        reference="Caron et al. 2021, Emerging Properties in Self-Supervised Vision Transformers, arXiv:2104.14294",
    ),
    _entry(
        "tiny_croma",
        "multimodal",
        (*S2, *S1),
        width=60,
        parameters=433_800,
        size=997_448,
        sha256="4a4b62e6b50a91c940e8b2023a785c50aeec34dcaa2e07d6617ee5122331df24",
        words="learning_rate=3e-3 epochs=10",
        reference="Fuller et al. 2023, CROMA: Remote Sensing Representations with Contrastive Radar-Optical Masked "
        "Autoencoders, arXiv:2311.00566",
    ),
)
