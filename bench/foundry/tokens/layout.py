"""Layouts: where every value of a network lies among its tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.core.errors import BadSetting
from bench.foundry.tokens.roles import ROLES, Role, roles_of

EXACT = (torch.float32, torch.float16, torch.bfloat16)
"""Types of numbers that float32 tokens hold without loss."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The tokens of one tensor.

    Attributes:
        name: in the ``state_dict``.
        shape, dtype: of the tensor.
        role: see `bench.foundry.tokens.roles`.
        depth: place of its module among the modules that hold tensors, from 0.
        start: number of its first token.
        row: number of its first row among the rows of the network.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    role: Role
    depth: int
    start: int
    row: int

    @property
    def values(self) -> int:
        """Number of values of the tensor."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """Number of rows: output channels of a matrix, 1 for vectors and single values."""
        return self.shape[0] if len(self.shape) > 1 else 1

    @property
    def columns(self) -> int:
        """Number of values per row."""
        return self.values // self.rows


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The tokens of a network: each tensor is flattened row by row, cut into tokens, and padded at its end.

    Attributes:
        size: values per token.
        slots: of the tensors with floating-point values, in the order of the ``state_dict``.
        tokens: how many there are.
        depth: number of modules that hold tensors.
        rows: of all tensors together.
    """

    size: int
    slots: tuple[Slot, ...]
    tokens: int
    depth: int
    rows: int

    @cached_property
    def counts(self) -> Tensor:
        """Number of real values of each token, int64 (tokens,); the values after them are padding."""
        counts = torch.full((self.tokens,), self.size, dtype=torch.int64)
        for slot in self.slots:
            counts[slot.start + -(-slot.values // self.size) - 1] -= -slot.values % self.size
        return counts

    def mask(self, first: int = 0, last: int | None = None) -> Tensor:
        """Return which values of tokens are real, bool (tokens, size).

        Args:
            first: token of the range.
            last: end of the range; of all tokens if not given.
        """
        return torch.arange(self.size) < self.counts[first:last, None]

    @property
    def values(self) -> int:
        """Number of real values."""
        return sum(slot.values for slot in self.slots)


def layout_of(state: Mapping[str, Tensor], size: int = 256) -> Layout:
    """Return the layout of a network's tokens.

    Every tensor with floating-point values gets tokens: parameters and buffers, of any shape. Integers (counts of
    batches) and empty tensors have none.

    Args:
        state: name -> tensor, of which shapes and types are read; may lie on the meta device.
        size: values per token.

    Raises:
        BadSetting: `size` is below 1, a tensor is complex, or there are no floating-point values.
    """
    if size < 1:
        raise BadSetting(f"size={size}: a token holds at least one value")
    roles = roles_of({name: tuple(tensor.shape) for name, tensor in state.items()})
    modules: dict[str, int] = {}
    slots: list[Slot] = []
    start = row = 0
    for name, tensor in state.items():
        if tensor.is_complex():
            raise BadSetting(f"{name} is complex; tokens hold real numbers")
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        slot = Slot(
            name=name,
            shape=tuple(tensor.shape),
            dtype=tensor.dtype,
            role=roles[name],
            depth=modules.setdefault(name.rpartition(".")[0], len(modules)),
            start=start,
            row=row,
        )
        slots.append(slot)
        start += -(-slot.values // size)
        row += slot.rows
    if not slots:
        raise BadSetting("the network has no floating-point values to make tokens of")
    return Layout(size=size, slots=tuple(slots), tokens=start, depth=len(modules), rows=row)


def positions(layout: Layout) -> Tensor:
    """Return the position of every token, int64 (tokens, 5): role, depth, row, column and global number.

    Row and column are those of the token's first value; the role is a place in `bench.foundry.tokens.roles.ROLES`. The
    global number alone is unique; so are the other four together, but for modules with several tensors of one role.
    """
    table = torch.empty((layout.tokens, 5), dtype=torch.int64)
    table[:, 4] = torch.arange(layout.tokens)
    for slot in layout.slots:
        first = torch.arange(0, slot.values, layout.size)
        rows = table[slot.start : slot.start + len(first)]
        rows[:, 0], rows[:, 1] = ROLES.index(slot.role), slot.depth
        rows[:, 2], rows[:, 3] = first // slot.columns, first % slot.columns
    return table


def position_features(table: Tensor, frequencies: int = 16) -> Tensor:
    """Return features of positions, float32 (tokens, roles + 4 * 2 * frequencies), one block per coordinate.

    The role is one-hot; depth, row, column and global number each have sines and cosines of their own, at wavelengths
    from 2 pi to 2 pi * 2^20. The blocks are concatenated: with sums, positions could share features.

    Args:
        table: from `positions`.
        frequencies: per coordinate.
    """
    rates = torch.exp2(-torch.linspace(0, 20, frequencies, dtype=torch.float64))
    angles = table[:, 1:, None].double() * rates
    waves = torch.cat([angles.sin(), angles.cos()], -1).flatten(1).float()
    return torch.cat([torch.nn.functional.one_hot(table[:, 0], len(ROLES)).float(), waves], 1)
