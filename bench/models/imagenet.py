"""ImageNet models of timm: what photographs alone teach, as a control on the architectures of the others.

Three bands, red, green, blue, on the scale 0..255, normalised as timm does: mean and spread 0.5 for the ViTs (augreg),
the ImageNet moments for the others, each times 255. Satellite reflectance is shown to them as an 8-bit preview shows it
(see `bench.core.UNITS`). A ViT's image vector is its class token, the others' the mean of the last layer. Layers of a
Swin are its blocks, of a convolutional network its stages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands
from bench.networks.from_timm import load_resnet, load_vit

BANDS = rgb_bands()
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
MOMENTS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def load_staged(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, name: str) -> Backbone:
    """Return timm's Swin, ConvNeXt or MobileNet, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: timm's file; what follows the last block's grid (head, pooled convolution) is dropped.
        seed: of the random init.
        bands: `BANDS`, in that order.
        name: of the architecture in timm.

    Raises:
        MissingWeights: see `bench.networks.checkpoints.load_state`.
    """
    import timm
    from torch import nn

    from bench.networks.backbones import TIMM_BLOCK, PyramidBackbone, built

    family = name.partition("_")[0]
    dropped = {"swin": ("head",), "convnext": ("head",), "mobilenetv3": ("conv_head", "norm_head", "classifier")}[
        family
    ]

    def build() -> Any:
        network = timm.create_model(name, num_classes=0)
        for part in dropped:
            if hasattr(network, part):
                setattr(network, part, nn.Identity())
        return network

    def rename(key: str) -> str | None:
        return None if key.split(".")[0] in dropped else key

    network = built(build, weights, seed=seed, entry=entry.name, rename=rename)
    info = [(part["num_chs"], part["reduction"]) for part in network.feature_info]
    if family == "swin":
        steps: list[tuple[str, ...]] = [("patch_embed",)]
        of_stage = [info[0]]
        for stage, part in enumerate(network.layers):
            for block in range(len(part.blocks)):
                merge = (f"layers.{stage}.downsample",) if block == 0 and stage else ()
                steps.append((*merge, f"layers.{stage}.blocks.{block}"))
                of_stage.append(info[stage])
        parts = {
            f"block_{i}": {part: f"network.{step[-1]}.{path}".rstrip(".") for part, path in TIMM_BLOCK.items()}
            for i, step in enumerate(steps)
            if i
        }
        return PyramidBackbone(
            network,
            bands,
            steps=steps,
            channels=[channels for channels, _ in of_stage],
            strides=[stride for _, stride in of_stage],
            norm="norm",
            channels_last=True,
            modules_map=parts,
        )
    if family == "convnext":
        steps = [("stem",), *((f"stages.{i}",) for i in range(4))]
        return PyramidBackbone(
            network,
            bands,
            steps=steps,
            channels=[info[0][0], *(channels for channels, _ in info)],
            strides=[info[0][1], *(stride for _, stride in info)],
        )
    stages = [network.blocks[i] for i in range(len(network.blocks))]
    strides = [2]
    for stage in stages:
        halvings = sum(part.stride[0] == 2 for part in stage.modules() if isinstance(part, nn.Conv2d))
        strides.append(strides[-1] * 2**halvings)
    return PyramidBackbone(
        network,
        bands,
        steps=[("conv_stem", "bn1"), *((f"blocks.{i}",) for i in range(len(stages)))],
        channels=[network.conv_stem.out_channels, *(_width(stage) for stage in stages)],
        strides=strides,
    )


def _width(stage: Any) -> int:
    """Return the channels a stage of a MobileNet gives: those of its last convolution."""
    from torch import nn

    last: nn.Conv2d = [part for part in stage.modules() if isinstance(part, nn.Conv2d)][-1]
    return last.out_channels


def _entry(
    name: str,
    tag: str,
    load: Callable[..., Backbone],
    size: tuple[int, int, int, int],
    reference: str,
    *,
    moments: tuple[tuple[float, ...], tuple[float, ...]] = MOMENTS,
    licence: str = "Apache-2.0",
    trained_on: tuple[str, ...] = ("imagenet-1k",),
) -> ModelEntry:
    patch, depth, width, parameters = size
    return ModelEntry(
        name=f"imagenet_{name}",
        origin="imagenet",
        objective="supervised",
        bands=BANDS,
        absent=("refuse", "mean", "zero", "nearest"),
        normalise=Normalise(
            kind="affine",
            shift=tuple(255 * value for value in moments[0]),
            scale=tuple(255 * value for value in moments[1]),
        ),
        image_size=224,
        patch=patch,
        depth=depth,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"imagenet_{name}/model.safetensors",
            url=f"https://huggingface.co/timm/{tag}/resolve/main/model.safetensors",
            licence=licence,
            source=f"timm 1.0, pretrained configuration {tag}; no hash stated",
        ),
        trained_on=trained_on,
        reference=reference,
        load=partial(load, name=tag.partition(".")[0]),
    )


AUGREG = "Steiner et al. 2021, How to train your ViT?, arXiv:2106.10270"
SWIN = "Liu et al. 2021, Swin Transformer, arXiv:2103.14030"
CONVNEXT = "Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545"
RESNET = "Wightman et al. 2021, ResNet strikes back, arXiv:2110.00476"
MOBILENET = "Howard et al. 2019, Searching for MobileNetV3, arXiv:1905.02244"
BOTH = ("imagenet-21k", "imagenet-1k")
ENTRIES = (
    _entry(
        "vit_tiny",
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        load_vit,
        (16, 12, 192, 5524416),
        AUGREG,
        moments=HALF,
        trained_on=BOTH,
    ),
    _entry("vit_small", "vit_small_patch16_224.augreg_in1k", load_vit, (16, 12, 384, 21665664), AUGREG, moments=HALF),
    _entry("vit_base", "vit_base_patch16_224.augreg_in1k", load_vit, (16, 12, 768, 85798656), AUGREG, moments=HALF),
    _entry(
        "vit_large",
        "vit_large_patch16_224.augreg_in21k_ft_in1k",
        load_vit,
        (16, 24, 1024, 303301632),
        AUGREG,
        moments=HALF,
        trained_on=BOTH,
    ),
    _entry(
        "swin_tiny",
        "swin_tiny_patch4_window7_224.ms_in1k",
        load_staged,
        (32, 12, 768, 27519354),
        SWIN,
        licence="MIT",
    ),
    _entry(
        "swin_base",
        "swin_base_patch4_window7_224.ms_in1k",
        load_staged,
        (32, 24, 1024, 86743224),
        SWIN,
        licence="MIT",
    ),
    _entry("convnext_tiny", "convnext_tiny.fb_in1k", load_staged, (32, 4, 768, 27818592), CONVNEXT),
    _entry("convnext_base", "convnext_base.fb_in1k", load_staged, (32, 4, 1024, 87564416), CONVNEXT),
    _entry("resnet18", "resnet18.a1_in1k", load_resnet, (32, 4, 512, 11176512), RESNET),
    _entry("resnet50", "resnet50.a1_in1k", load_resnet, (32, 4, 2048, 23508032), RESNET),
    _entry("mobilenet_small", "mobilenetv3_small_100.lamb_in1k", load_staged, (32, 6, 576, 927008), MOBILENET),
    _entry("mobilenet_large", "mobilenetv3_large_100.ra_in1k", load_staged, (32, 7, 960, 2971952), MOBILENET),
)
