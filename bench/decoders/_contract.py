"""What every decoder checks of the layers and task it is built for."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core import Kind, Layer, Task
from bench.errors import Incompatible


def accept(name: str, layers: Sequence[Layer], task: Task, *, kinds: tuple[Kind, ...], levels: int) -> None:
    """Raise `Incompatible` unless a decoder serves a task's kind and is given as many layers as it reads.

    Args:
        name: of the decoder, for the message.
        layers: those it is to read.
        task: what is to be predicted.
        kinds: task kinds it serves.
        levels: number of layers it reads; 0 is any number from one.
    """
    if task.kind not in kinds:
        raise Incompatible(f"decoder {name} serves {', '.join(kinds)}; task {task.name} is {task.kind}")
    if len(layers) != levels if levels else not layers:
        raise Incompatible(f"decoder {name} reads {levels or 'one or more'} layers; given {len(layers)}")
