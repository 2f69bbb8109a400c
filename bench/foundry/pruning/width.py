"""Width slicing: every layer keeps its first channels, without any training.

Hackel et al. 2026 (arXiv 2601.22841) report that encoders of remote sensing keep most of their accuracy when their
width is sliced after training. It costs nothing, which makes it a baseline for every other method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from bench.core.errors import Incompatible
from bench.foundry.pruning.structured import is_transformer, prune_convolutions
from bench.networks.reshaped import set_sizes
from bench.networks.tapped import TappedNetwork
from bench.networks.vit import ViTBackbone


def slice_width(backbone: TappedNetwork, share: float, images: Mapping[str, Tensor]) -> TappedNetwork:
    """Return a backbone whose layers keep a share of their channels, changed in place.

    In a vision transformer of timm the residual stream keeps its first channels; heads and hidden values stay. In a
    convolutional network each group of channels keeps those of largest norm, along its dependency graph.

    Args:
        backbone: a vision transformer of timm, or a convolutional network.
        share: of the channels that stay, in (0, 1).
        images: prepared input for tracing a convolutional network.

    Raises:
        Incompatible: the backbone is another kind of transformer.
    """
    if not is_transformer(backbone):
        prune_convolutions(backbone, 1 - share, images)
        return backbone
    if not isinstance(backbone, ViTBackbone):
        raise Incompatible(
            "width slicing serves vision transformers of timm and convolutional networks; use structured"
        )
    network: Any = backbone.network
    width = int(network.embed_dim)
    kept = max(1, round(share * width))
    for path, module in network.named_modules():
        _slice(module, path, width, kept)
    for name in ("cls_token", "pos_embed", "reg_token"):
        value = getattr(network, name, None)
        if isinstance(value, nn.Parameter):
            setattr(network, name, _first(value, value.ndim - 1, kept))
    network.embed_dim = network.num_features = kept
    backbone.layers = tuple(replace(layer, channels=kept) for layer in backbone.layers)
    return backbone


def _slice(module: nn.Module, path: str, width: int, kept: int) -> None:
    """Cut the dimensions of a module's parameters that lie along the residual stream."""
    leaf = path.rpartition(".")[2]
    writes = leaf in ("proj", "fc2")  # the last maps of attention, feed-forward network and patch embedding
    reads = leaf in ("qkv", "fc1", "q", "k", "v")
    if isinstance(module, nn.Linear | nn.Conv2d) and (writes or reads):
        dim = 0 if writes else 1
        if module.weight.shape[dim] != width:
            raise Incompatible(f"{path} has {module.weight.shape[dim]} channels where the residual stream has {width}")
        module.weight = _first(module.weight, dim, kept)
        if writes and module.bias is not None:
            module.bias = _first(module.bias, 0, kept)
        set_sizes(module, module.weight.shape)
    elif isinstance(module, nn.LayerNorm) and tuple(module.normalized_shape) == (width,):
        module.weight, module.bias = _first(module.weight, 0, kept), _first(module.bias, 0, kept)
        set_sizes(module, module.weight.shape)
    elif leaf in ("ls1", "ls2") and isinstance(gamma := getattr(module, "gamma", None), Tensor):
        module.gamma = _first(gamma, 0, kept)


def _first(value: Tensor, dim: int, kept: int) -> nn.Parameter:
    return nn.Parameter(value.detach().narrow(dim, 0, kept).clone(), requires_grad=False)
