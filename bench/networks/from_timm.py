"""Load timm's networks, of which many published encoders are made, as backbones. Imports no torch by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.core import Band, ModelEntry

if TYPE_CHECKING:
    from torch import nn

    from bench.networks.pyramid import PyramidBackbone
    from bench.networks.vit import ViTBackbone

RESNET_STEPS = (("conv1", "bn1", "act1", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))


def without(*parts: str) -> Callable[[str], str | None]:
    """Return a `rename` that drops the keys of some parts of a network, and keeps all others as they are.

    Args:
        parts: starts of the keys to drop.
    """
    return lambda key: None if key.startswith(parts) else key


def load_vit(
    entry: ModelEntry,
    weights: Path | None,
    seed: int,
    bands: tuple[Band, ...],
    *,
    name: str,
    pool: Literal["cls", "mean"] = "cls",
    plain_norm: str = "",
    **settings: object,
) -> ViTBackbone:
    """Return one of timm's vision transformers; a classification head in the file is dropped.

    Args:
        entry: the entry that the weights belong to.
        weights: file with timm's key names, or None for random init.
        seed: of the random init.
        bands: the bands that the patch embedding takes, in order.
        name: of the architecture in timm.
        pool: see `bench.networks.vit.ViTBackbone`.
        plain_norm: see `bench.networks.checkpoints.load_state`.
        settings: further arguments of ``timm.create_model``.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    import timm

    from bench.networks.backbones import built
    from bench.networks.vit import ViTBackbone

    network = built(
        lambda: timm.create_model(name, num_classes=0, in_chans=len(bands), **settings),
        weights,
        seed=seed,
        entry=entry.name,
        rename=without("head.", "fc_norm."),
        plain_norm=plain_norm,
    )
    return ViTBackbone(network, bands, pool=pool)


def load_resnet(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, name: str
) -> PyramidBackbone:
    """Return one of timm's ResNets: the stem including its max pooling (``embedding``) and the four stages.

    Args:
        entry: the entry that the weights belong to.
        weights: file with the key names of timm and torchvision, or None for random init; its classification head is
            dropped.
        seed: of the random init.
        bands: the bands that the first convolution takes, in order.
        name: of the architecture in timm.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    import timm

    from bench.networks.backbones import built
    from bench.networks.pyramid import PyramidBackbone

    network: Any = built(
        lambda: timm.create_model(name, num_classes=0, in_chans=len(bands)),
        weights,
        seed=seed,
        entry=entry.name,
        rename=without("fc."),
    )
    return PyramidBackbone(
        network,
        bands,
        steps=RESNET_STEPS,
        channels=(network.conv1.out_channels, *(stage["num_chs"] for stage in network.feature_info[1:])),
        strides=(4, 4, 8, 16, 32),
    )


def load_swin(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, name: str
) -> PyramidBackbone:
    """Return one of timm's Swin transformers: its patches, every block and the final norm.

    Args:
        entry: the entry that the weights belong to.
        weights: timm's file, or None for random init; its classification head is dropped.
        seed: of the random init.
        bands: red, green and blue.
        name: of the architecture in timm.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.pyramid import timm_swin

    return timm_swin(_built_without(name, ("head",), entry, weights, seed), bands)


def load_convnext(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, name: str
) -> PyramidBackbone:
    """Return one of timm's ConvNeXts: the stem (``embedding``) and the four stages.

    Args:
        entry: the entry that the weights belong to.
        weights: timm's file, or None for random init; its classification head is dropped.
        seed: of the random init.
        bands: red, green and blue.
        name: of the architecture in timm.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from bench.networks.pyramid import PyramidBackbone

    network = _built_without(name, ("head",), entry, weights, seed)
    stages = network.feature_info
    return PyramidBackbone(
        network,
        bands,
        steps=[("stem",), *((f"stages.{index}",) for index in range(len(stages)))],
        # The stem has the width and stride of the first stage.
        channels=[stages[0]["num_chs"], *(stage["num_chs"] for stage in stages)],
        strides=[stages[0]["reduction"], *(stage["reduction"] for stage in stages)],
    )


def load_mobilenet(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, name: str
) -> PyramidBackbone:
    """Return one of timm's MobileNets or EfficientNets: the stem (``embedding``) and the stages.

    Args:
        entry: the entry that the weights belong to.
        weights: timm's file, or None for random init; what follows the grid of the last block (a convolution after
            pooling, and the classifier) is dropped.
        seed: of the random init.
        bands: red, green and blue.
        name: of the architecture in timm.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from torch import nn

    from bench.networks.pyramid import PyramidBackbone

    network = _built_without(name, ("conv_head", "norm_head", "bn2", "classifier"), entry, weights, seed)
    channels, strides = [network.conv_stem.out_channels], [2]
    for stage in network.blocks:
        convolutions = [module for module in stage.modules() if isinstance(module, nn.Conv2d)]
        channels.append(convolutions[-1].out_channels)
        strides.append(strides[-1] * 2 ** sum(module.stride[0] == 2 for module in convolutions))
    return PyramidBackbone(
        network,
        bands,
        steps=[("conv_stem", "bn1"), *((f"blocks.{index}",) for index in range(len(network.blocks)))],
        channels=channels,
        strides=strides,
    )


def _built_without(name: str, dropped: tuple[str, ...], entry: ModelEntry, weights: Path | None, seed: int) -> Any:
    """Return a network of timm for three bands, without some of its parts.

    Args:
        name: of the architecture in timm.
        dropped: top-level parts that become the identity, and whose keys in the file are ignored.
        entry: the entry that the weights belong to.
        weights: timm's file, or None for random init.
        seed: of the random init.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    import timm
    from torch import nn

    from bench.networks.backbones import built

    def build() -> nn.Module:
        network: nn.Module = timm.create_model(name, num_classes=0)
        for part in dropped:
            if hasattr(network, part):
                setattr(network, part, nn.Identity())
        return network

    rename = without(*(f"{part}." for part in dropped))
    return built(build, weights, seed=seed, entry=entry.name, rename=rename)
