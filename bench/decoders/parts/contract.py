"""Decoder: the typed noun that each file of `bench.decoders` exports as ``DECODER``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core import Kind, Layer, Task
from bench.core.errors import Incompatible

if TYPE_CHECKING:
    from torch import nn

DENSE: tuple[Kind, ...] = ("segmentation", "change", "dense_regression")
"""Kinds of task whose target has a value per pixel."""
POOLED: tuple[Kind, ...] = ("classification", "multilabel", "regression")
"""Kinds of task whose target has one value, or one vector, per image."""


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A head that turns the taps of a backbone into the output of a task.

    Attributes:
        kinds: the kinds of task it serves.
        layers_read: number of layers it reads; 0 for every layer, at least one.
        reference: the paper, with arXiv id, and the implementation it follows.
        build: ``(layers, task, outputs=, image=) -> nn.Module``. The layers are those it reads, shallow to deep;
            `outputs` is the number of classes or values, `image` the (H, W) of the prepared input in pixels. Heavy
            imports stay inside.
        reads_grids: whether it reads the token grids; otherwise the image vectors suffice.
    """

    kinds: tuple[Kind, ...]
    layers_read: int
    reference: str
    build: Callable[..., nn.Module]
    reads_grids: bool = True

    def accept(self, name: str, layers: Sequence[Layer], task: Task) -> None:
        """Raise `Incompatible` unless the decoder serves the kind of the task and is given as many layers as it reads.

        Args:
            name: of the decoder, for the message.
            layers: the layers it is to read.
            task: the task it is to predict.
        """
        if task.kind not in self.kinds:
            raise Incompatible(f"decoder {name} serves {', '.join(self.kinds)}; task {task.name} is {task.kind}")
        if len(layers) != self.layers_read if self.layers_read else not layers:
            raise Incompatible(f"decoder {name} reads {self.layers_read or 'one or more'} layers; given {len(layers)}")
