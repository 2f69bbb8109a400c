"""Equal keys give equal results, to the bit: alone, in another order, after other work, and after a kill.

Every protocol, way of tuning, decoder and recipe is found by name, so that a new one is tested by being there.
"""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.config import Settings, validate
from bench.core import lookup
from bench.decoders.parts.contract import Decoder
from bench.finetuning.tuning import PARTS, WHOLE, modules_of
from bench.foundry.contract.recipe import Recipe
from tests.builders.arms import ENTRY, SUITE, TASKS, a_run, load_tiny
from tests.builders.equal_keys import after_a_kill, after_others, alone, differences, of_seed, other_work
from tests.builders.suite_and_model import BANDS
from tests.builders.training import Killed

SHORT = {"steps": 6, "evaluations": 3, "batch": 10, "learning_rates": (1e-3, 3e-3), "augment": ("auto",), "keep": True}
SMALL = {
    "compress": {"arms": ("student",), "budgets": (0.5,), "steps": 4, "evaluations": 2, "batch": 10, "images": 24},
    "drift": SHORT | {"keep": False, "samples": 12, "learning_rates": (3e-3,)},
    "finetune": SHORT | {"tuning": ("full",)},
    "knn": {"k": (1, 5)},
    "probe": {"c": (0.1, 1.0), "alpha": (1.0, 10.0), "steps": 8},
}
"""Settings with which a protocol is quick; one that is not named here runs with its own."""
NO_TRAINING = ("embed",)  # runs the network once over images, and stores nothing on the way


def protocol_run(name: str, task: str, *, entry=ENTRY, **more):
    """Return a run of a protocol, or None where it refuses the task."""
    module = lookup.module("bench.protocols", name, kind="protocol")
    run = a_run(task, protocol=module, entry=entry, **SMALL.get(name, {}) | more)
    if module.PROTOCOL.refuses(entry, SUITE, run.task, run.settings):
        return None
    stated = run.settings.model_dump(mode="json")
    return dataclasses.replace(run, key=dataclasses.replace(run.key, settings=stated))


def check(run, folder: Path, *, killed: bool = True) -> None:
    """Assert that a run gives the same in every order, and another one where its seed differs."""
    first = alone(run, folder / "alone")
    assert differences(first, after_others(run, folder / "order")) == []
    again, was_killed = after_a_kill(run, folder / "kill")
    assert was_killed == killed
    assert differences(first, again) == []


@pytest.mark.parametrize("task", ["kind", "mask"])
@pytest.mark.parametrize("name", lookup.names("bench.protocols"))
def test_every_protocol_follows_its_key(tmp_path, name, task):
    if (run := protocol_run(name, task)) is None:
        pytest.skip(f"{name} refuses {task}")
    check(run, tmp_path, killed=name not in NO_TRAINING)


def tunings() -> list:
    """Return every way of tuning; single types of modules, which share one path, are slow ones."""
    return [*WHOLE, *(pytest.param(name, marks=pytest.mark.slow) for name in PARTS)]


@pytest.mark.parametrize("tuning", tunings())
def test_every_tuning_follows_its_key(tmp_path, tuning):
    run = protocol_run("finetune", "kind", tuning=(tuning,), learning_rates=(3e-3,), augment=("flips", "crop"))
    if tuning in PARTS and not modules_of(load_tiny(ENTRY, None, 0, BANDS), PARTS[tuning]):
        pytest.skip(f"the network of the test has no {tuning}")
    check(run, tmp_path)


LARGE = ("dpt", "faster_rcnn", "fcos", "fpn", "retinanet", "upernet")
"""Decoders that take more than ten seconds."""


def decoders() -> list:
    """Return every decoder with each task of the suite that it serves."""
    cases = []
    for name in lookup.names("bench.decoders"):
        marks = [pytest.mark.slow] if name in LARGE else []
        noun = lookup.noun("bench.decoders", name, Decoder)
        cases += [pytest.param(name, task.name, marks=marks) for task in TASKS.values() if task.kind in noun.kinds]
    return cases


