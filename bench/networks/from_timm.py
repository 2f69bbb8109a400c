"""Load timm's ViTs and ResNets, of which many published encoders are made, as backbones. Imports no torch by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.core import Band, ModelEntry

if TYPE_CHECKING:
    from bench.networks.backbones import PyramidBackbone, ViTBackbone

RESNET_STEPS = (("conv1", "bn1", "act1", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))


def _without(*heads: str) -> Callable[[str], str | None]:
    return lambda key: None if key.startswith(heads) else key


def load_vit(
    entry: ModelEntry,
    weights: Path | None,
    seed: int,
    bands: tuple[Band, ...],
    *,
    name: str,
    pool: Literal["cls", "mean"] = "cls",
    plain_norm: str = "",
    **settings: Any,
) -> ViTBackbone:
    """Return one of timm's vision transformers; a classification head in the file is dropped.

    Args:
        entry: whose weights they are.
        weights: file with timm's key names, or None.
        seed: of the random init.
        bands: what the patch embedding takes, in order.
        name: of the architecture in timm.
        pool: see `ViTBackbone`.
        plain_norm: see `bench.networks.checkpoints.load_state`.
        settings: further arguments of ``timm.create_model``.

    Raises:
        MissingWeights: see `bench.networks.checkpoints.load_state`.
    """
    import timm

    from bench.networks.backbones import ViTBackbone, built

    network = built(
        lambda: timm.create_model(name, num_classes=0, in_chans=len(bands), **settings),
        weights,
        seed=seed,
        entry=entry.name,
        rename=_without("head.", "fc_norm."),
        plain_norm=plain_norm,
    )
    return ViTBackbone(network, bands, pool=pool)


def load_resnet(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, name: str
) -> PyramidBackbone:
    """Return one of timm's ResNets: the stem after its max pooling (``embedding``) and the four stages.

    Args:
        entry: whose weights they are.
        weights: file with the key names of timm and torchvision, or None; its classification head is dropped.
        seed: of the random init.
        bands: what the first convolution takes, in order.
        name: of the architecture in timm.

    Raises:
        MissingWeights: see `bench.networks.checkpoints.load_state`.
    """
    import timm

    from bench.networks.backbones import PyramidBackbone, built

    network: Any = built(
        lambda: timm.create_model(name, num_classes=0, in_chans=len(bands)),
        weights,
        seed=seed,
        entry=entry.name,
        rename=_without("fc."),
    )
    return PyramidBackbone(
        network,
        bands,
        steps=RESNET_STEPS,
        channels=(network.conv1.out_channels, *(part["num_chs"] for part in network.feature_info[1:])),
        strides=(4, 4, 8, 16, 32),
    )
