"""DPT: four layers reassembled as maps at strides 4 to 32, fused from coarse to fine by residual convolutions.

The class token is not used (readout ``ignore``), so that models with and without one are treated alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Layer, Task
from bench.decoders.parts.contract import DENSE, Decoder

if TYPE_CHECKING:
    from torch import nn

WIDTH = 256


def build(
    layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int], width: int = WIDTH
) -> nn.Module:
    """Return the decoder, a module ``(taps, size)`` -> (B, outputs, H, W).

    Args:
        layers: four, shallow to deep.
        task: of one of the kinds it serves.
        outputs: number of classes, or 1 for values.
        image: not used.
        width: number of channels inside the decoder.
    """
    from bench.decoders.parts.dense import Dense
    from bench.decoders.parts.dpt import DPT
    from bench.decoders.parts.pyramid import Standardised, finest_stride

    DECODER.accept("dpt", layers, task)
    return Dense(Standardised(layers), DPT(layers, finest_stride(layers), width), width=width, outputs=outputs)


DECODER = Decoder(kinds=DENSE, layers_read=4, reference="Ranftl et al. 2021, arXiv 2103.13413, sec. 3", build=build)
