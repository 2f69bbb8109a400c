"""Linear: a linear layer on the standardised image vector, or on the standardised token grid with bilinear upsampling.

It is the counterpart of the frozen probes that is trained by gradient descent: linear evaluation as in DINOv2 (Oquab et
al. 2023, sec. 7.4), with each channel standardised by training statistics instead of batch norm, see
`bench.decoders.parts.norms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Layer, Task
from bench.decoders.parts.contract import DENSE, POOLED, Decoder

if TYPE_CHECKING:
    from torch import nn


def build(layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int]) -> nn.Module:
    """Return the head, a module ``(taps, size)`` -> (B, outputs), or (B, outputs, H, W) for dense tasks.

    Args:
        layers: the only layer it reads.
        task: of one of the kinds it serves.
        outputs: number of classes or values.
        image: not used.
    """
    from torch import nn

    from bench.decoders.parts.dense import Dense, OnlyMap
    from bench.decoders.parts.pooled import Linear
    from bench.decoders.parts.pyramid import Standardised

    DECODER.accept("linear", layers, task)
    channels = layers[0].channels
    if not task.dense:
        return Linear(channels, outputs)
    return Dense(Standardised(layers), OnlyMap(nn.Identity()), width=channels, outputs=outputs)


DECODER = Decoder(
    kinds=(*POOLED, *DENSE),
    layers_read=1,
    reference="Oquab et al. 2023, arXiv 2304.07193",
    build=build,
    reads_grids=False,
)
