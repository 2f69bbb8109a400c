"""Attentive probe: one learned query pools the tokens of an image by cross-attention, and a linear layer follows."""

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
        layers: the only layer it reads.
        task: of one of the kinds it serves.
        outputs: number of classes or values.
        image: not used.
    """
    from bench.decoders.parts.pooled import Attentive

    DECODER.accept("attentive", layers, task)
    return Attentive(layers[0].channels, outputs)


DECODER = Decoder(
    kinds=POOLED,
    layers_read=1,
    reference="Chen et al. 2022, arXiv 2202.03026 (attentive probing); as in Bardes et al. 2024, arXiv 2404.08471",
    build=build,
)
