"""Learned layer mix: a softmax-weighted mean over layers of their mean tokens, then a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Layer, Task
from bench.decoders.parts.contract import POOLED, Decoder

if TYPE_CHECKING:
    from torch import nn


def build(layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int]) -> nn.Module:
    """Return the head, a module ``(taps, size)`` -> (B, outputs).

    Args:
        layers: any number, in order of depth.
        task: of one of the kinds it serves.
        outputs: number of classes or values.
        image: not used.
    """
    from bench.decoders.parts.pooled import LayerMix

    DECODER.accept("layer_mix", layers, task)
    return LayerMix(layers, outputs)


DECODER = Decoder(
    kinds=POOLED, layers_read=0, reference="Peters et al. 2018, arXiv 1802.05365, eq. 1", build=build, reads_grids=False
)
