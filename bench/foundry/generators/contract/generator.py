"""Generator: the typed noun that each file of `bench.foundry.generators` exports as ``GENERATOR``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Sampler(Protocol):
    """A generator that has learned from a lineage."""

    def __call__(self, condition: Tensor, count: int, noise: torch.Generator) -> Tensor:
        """Return `count` codes (count, k) for a condition (c,); each has noise of its own."""
        ...


@dataclass(frozen=True, kw_only=True)
class Generator:
    """A way to learn the distribution of codes.

    Attributes:
        version: raised when the same codes and seed give other samples.
        conditional: it reads the condition; otherwise its samples are the same for all conditions.
        reference: of the method.
        learn: ``(codes (N, k), conditions (N, c), seed) -> Sampler``; codes have mean 0 and variance 1 per dimension,
            conditions likewise.
    """

    version: int
    conditional: bool
    reference: str
    learn: Callable[[Tensor, Tensor, int], Sampler]
