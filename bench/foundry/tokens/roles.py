"""What a tensor of a network is for, by its name, its shape and its neighbours; imports no torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, get_args

Role = Literal[
    "conv",
    "linear",
    "norm",
    "bias",
    "position",
    "class_token",
    "relative_position",
    "embedding",
    "layer_scale",
    "batch_norm_mean",
    "batch_norm_variance",
    "other",
]
ROLES: tuple[Role, ...] = get_args(Role)
MATRICES: tuple[Role, ...] = ("conv", "linear")
"""Roles whose tensors are matrices that training has shaped; fixed tables (sine positions) are among the others."""

_STATISTICS: dict[str, Role] = {"running_mean": "batch_norm_mean", "running_var": "batch_norm_variance"}
_RELATIVE = re.compile(r"relative_position|rel_pos|relative_bias|cpb_table|rel_bias")
_TOKEN = re.compile(r"(cls|class|reg|register|mask|dist|global|storage)_?(token|tokens|embedding)s?$")
_POSITION = re.compile(
    r"(^|[._])(pos|position|positional)(_?(embed|embedding|embeddings|encoding|enc|table|emb))?s?\d*($|\.)"
)
_SCALE = re.compile(r"(^|[._])(gamma(_?\d)?|lambda_?\d|layer_?scale\w*|ls\d?)$")
_EMBEDDING = re.compile(r"embed|(^|\.)(wte|wpe|codebook)(\.|$)")


def role_of(name: str, shape: Sequence[int], names: Collection[str]) -> Role:
    """Return the role of one tensor.

    Args:
        name: in the ``state_dict``.
        shape: of the tensor.
        names: of all tensors of the network, for neighbours: a matrix with a bias is no table of embeddings.
    """
    parent, _, leaf = name.rpartition(".")
    prefix = f"{parent}." if parent else ""
    if leaf in _STATISTICS:
        return _STATISTICS[leaf]
    if _RELATIVE.search(name) and not leaf.startswith(("weight", "bias")):
        return "relative_position"
    if _TOKEN.search(leaf):
        return "class_token"
    if _POSITION.search(name) and not (leaf == "bias" or f"{prefix}bias" in names):
        return "position"
    if leaf == "bias" or leaf.endswith("_bias") or (leaf == "beta" and f"{prefix}gamma" in names):
        return "bias"
    if len(shape) <= 1:
        if _SCALE.search(name) and f"{prefix}beta" not in names:
            return "layer_scale"
        return "norm" if leaf in ("weight", "gamma", "scale") else "other"
    if _EMBEDDING.search(name) and f"{prefix}bias" not in names and len(shape) <= 3 and "proj" not in name:
        return "embedding"
    if "weight" not in leaf:
        return "embedding" if shape[0] == 1 else "linear" if len(shape) == 2 else "other"
    return "linear" if len(shape) == 2 else "conv"


def roles_of(shapes: Mapping[str, Sequence[int]]) -> dict[str, Role]:
    """Return the role of every tensor of a network, by name.

    Args:
        shapes: name in the ``state_dict`` -> shape.

    Example:
        >>> roles_of({"norm.weight": (8,), "norm.running_mean": (8,), "fc.weight": (2, 8), "fc.bias": (2,)})
        {'norm.weight': 'norm', 'norm.running_mean': 'batch_norm_mean', 'fc.weight': 'linear', 'fc.bias': 'bias'}
    """
    return {name: role_of(name, shape, shapes) for name, shape in shapes.items()}


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sorting key in which ``layer10`` follows ``layer9``."""
    parts = re.split(r"(\d+)", name)
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in parts)
