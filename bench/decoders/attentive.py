"""Attentive probe: one learned query gathers an image's tokens by cross-attention, and a linear layer reads that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Kind, Layer, Task
from bench.decoders._contract import accept

if TYPE_CHECKING:
    from torch import nn

KINDS: tuple[Kind, ...] = ("classification", "multilabel", "regression")
LEVELS = 1
REFERENCE = "Chen et al. 2022, arXiv 2202.03026 (attentive probing); as in Bardes et al. 2024, arXiv 2404.08471"


def build(layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int]) -> nn.Module:
    """Return the head: ``(taps, size)`` -> (B, outputs).

    Args:
        layers: the one it reads.
        task: of a kind in `KINDS`.
        outputs: classes, or values.
        image: not used.
    """
    from bench.decoders._pooled import Attentive

    accept("attentive", layers, task, kinds=KINDS, levels=LEVELS)
    return Attentive(layers[0].channels, outputs)
