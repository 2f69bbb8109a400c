"""DINOv2 (Oquab et al. 2023, arXiv:2304.07193): ViTs trained by self-distillation on photographs only.

They are a control: what can be learned from photographs without labels. The bands are red, green and blue on the scale
0..255, normalised with the ImageNet moments times 255 (``dinov2/data/transforms.py`` of facebookresearch/dinov2, and
equally timm's pretrained configurations). Satellite reflectance is converted to the scale of 8-bit previews (see
`bench.core.UNITS`).

The published positions are for a grid of 37 x 37 patches of 14 pixels, from a short last phase of training at 518
pixels; most of the training and the authors' linear evaluation are at 224 pixels. This entry uses 224 pixels too:
images are resized (larger images of dense tasks are covered by windows of that size) and the positions are interpolated
to 16 x 16 in the authors' way. For networks without registers this is bicubic interpolation with an offset of 0.1
patches and without antialiasing, which differs from timm's antialiased interpolation. For networks with four register
tokens (Darcet et al. 2023, arXiv:2309.16588; the variant ``reg4``) the authors' way is timm's
(``dinov2/hub/backbones.py``).

The image vector is the class token, the first of the two pools in the authors' linear evaluation. Random twins have
layer scales of 1, the value with which the authors' network is built: with 1e-5, from which pretraining starts, every
layer would equal the embedding.

The published taps for multi-level decoders are those of the authors' depth heads, which read them without the final
norm (``dinov2/hub/depthers.py`` at b8931f7; there is no such head for networks with registers).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands

BANDS = rgb_bands()
MEAN = (0.485, 0.456, 0.406)
SPREAD = (0.229, 0.224, 0.225)
TAPS = {
    "small": ("block_3", "block_6", "block_9", "block_12"),
    "base": ("block_3", "block_6", "block_9", "block_12"),
    "large": ("block_5", "block_12", "block_18", "block_24"),
}
PAPER = "Oquab et al. 2023, DINOv2: Learning Robust Visual Features without Supervision, arXiv:2304.07193"
REGISTERS = "Darcet et al. 2023, Vision Transformers Need Registers, arXiv:2309.16588"


def load_dinov2(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, size: str, registers: bool = False
) -> Backbone:
    """Return timm's DINOv2, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: timm's file, for a network without registers also the authors' file (whose mask token is dropped), or
            None for random init.
        seed: of the random init.
        bands: `BANDS`, in that order.
        size: ``small``, ``base`` or ``large``.
        registers: whether the network has four register tokens.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    import timm

    from bench.networks.backbones import built
    from bench.networks.dinov2 import DINOv2Backbone
    from bench.networks.vit import ViTBackbone

    network = built(
        lambda: timm.create_model(
            f"vit_{size}_patch14_{'reg4_' if registers else ''}dinov2",
            num_classes=0,
            dynamic_img_size=True,
            init_values=1.0,
        ),
        weights,
        seed=seed,
        entry=entry.name,
        rename=lambda key: None if key == "mask_token" else key,
    )
    return (ViTBackbone if registers else DINOv2Backbone)(network, bands, pool="cls")


def _entry(size: str, *, depth: int, width: int, parameters: int, registers: bool = False) -> ModelEntry:
    name = f"dinov2_{size}{'.reg4' if registers else ''}"
    tag = f"vit_{size}_patch14_{'reg4_' if registers else ''}dinov2.lvd142m"
    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="joint-embedding",
        bands=BANDS,
        normalise=Normalise(
            kind="affine", shift=tuple(255 * value for value in MEAN), scale=tuple(255 * value for value in SPREAD)
        ),
        image_size=224,
        patch=14,
        depth=depth,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"{name}/model.safetensors",
            url=f"https://huggingface.co/timm/{tag}/resolve/main/model.safetensors",
            licence="Apache-2.0",
            source=f"timm 1.0, pretrained configuration {tag}; no hash stated",
        ),
        taps=() if registers else TAPS[size],
        trained_on=("lvd-142m", "imagenet-22k", "imagenet-1k"),
        reference=f"{PAPER}; {REGISTERS}" if registers else PAPER,
        load=partial(load_dinov2, size=size, registers=registers),
    )


ENTRIES = (
    _entry("small", depth=12, width=384, parameters=22056192),
    _entry("base", depth=12, width=768, parameters=86579712),
    _entry("large", depth=24, width=1024, parameters=304367616),
    _entry("small", depth=12, width=384, parameters=22057344, registers=True),
    _entry("base", depth=12, width=768, parameters=86582016, registers=True),
)
