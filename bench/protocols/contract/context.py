"""Context: task, features, splits, settings and device of one run of a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from bench.core import Layer, Task
from bench.features.labelled import LabelledFeatures
from bench.finetuning.workbench import Workbench
from bench.input.recipe import InputRecipe


class OpenFeatures(Protocol):
    """Opens the stored features of one split."""

    def __call__(self, split: str) -> LabelledFeatures:
        """Return the features of a split joined with its labels; without labels if the protocol reads none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Context:
    """Inputs of one run of a protocol: task, features, splits, settings and device.

    Attributes:
        task: what to predict.
        recipe: how images become the model's input.
        image_size: (H, W) of the suite's images in pixels.
        layers: layers of the backbone, in order; only those that ``layers=`` names, where it is given.
        open: split -> its features; training and validation come as the run's label subset. A protocol opens test
            splits after it has chosen.
        tests: names of the test splits.
        settings: the protocol's settings, validated.
        seed: of everything random in the protocol.
        device: torch device.
        workbench: for protocols that run the network themselves, else None.
    """

    task: Task
    recipe: InputRecipe
    image_size: tuple[int, int]
    layers: tuple[Layer, ...]
    open: OpenFeatures
    tests: tuple[str, ...]
    settings: Any
    seed: int
    device: str = "cpu"
    workbench: Workbench | None = None
