"""DPT: four layers reassembled as maps at strides 4 to 32, fused from coarse to fine by residual convolutions.

The class token is left out (readout ``ignore``), so that models with and without one are read alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Kind, Layer, Task
from bench.decoders._contract import accept

if TYPE_CHECKING:
    from torch import nn

KINDS: tuple[Kind, ...] = ("segmentation", "change", "dense_regression")
LEVELS = 4
REFERENCE = "Ranftl et al. 2021, arXiv 2103.13413, sec. 3"
WIDTH = 256


def build(
    layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int], width: int = WIDTH
) -> nn.Module:
    """Return the decoder: ``(taps, size)`` -> (B, outputs, H, W).

    Args:
        layers: four, shallow to deep.
        task: of a kind in `KINDS`.
        outputs: classes, or 1 for values.
        image: not used.
        width: channels inside.
    """
    from bench.decoders._dense import Dense
    from bench.decoders._dpt_network import DPT
    from bench.decoders._pyramid import Standardised, finest_stride

    accept("dpt", layers, task, kinds=KINDS, levels=LEVELS)
    return Dense(Standardised(layers), DPT(layers, finest_stride(layers), width), width=width, outputs=outputs)
