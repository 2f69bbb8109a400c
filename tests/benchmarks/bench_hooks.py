"""Activations of 96 sub-modules of a ViT-B/16 by hooks in one pass, against the bare pass over the same images; ratios.

python tests/benchmarks/bench_hooks.py [--images 32] [--rounds 3]

In the pass before tuning every part's tuned copy answers to the same input (local drift). A block and its attention are
parts that hold others, so the copy's work is done up to three times; the pass after tuning is a plain one.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.core import Band, Normalise, Sample, Task
from bench.features.activations import activations, parts_of
from bench.features.forward import whole_taps
from bench.input.batches import ImageExamples
from bench.input.recipe import match
from bench.networks.from_timm import load_vit
from tests.builders.suite_and_model import toy_entry, toy_suite
from tests.builders.timing import in_turns

BANDS = tuple(Band(name=f"rgb.{name}", unit="uint8") for name in ("red", "green", "blue"))
TASK = Task(name="kind", kind="classification", classes=("off", "on"), metric="accuracy")
SIDE, BATCH = 224, 8
ENTRY = toy_entry(
    name="vit_base",
    bands=BANDS,
    normalise=Normalise(kind="affine", shift=(128.0,) * 3, scale=(64.0,) * 3),
    image_size=SIDE,
    patch=16,
    depth=12,
    width=768,
    load=partial(load_vit, name="vit_base_patch16_224", pool="mean"),
)
SUITE = toy_suite(bands=BANDS, image_size=(SIDE, SIDE), tasks=(TASK,))


def noise(row: int) -> Sample:
    values = np.random.default_rng(row).uniform(0, 255, (1, 3, SIDE, SIDE))
    return Sample(images={"rgb": values.astype(np.float32)}, target=0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    recipe = match(ENTRY, SUITE, TASK, BANDS)
    torch.manual_seed(0)
    network: Any = ENTRY.load(ENTRY, None, 0, recipe.bands)
    tuned = copy.deepcopy(network)
    parts = parts_of(network, ["*"])
    count = options.images
    examples = ImageExamples(
        sample=noise, positions=list(range(count)), ids=[str(i) for i in range(count)], blocks=[""] * count,
        task=TASK, recipe=recipe, statistics={}, device="cpu",
    )  # fmt: skip
    layers = range(len(network.layers))

    def bare() -> None:
        network.eval()
        with torch.no_grad():
            for start in range(0, count, BATCH):
                for part in examples.read(range(start, min(start + BATCH, count))):
                    whole_taps(recipe, network, part.given, layers)

    def hooked(other: Any = None) -> object:
        return activations(network, examples, recipe, parts, batch=BATCH, other=other)

    runs: dict[str, Callable[[], object]] = {
        "bare pass": bare,
        "hooked pass": hooked,
        "hooked pass with local answers": lambda: hooked(tuned),
    }
    spent = in_turns(runs, options.rounds)
    print(f"{len(parts)} sub-modules and {len(layers)} layers of {count} images; seconds over the bare pass")
    for name, seconds in spent.items():
        ratio = statistics.median(hooked / bare for hooked, bare in zip(seconds, spent["bare pass"], strict=True))
        print(f"  {name}: {statistics.median(seconds):.2f} s, {ratio:.3f}")


if __name__ == "__main__":
    main()
