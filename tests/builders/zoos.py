"""A small zoo of branches of a random CIFAR ResNet on the generated landscapes of the demo."""

from __future__ import annotations

from pathlib import Path

from bench.config import validate
from bench.foundry.zoo import RECIPE

WORDS = {
    "trunk": "cifar_resnet20.random",
    "name": "toy",
    "suite": "demo",
    "task": "landcover",
    "labels": 0.1,
    "branch": 0.5,
    "held_out": [0],
    "mixes": 3,
    "mix_classes": 3,
    "degradations": ["plain", "blur:1"],
    "training": {"steps": 4, "batch": 8},
}


def make_zoo(folder: Path, **words: object) -> list[str]:
    """Make the zoo below a folder and return what the recipe reported."""
    lines: list[str] = []
    settings = validate(RECIPE.settings, WORDS | words)
    RECIPE.run(settings, data=folder, out=folder / "zoo", progress=lines.append)
    return lines
