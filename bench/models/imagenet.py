"""ImageNet models of timm: what photographs alone teach, as a control on the same architectures.

Three bands, red, green, blue, on the scale 0..255, normalised as timm does: mean and spread 0.5 for the ViT (augreg),
the ImageNet moments for the ResNet, each times 255. Satellite reflectance is shown to them as an 8-bit preview shows
it (see `bench.core.UNITS`). The ViT's image vector is its class token, the ResNet's the mean of its last stage.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, Load, ModelEntry, Normalise, Weights

BANDS = (
    Band(name="rgb.red", unit="uint8", wavelength_um=0.665),
    Band(name="rgb.green", unit="uint8", wavelength_um=0.56),
    Band(name="rgb.blue", unit="uint8", wavelength_um=0.49),
)


def load_vit_small(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return timm's ViT-S/16, with the publisher's weights or at random init.

    Args:
        entry: the model or its random twin.
        weights: timm's file; its classification head is dropped.
        seed: of the random init.
        bands: `BANDS`, in that order.

    Raises:
        MissingWeights: see `bench.checkpoints.load_state`.
    """
    import timm

    from bench.backbones import ViTBackbone, seeded
    from bench.checkpoints import load_state

    network = seeded(lambda: timm.create_model("vit_small_patch16_224", num_classes=0), seed)
    if weights is not None:
        load_state(network, weights, entry=entry.name, rename=lambda key: None if key.startswith("head.") else key)
    return ViTBackbone(network, bands, pool="cls")


def load_resnet50(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return timm's ResNet-50, with the publisher's weights or at random init.

    Layers are the stem after its max pooling (``embedding``) and the four stages (``block_1`` to ``block_4``).

    Args:
        entry: the model or its random twin.
        weights: timm's file; its classification head is dropped.
        seed: of the random init.
        bands: `BANDS`, in that order.

    Raises:
        MissingWeights: see `bench.checkpoints.load_state`.
    """
    import timm

    from bench.backbones import PyramidBackbone, seeded
    from bench.checkpoints import load_state

    network = seeded(lambda: timm.create_model("resnet50", num_classes=0), seed)
    if weights is not None:
        load_state(network, weights, entry=entry.name, rename=lambda key: None if key.startswith("fc.") else key)
    return PyramidBackbone(
        network,
        bands,
        steps=(("conv1", "bn1", "act1", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)),
        channels=(64, 256, 512, 1024, 2048),
        strides=(4, 4, 8, 16, 32),
    )


def _entry(
    name: str,
    tag: str,
    load: Load,
    *,
    mean: tuple[float, float, float],
    spread: tuple[float, float, float],
    patch: int,
    depth: int,
    width: int,
    parameters: int,
    reference: str,
) -> ModelEntry:
    return ModelEntry(
        name=name,
        origin="imagenet",
        objective="supervised",
        bands=BANDS,
        normalise=Normalise(
            kind="affine", shift=tuple(255 * value for value in mean), scale=tuple(255 * value for value in spread)
        ),
        image_size=224,
        patch=patch,
        depth=depth,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"{name}/model.safetensors",
            url=f"https://huggingface.co/timm/{tag}/resolve/main/model.safetensors",
            licence="Apache-2.0",
            source=f"timm 1.0, pretrained configuration {tag}; no hash stated",
        ),
        trained_on=("imagenet-1k",),
        reference=reference,
        load=load,
    )


ENTRIES = (
    _entry(
        "imagenet_vit_small",
        "vit_small_patch16_224.augreg_in1k",
        load_vit_small,
        mean=(0.5, 0.5, 0.5),
        spread=(0.5, 0.5, 0.5),
        patch=16,
        depth=12,
        width=384,
        parameters=21665664,
        reference="Steiner et al. 2021, How to train your ViT?, arXiv:2106.10270",
    ),
    _entry(
        "imagenet_resnet50",
        "resnet50.a1_in1k",
        load_resnet50,
        mean=(0.485, 0.456, 0.406),
        spread=(0.229, 0.224, 0.225),
        patch=32,
        depth=4,
        width=2048,
        parameters=23508032,
        reference="Wightman et al. 2021, ResNet strikes back, arXiv:2110.00476",
    ),
)
