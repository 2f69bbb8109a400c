"""Removal of a share of a network by one method, without training; methods are those of `PruneSettings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from bench.foundry.pruning import masks as unstructured
from bench.foundry.pruning import structured
from bench.foundry.pruning.settings import Method
from bench.foundry.pruning.width import slice_width
from bench.networks.reshaped import ShortenedBackbone
from bench.networks.tapped import TappedNetwork


class Removed(NamedTuple):
    """What is left of a network.

    Attributes:
        network: the smaller network; the given one changed in place, or a new one around it.
        masks: of single weights, True where a weight stays; empty for structured methods.
        notes: on what could not be pruned.
    """

    network: TappedNetwork
    masks: dict[str, Tensor]
    notes: list[str]


def remove(
    network: TappedNetwork,
    method: Method,
    ratio: float,
    images: Mapping[str, Tensor],
    *,
    scope: structured.Scope = "layerwise",
    values: Mapping[str, Tensor] | None = None,
) -> Removed:
    """Return what is left of a network once a share of it is removed.

    Args:
        network: changed in place.
        method: of pruning; ``taylor`` and ``dropout`` need `values`.
        ratio: share removed, in (0, 1).
        images: prepared input for tracing.
        scope: whether all weights or units are ranked together, or those of each layer among themselves.
        values: parameter name -> importance of each value; magnitudes if not given.

    Raises:
        Incompatible: the network cannot be pruned this way.
    """
    if method in ("magnitude", "dropout"):
        masks = unstructured.masks_for(network, ratio, scope=scope, values=values)
        unstructured.apply_masks(network, masks)
        return Removed(network, masks, [])
    if method == "depth":
        depth = sum(layer.name.startswith("block_") for layer in network.layers)
        kept = tuple(range(1, max(1, round((1 - ratio) * depth)) + 1))
        return Removed(ShortenedBackbone(network, kept), {}, [])
    if method == "width":
        return Removed(slice_width(network, 1 - ratio, images), {}, [])
    if structured.is_transformer(network):
        return Removed(network, {}, structured.prune_transformer(network, ratio, images, scope=scope, values=values))
    structured.prune_convolutions(network, ratio, images, scope=scope, values=values)
    return Removed(network, {}, [])
