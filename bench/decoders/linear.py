"""Linear: on the standardised image vector, or on the standardised token grid with bilinear upsampling.

The gradient-trained twin of the frozen probes: linear evaluation as in DINOv2 (Oquab et al. 2023, sec. 7.4), with a
z-score a channel from training statistics in place of batch norm, see `bench.decoders._norms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core import Kind, Layer, Task
from bench.decoders._contract import accept

if TYPE_CHECKING:
    from torch import nn

KINDS: tuple[Kind, ...] = (
    "classification",
    "multilabel",
    "regression",
    "segmentation",
    "change",
    "dense_regression",
)
LEVELS = 1
GRIDS = False  # of images as a whole it reads the vector alone
REFERENCE = "Oquab et al. 2023, arXiv 2304.07193"


def build(layers: Sequence[Layer], task: Task, *, outputs: int, image: tuple[int, int]) -> nn.Module:
    """Return the head: ``(taps, size)`` -> (B, outputs), or (B, outputs, H, W) of dense tasks.

    Args:
        layers: the one it reads.
        task: of a kind in `KINDS`.
        outputs: classes, or values.
        image: not used.
    """
    from torch import nn

    from bench.decoders._dense import Dense, One
    from bench.decoders._pooled import Linear
    from bench.decoders._pyramid import Standardised

    accept("linear", layers, task, kinds=KINDS, levels=LEVELS)
    channels = layers[0].channels
    if not task.dense:
        return Linear(channels, outputs)
    return Dense(Standardised(layers), One(nn.Identity()), width=channels, outputs=outputs)
