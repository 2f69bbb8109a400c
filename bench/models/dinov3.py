"""DINOv3 (Simeoni et al. 2025, arXiv:2508.10104): ViTs distilled from a 7-billion-parameter self-distilled teacher.

``dinov3_large.sat`` was trained on SAT-493M, 512-pixel tiles of Maxar imagery in true colour at 0.6 m; the others on
LVD-1689M, photographs from the web. ``dinov3_large`` and ``dinov3_large.sat`` have the same architecture, so that only
their training data differ.

The bands are red, green and blue on the scale 0..255, normalised with the moments of the training set times 255; images
are resized to 256 pixels (README of facebookresearch/dinov3, "Image transforms", and equally timm's pretrained
configurations). Satellite reflectance is converted to the scale of 8-bit previews (see `bench.core.UNITS`). Positions
are rotary and relative to the sides of the image. The image vector is the class token, as for the authors; timm's
default is the mean.

The network is timm's, which differs from the authors' network in two ways, stated in timm's model cards. It leaves out
the biases of queries, keys and values, which are all zero in the published weights. It computes the periods of the
rotary positions in full precision, whereas the published files hold them rounded to bfloat16; here they are rounded
too.

Random twins have layer scales of 1: with 1e-5, from which pretraining starts, every layer would equal the embedding.

The published taps for multi-level decoders are those of the authors' depth and canopy height heads
(``dinov3/hub/depthers.py`` and ``dinov3/eval/depth/models/encoder.py`` at 6876159). For the large network of
photographs the first tap is one block earlier, "used in the paper" (``dinov3/eval/segmentation/models``). The heads
apply the final norm to each layer they read; of all layers but the last, only the state before the norm can be tapped.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands

if TYPE_CHECKING:
    import torch

BANDS = rgb_bands()
# Training set -> mean and standard deviation of values in 0..1.
MOMENTS = {
    "lvd1689m": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "sat493m": ((0.43, 0.411, 0.296), (0.213, 0.156, 0.143)),
}
TAPS = {
    "small": ("block_3", "block_6", "block_9", "norm"),
    "base": ("block_3", "block_6", "block_9", "norm"),
    "large": ("block_5", "block_12", "block_18", "norm"),
    "sat": ("block_6", "block_12", "block_18", "norm"),
}


def load_dinov3(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, size: str) -> Backbone:
    """Return timm's DINOv3, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: timm's file, or None for random init.
        seed: of the random init.
        bands: `BANDS`, in that order.
        size: ``small``, ``base`` or ``large``.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.backbones import built
    from bench.networks.dinov3 import DINOv3Backbone

    network = built(lambda: _network(size), weights, seed=seed, entry=entry.name)
    return DINOv3Backbone(network, bands, pool="cls")


def _network(size: str) -> torch.nn.Module:
    import timm
    import torch

    network: Any = timm.create_model(f"vit_{size}_patch16_dinov3", num_classes=0, init_values=1.0)
    network.rope.periods = network.rope.periods.to(torch.bfloat16).float()
    return network  # type: ignore[no-any-return]


def _entry(size: str, *, data: str = "lvd1689m", depth: int, width: int, parameters: int) -> ModelEntry:
    name = f"dinov3_{size}{'.sat' if data == 'sat493m' else ''}"
    tag = f"vit_{size}_patch16_dinov3.{data}"
    mean, spread = MOMENTS[data]
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="joint-embedding",
        bands=BANDS,
        normalise=Normalise(
            kind="affine", shift=tuple(255 * value for value in mean), scale=tuple(255 * value for value in spread)
        ),
        image_size=256,
        patch=16,
        depth=depth,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"{name}/model.safetensors",
            url=f"https://huggingface.co/timm/{tag}/resolve/main/model.safetensors",
            licence="DINOv3 License",
            how="read the DINOv3 License (ai.meta.com/resources/models-and-libraries/dinov3-license), which binds "
            f"every user of the weights; then fetch model.safetensors from huggingface.co/timm/{tag}, timm's copy (the "
            "gated files of the authors have another layout)",
            source=f"timm 1.0, pretrained configuration {tag}; no hash stated; published there without a gate "
            "(facebookresearch/dinov3 issue 145)",
        ),
        taps=TAPS["sat" if data == "sat493m" else size],
        trained_on=("sat-493m",) if data == "sat493m" else ("lvd-1689m", "imagenet-22k", "imagenet-1k"),
        reference="Simeoni et al. 2025, DINOv3, arXiv:2508.10104",
        load=partial(load_dinov3, size=size),
    )


ENTRIES = (
    _entry("small", depth=12, width=384, parameters=21586944),
    _entry("base", depth=12, width=768, parameters=85641216),
    _entry("large", depth=24, width=1024, parameters=303079424),
    _entry("large", data="sat493m", depth=24, width=1024, parameters=303079424),
)