@pytest.mark.parametrize(("decoder", "task"), decoders())
def test_every_decoder_follows_its_key(tmp_path, decoder, task):
    """Dropout, the init of heads, the samplers of detectors: with augmented images, in parts of five samples."""
    levels = lookup.noun("bench.decoders", decoder, Decoder).layers_read
    taps = "last" if levels < 2 else "quarters"
    short = {"steps": 3, "learning_rates": (3e-3,), "micro_batch": 5, "taps": (taps,)}
    check(
        protocol_run("finetune", task, decoders=(decoder,), tuning=("frozen",), augment=("flips",), **short), tmp_path
    )


def careless(entry, weights, seed, bands):
    """Return a network whose last weights are drawn from every global generator, as a user's loader may do."""
    network = load_tiny(entry, weights, 0, bands)
    drawn = torch.randn(()) + float(np.random.normal()) + random.gauss(0, 1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1 + 0.1 * drawn)
    return network


@pytest.mark.parametrize("name", ["probe", "finetune"])
def test_a_loader_that_draws_from_global_generators_follows_the_key(tmp_path, name):
    entry = dataclasses.replace(ENTRY, load=careless)
    first = alone(protocol_run(name, "kind", entry=entry), tmp_path / "alone")
    assert differences(first, after_others(protocol_run(name, "kind", entry=entry), tmp_path / "order")) == []
    seed_one = alone(of_seed(protocol_run(name, "kind", entry=entry), 1), tmp_path / "other")
    assert "scores" in differences(first, seed_one) or "curves" in differences(first, seed_one)


# --- recipes

RECIPES = {
    "pretrain": [
        {"model": name, "task": "unlabelled", "images": 8, "epochs": 1, "batch": 4}
        for name in ("tiny_mae", "tiny_dino", "tiny_croma")
    ],
    "prune": [
        {"model": "tiny_mae", "suite": "demo", "task": "landcover", "labels": 0.05, "batches": 1, "method": method,
         "recovery": {"steps": 2, "evaluations": 1, "batch": 4, "learning_rates": [1e-3]}}
        for method in ("dropout",)
    ],
}  # fmt: skip
"""Settings with which a recipe is quick."""


def recipes() -> list:
    return [(name, words) for name in lookup.names("bench.foundry") for words in RECIPES.get(name, [None])]


@pytest.mark.parametrize(("name", "words"), recipes())
def test_every_recipe_follows_its_settings(tmp_path, name, words):
    if words is None:
        pytest.skip(f"no small settings for {name} here; what it draws is seeded all the same, see the next test")
    recipe = lookup.noun("bench.foundry", name, Recipe)
    settings = validate(recipe.settings, words)

    def weights_of(folder: str, **changes) -> bytes:
        return recipe.run(settings.model_copy(update=changes), data=tmp_path, out=tmp_path / folder).read_bytes()

    first = weights_of("alone")
    assert weights_of("seed_1", seed=1) != first
    other_work()
    assert weights_of("again") == first

    def kill(text: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        recipe.run(settings, data=tmp_path, out=tmp_path / "killed", progress=kill)
    other_work()
    assert weights_of("killed") == first


class NoisySettings(Settings):
    """Settings of a recipe that names no generator."""

    seed: int = 0


def test_a_recipe_that_draws_from_global_generators_follows_its_seed(tmp_path):
    drawn = []

    def run(settings, *, data, out, device="cpu", progress=None):
        drawn.append((torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()))
        return out

    recipe = Recipe(version=1, settings=NoisySettings, run=run)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    recipe.run(NoisySettings(), data=tmp_path, out=tmp_path)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
    other_work()
    recipe.run(NoisySettings(), data=tmp_path, out=tmp_path)
    recipe.run(NoisySettings(seed=1), data=tmp_path, out=tmp_path)
    assert drawn[0] == drawn[1] != drawn[2]
