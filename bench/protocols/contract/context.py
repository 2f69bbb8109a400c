"""Context: what one run of a protocol works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.core import Layer, Task
from bench.features.labelled import LabelledFeatures
from bench.finetuning.workbench import Workbench


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything one run of a protocol works with.

    Attributes:
        task: what to predict.
        layers: the backbone's layers, in order, those to be probed only.
        open: split name -> `LabelledFeatures`; training and validation come as the run's subset. A protocol opens test
            splits after it has chosen.
        tests: names of the test splits there are.
        settings: the protocol's own, validated.
        seed: of everything random in the protocol.
        device: torch device.
        network: for protocols that run it themselves, else None.
    """

    task: Task
    layers: tuple[Layer, ...]
    open: Callable[[str], LabelledFeatures]
    tests: tuple[str, ...]
    settings: Any
    seed: int
    device: str = "cpu"
    network: Workbench | None = None
