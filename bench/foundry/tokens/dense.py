"""The published tokens: 230 values each, of weight matrices with their biases as last column.

Hanna et al., "GeoSANE" (arXiv 2603.23408), after SANE (arXiv 2406.09997). Tensors whose names lack ``weight`` have no
tokens in this mode: class tokens, tables of positions, layer scales, statistics of batch norms. They are listed, not
dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.errors import Incompatible

SIZE = 230
LARGEST_INT16 = 32_767


@dataclass(frozen=True, kw_only=True)
class Dense:
    """A network as published tokens.

    Attributes:
        values: float32 (tokens, size), zeros where `mask` is false.
        mask: bool (tokens, size), true for real values.
        positions: (tokens, 3): global number n, layer l, number within the layer k; int16, or int32 where n needs it.
        layers: names of the weights that have tokens, and whether a bias is their last column.
        uncovered: tensors without tokens.
    """

    values: Tensor
    mask: Tensor
    positions: Tensor
    layers: tuple[tuple[str, bool], ...]
    uncovered: Mapping[str, Tensor]


def dense_layers(state: Mapping[str, Tensor]) -> list[tuple[str, bool]]:
    """Return the names of the weights that have tokens, in order, and whether they have a bias."""
    layers = []
    for name, tensor in state.items():
        if "weight" in name and tensor.is_floating_point() and tensor.ndim:
            bias = state.get(name.replace("weight", "bias"))
            layers.append((name, bias is not None and bias.ndim == 1 and len(bias) == len(tensor)))
    return layers


def dense_count(state: Mapping[str, Tensor], size: int = SIZE) -> int:
    """Return the number of published tokens of a network; reads shapes only."""
    return sum(-(-(state[name].numel() + bias * len(state[name])) // size) for name, bias in dense_layers(state))


def dense_tokens(state: Mapping[str, Tensor], size: int = SIZE) -> Dense:
    """Return a network as published tokens.

    Args:
        state: name -> tensor, in the order of the ``state_dict``.
        size: values per token.
    """
    layers = dense_layers(state)
    count = dense_count(state, size)
    values, mask = torch.zeros((count, size)), torch.zeros((count, size), dtype=torch.bool)
    kind = torch.int16 if count <= LARGEST_INT16 else torch.int32
    positions = torch.zeros((count, 3), dtype=kind)
    positions[:, 0] = torch.arange(count)
    start = 0
    for number, (name, bias) in enumerate(layers):
        matrix = _matrix(state, name, bias).reshape(-1)
        length = -(-len(matrix) // size)
        place = start * size
        values.view(-1)[place : place + len(matrix)] = matrix
        mask.view(-1)[place : place + len(matrix)] = True
        positions[start : start + length, 1] = number
        positions[start : start + length, 2] = torch.arange(length)
        start += length
    covered = {name for name, _ in layers} | {name.replace("weight", "bias") for name, bias in layers if bias}
    uncovered = {name: tensor.detach().clone() for name, tensor in state.items() if name not in covered}
    return Dense(values=values, mask=mask, positions=positions, layers=tuple(layers), uncovered=uncovered)


def _matrix(state: Mapping[str, Tensor], name: str, bias: bool) -> Tensor:
    matrix = state[name].detach().float().reshape(len(state[name]), -1)
    return torch.cat([matrix, state[name.replace("weight", "bias")].detach().float()[:, None]], 1) if bias else matrix


def from_dense(dense: Dense, like: Mapping[str, Tensor], values: Tensor | None = None) -> dict[str, Tensor]:
    """Return the tensors of published tokens, in the types and shapes of a network of the same architecture.

    Args:
        dense: from `dense_tokens`.
        like: a network of the architecture; only shapes, types and order are read.
        values: other values in place of the tokens' own; padding in them is ignored.

    Raises:
        Incompatible: `values` or `like` do not fit the tokens.
    """
    chosen = dense.values if values is None else values
    if chosen.shape != dense.values.shape or dense_count(like, dense.values.shape[1]) != len(dense.values):
        raise Incompatible(f"{tuple(chosen.shape)} values do not fit {len(dense.values)} tokens of this architecture")
    flat = chosen.reshape(-1)
    covered: dict[str, Tensor] = {}
    start, size = 0, dense.values.shape[1]
    for name, bias in dense.layers:
        shape = like[name].shape
        total = like[name].numel() + bias * len(like[name])
        rows = flat[start : start + total].view(shape[0], -1)
        covered[name] = (rows[:, :-1] if bias else rows).reshape(shape).to(like[name].dtype)
        if bias:
            other = name.replace("weight", "bias")
            covered[other] = rows[:, -1].to(like[other].dtype).clone()
        start += -(-total // size) * size
    return {name: covered.get(name, dense.uncovered.get(name)) for name in like}  # type: ignore[misc]
