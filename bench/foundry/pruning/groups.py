"""Groups: sets of parameters of a transformer that can only be removed together, one unit at a time.

A unit of a feed-forward network is one hidden value: a row of its first linear map, or maps, and a column of its last.
A unit of an attention is one head: rows of the query, key and value maps, columns of the output map, and a column of a
relative position table where there is one. The sub-modules of blocks are found by their canonical names
(``modules_map``), so every transformer of the registry is served, hierarchical ones such as Swin included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import Incompatible
from bench.networks.tapped import TappedNetwork

HEAD_COUNTS = ("num_heads", "heads")
"""Attributes under which attention modules keep their number of heads."""


@dataclass(frozen=True)
class Slice:
    """The part of one parameter that belongs to the units of a group.

    Attributes:
        name: of the parameter in ``named_parameters``.
        dim: along which units lie.
        places: (units, k) indices of each unit along `dim`.
    """

    name: str
    dim: int
    places: Tensor


@dataclass(frozen=True)
class Group:
    """Units that are removed together over several parameters.

    Attributes:
        name: block and part, e.g. ``block_3.mlp`` or ``block_3.heads``.
        units: how many there are.
        slices: the parameters they lie in.
        counts: (path of a module, attribute) that hold the number of units.
        products: (path of a module, attribute) that hold units x head width.
    """

    name: str
    units: int
    slices: tuple[Slice, ...]
    counts: tuple[tuple[str, str], ...] = ()
    products: tuple[tuple[str, str], ...] = ()


def transformer_groups(backbone: TappedNetwork) -> list[Group]:
    """Return the groups of every block of a transformer, feed-forward networks and attention heads.

    Raises:
        Incompatible: the backbone names no sub-modules of blocks.
    """
    groups: list[Group] = []
    for block, parts in backbone.modules_map.items():
        groups += _mlp(backbone, block, parts) + _heads(backbone, block, parts)
    if not groups:
        raise Incompatible("the network names no feed-forward or attention modules in blocks; prune it by channels")
    return groups


def _linear(backbone: TappedNetwork, path: str) -> nn.Linear | None:
    module = backbone.get_submodule(path) if path else None
    return module if isinstance(module, nn.Linear) else None


def _rows(backbone: TappedNetwork, path: str, places: Tensor) -> list[Slice]:
    """Return the slices of a linear map whose outputs are the units."""
    bias = [Slice(f"{path}.bias", 0, places)] if backbone.get_submodule(path).bias is not None else []
    return [Slice(f"{path}.weight", 0, places), *bias]


def _mlp(backbone: TappedNetwork, block: str, parts: Mapping[str, str]) -> list[Group]:
    first, last = _linear(backbone, parts.get("fc1", "")), _linear(backbone, parts.get("fc2", ""))
    if first is None or last is None:
        return []
    hidden = last.in_features
    gate = _linear(backbone, parts.get("fc3", ""))
    if first.out_features == hidden:
        places = torch.arange(hidden)[:, None]
    elif first.out_features == 2 * hidden:  # gate and value come from one map, one after the other
        places = torch.arange(hidden)[:, None] + torch.tensor([[0, hidden]])
    else:
        return []
    slices = [*_rows(backbone, parts["fc1"], places), Slice(f"{parts['fc2']}.weight", 1, torch.arange(hidden)[:, None])]
    if gate is not None:
        slices += _rows(backbone, parts["fc3"], torch.arange(hidden)[:, None])
    return [Group(f"{block}.mlp", hidden, tuple(slices))]


def _heads(backbone: TappedNetwork, block: str, parts: Mapping[str, str]) -> list[Group]:
    proj = _linear(backbone, parts.get("proj", ""))
    joint = _linear(backbone, parts.get("qkv", ""))
    apart = [parts[name] for name in ("q", "k", "v") if _linear(backbone, parts.get(name, ""))]
    if proj is None or not (joint or len(apart) == 3):
        return []
    path = (parts["qkv"] if joint else apart[0]).rpartition(".")[0]
    attention: Any = backbone.get_submodule(path)
    counter = next((name for name in HEAD_COUNTS if isinstance(getattr(attention, name, None), int)), None)
    inner = proj.in_features
    if counter is None or inner % getattr(attention, counter):
        return []
    heads = int(getattr(attention, counter))
    width = inner // heads
    columns = torch.arange(inner).reshape(heads, width)
    slices = [Slice(f"{parts['proj']}.weight", 1, columns)]
    if joint is not None:
        if joint.out_features != 3 * inner:
            return []
        rows = torch.cat([columns + offset * inner for offset in range(3)], 1)
        slices += _rows(backbone, parts["qkv"], rows)
    else:
        for name in apart:
            slices += _rows(backbone, name, columns)
    for name, value in attention.named_parameters(recurse=False):
        if name == "relative_position_bias_table":
            slices.append(Slice(f"{path}.{name}", 1, torch.arange(heads)[:, None]))
        elif value.shape[:1] == (inner,):  # a bias of queries or values apart from their maps (Swin v2, BEiT)
            slices.append(Slice(f"{path}.{name}", 0, columns))
        elif value.shape[:1] == (heads,):  # a temperature per head (Swin v2)
            slices.append(Slice(f"{path}.{name}", 0, torch.arange(heads)[:, None]))
        else:
            return []
    products = tuple((path, name) for name in ("attn_dim", "inner_dim") if getattr(attention, name, None) == inner)
    tables = _position_mlp(backbone, path, heads)
    return [Group(f"{block}.heads", heads, (*slices, *tables), ((path, counter),), products)]


def _position_mlp(backbone: TappedNetwork, path: str, heads: int) -> list[Slice]:
    """Return the slices of a network that computes position biases per head (Swin v2's ``cpb_mlp``)."""
    attention: Any = backbone.get_submodule(path)
    for name, module in attention.named_modules():
        if "cpb_mlp" in name and isinstance(module, nn.Linear) and module.out_features == heads:
            return _rows(backbone, f"{path}.{name}", torch.arange(heads)[:, None])
    return []


def keep_units(backbone: TappedNetwork, group: Group, kept: Sequence[int]) -> None:
    """Remove all but some units of a group, in place.

    Args:
        backbone: that the group is of.
        group: from `transformer_groups`.
        kept: units that stay, ascending, at least one.

    Raises:
        Incompatible: no unit would stay.
    """
    from bench.networks.reshaped import set_sizes

    if not len(kept):
        raise Incompatible(f"{group.name}: no unit would stay; lower the ratio")
    for part in group.slices:
        path, _, leaf = part.name.rpartition(".")
        module = backbone.get_submodule(path)
        old: nn.Parameter = getattr(module, leaf)
        places = part.places[list(kept)].T.reshape(-1) if part.places.shape[1] > 1 else part.places[list(kept), 0]
        if part.places.shape[1] > 1:
            # Units of several values keep the order they had along the dimension.
            places = places.sort().values
        value = old.detach().index_select(part.dim, places.to(old.device)).clone()
        setattr(module, leaf, nn.Parameter(value, requires_grad=old.requires_grad))
        if leaf == "weight":
            set_sizes(module, value.shape)
    for path, name in group.counts:
        setattr(backbone.get_submodule(path), name, len(kept))
    for path, name in group.products:
        attention = backbone.get_submodule(path)
        setattr(attention, name, len(kept) * (getattr(attention, name) // group.units))


def unit_scores(backbone: TappedNetwork, group: Group, values: dict[str, Tensor] | None = None) -> Tensor:
    """Return the importance of each unit of a group (units,): the root of its summed squared values.

    Args:
        backbone: that the group is of.
        group: from `transformer_groups`.
        values: parameter name -> importance of each value; the values' magnitudes if not given.
    """
    total = torch.zeros(group.units, dtype=torch.float64)
    parameters = dict(backbone.named_parameters())
    for part in group.slices:
        value = (values or parameters)[part.name].detach().double().cpu()
        flat = value.movedim(part.dim, 0).reshape(value.shape[part.dim], -1).square().sum(1)
        total += flat[part.places].sum(1)
    return total.sqrt()
