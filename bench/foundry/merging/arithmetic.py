"""Arithmetic of merging: pure functions of states, tensor name -> values.

Computed in float64 and returned in the dtype of the first member, so that a merge of equal members is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bench.core.errors import BadSetting

State = Mapping[str, Tensor]


def average(members: Sequence[State], shares: Sequence[float] = ()) -> dict[str, Tensor]:
    """Return the weighted mean of states.

    Args:
        members: states with the same names and shapes.
        shares: weight per member, normalised to a sum of 1; equal if not given.

    Raises:
        BadSetting: not one share per member, or shares that are negative or sum to zero.
    """
    shares = tuple(shares) or (1.0,) * len(members)
    if len(shares) != len(members):
        raise BadSetting(f"shares= has {len(shares)} values for {len(members)} members; give one per member")
    if min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise BadSetting(f"shares={list(shares)}: give weights of 0 or more that do not sum to 0")
    merged = {}
    for name, first in members[0].items():
        # Written as first + sum of shares x differences, which is exact where all members are equal.
        value = first.double()
        for share, member in zip(shares[1:], members[1:], strict=True):
            value = value + share / sum(shares) * (member[name].double() - first.double())
        merged[name] = value.to(first.dtype)
    return merged


def task_vectors(members: Sequence[State], base: State) -> list[dict[str, Tensor]]:
    """Return the difference between each member and the base, float64."""
    return [{name: value.double() - base[name].double() for name, value in member.items()} for member in members]


def added(base: State, vector: State) -> dict[str, Tensor]:
    """Return a base with a task vector added, in the base's dtypes."""
    return {name: (value.double() + vector[name]).to(value.dtype) for name, value in base.items()}


def trimmed(vector: State, density: float) -> dict[str, Tensor]:
    """Return a task vector with all but its largest values set to zero.

    Args:
        vector: float64.
        density: share of all its values that stays, in (0, 1]; values equal to the smallest that stays, stay too.
    """
    sizes = torch.cat([value.abs().flatten() for value in vector.values()])
    kept = max(1, round(density * sizes.numel()))
    limit = sizes.kthvalue(sizes.numel() - kept + 1).values
    return {name: value * (value.abs() >= limit) for name, value in vector.items()}


def ties(vectors: Sequence[State], density: float) -> dict[str, Tensor]:
    """Return the merged task vector of TIES (Yadav et al. 2023, arXiv 2306.01708, algorithm 1).

    Each task vector is trimmed; the sign of each value is that of the sum over members; the result is the mean over
    the members whose trimmed value has that sign, 0 where there is none.

    Args:
        vectors: one per member.
        density: share of each that stays, see `trimmed`.
    """
    cut = [trimmed(vector, density) for vector in vectors]
    merged = {}
    for name in vectors[0]:
        values = torch.stack([vector[name] for vector in cut])
        sign = values.sum(0).sign()
        agree = (values.sign() == sign) & (values != 0)
        merged[name] = (values * agree).sum(0) / agree.sum(0).clamp_min(1)
    return merged


def dare(vectors: Sequence[State], drop: float, seed: int) -> dict[str, Tensor]:
    """Return the mean of task vectors after DARE (Yu et al. 2024, arXiv 2311.03099, section 3).

    Each value is dropped with a probability and the others are divided by 1 - that probability, which leaves the
    expectation unchanged.

    Args:
        vectors: one per member.
        drop: probability, in [0, 1).
        seed: of the draws; each member and tensor has draws of its own.
    """
    generator = torch.Generator().manual_seed(seed)
    merged = {name: torch.zeros_like(value) for name, value in vectors[0].items()}
    for vector in vectors:
        for name in sorted(vector):
            keep = torch.rand(vector[name].shape, generator=generator, dtype=torch.float64) >= drop
            merged[name] += vector[name] * keep / (1 - drop) / len(vectors)
    return merged


def combined(vectors: Sequence[State], coefficients: Tensor, groups: Mapping[str, int]) -> dict[str, Tensor]:
    """Return the sum of task vectors, each value times the coefficient of its group and member (aTLAS, equation 2).

    Args:
        vectors: one per member.
        coefficients: (groups, members).
        groups: tensor name -> row of `coefficients`.
    """
    rows = coefficients.detach().cpu().double()
    merged = {name: torch.zeros_like(value) for name, value in vectors[0].items()}
    for name, value in merged.items():
        for coefficient, vector in zip(rows[groups[name]], vectors, strict=True):
            value += coefficient * vector[name]
    return merged
