"""Learned layer mix: a softmax-weighted mean of the layers' mean tokens, then a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Kind, Layer, Task
from bench.decoders._contract import accept

if TYPE_CHECKING:
    from torch import nn

KINDS: tuple[Kind, ...] = ("classification", "multilabel", "regression")
LEVELS = 0
GRIDS = False  # it reads mean tokens
"""All layers, or as many as the caller gives."""
REFERENCE = "Peters et al. 2018, arXiv 1802.05365, eq. 1"


def build(layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int]) -> nn.Module:
    """Return the head: ``(taps, size)`` -> (B, outputs).

    Args:
        layers: any number, in order of depth.
        task: of a kind in `KINDS`.
        outputs: classes, or values.
        image: not used.
    """
    from bench.decoders._pooled import LayerMix

    accept("layer_mix", layers, task, kinds=KINDS, levels=LEVELS)
    return LayerMix(layers, outputs)
