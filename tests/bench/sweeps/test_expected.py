"""A plan states what it computes, what is cached, and a time that holds once a model has run."""

from __future__ import annotations

import time

import pytest
from rich.console import Console

from bench.config import RunConfig
from bench.sweeps.expected import Expected
from bench.sweeps.sweep import sweep
from tests.builders.suite_and_model import coloured_images


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return coloured_images(tmp_path_factory.mktemp("data"))


def swept(images, folder, *models: str, dry: bool = False, **more) -> str:
    config = RunConfig(
        suite="eurosat_rgb",
        models=models,
        data=images,
        results=folder / "results",
        cache=folder / "cache",
        download=False,
        device="cpu",
        **more,
    )
    out = Console(width=300, markup=False)
    with out.capture() as captured:
        assert not sweep(config, out, dry=dry).failed
    return captured.get()


def cost_line(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("to compute: "))


def test_what_is_computed_and_cached_and_on_what_the_time_rests(images, tmp_path):
    text = cost_line(swept(images, tmp_path, "rcf", dry=True, protocols=("probe",)))
    assert text.startswith("to compute: 1 backbone pass over 48 images, 1 probe run; about ")
    assert text.endswith(", a rough guess until the first model has run")
    swept(images, tmp_path, "rcf", protocols=("probe",))
    text = cost_line(swept(images, tmp_path, "rcf", dry=True, protocols=("probe", "knn")))
    assert text.startswith("to compute: 1 knn run (1 backbone pass cached); about ")
    assert text.endswith("from 1 earlier run on this machine")
    text = cost_line(swept(images, tmp_path, "rcf", dry=True, protocols=("finetune",), seeds=(0,)))
    assert text.startswith("to compute: 1 finetune run (1 backbone pass cached); about ")
    assert "backbone pass over" not in text


def test_features_of_some_layers_serve_the_next_frozen_arm(images, tmp_path):
    arm = {"finetune": {"steps": 3, "evaluations": 1, "learning_rates": (1e-3,)}}
    more = {"protocols": ("finetune",), "settings": arm}
    first = cost_line(swept(images, tmp_path, "imagenet_resnet18.random", seeds=(0,), **more))
    assert first.startswith("to compute: 1 backbone pass over 48 images, 1 finetune run;")
    arm["finetune"]["steps"] = 4
    second = cost_line(swept(images, tmp_path, "imagenet_resnet18.random", seeds=(0,), dry=True, **more))
    assert second.startswith("to compute: 1 finetune run (1 backbone pass cached); about ")


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["frozen", "full"])
def test_fine_tuning_takes_what_the_plan_says_once_a_model_has_run(tuning, images, tmp_path, monkeypatch):
    """The runs of one seed are known; those of the next seeds, with other samples to learn from, are announced."""
    announced: list[Expected] = []
    text = Expected.text

    def kept(self: Expected) -> str:
        announced.append(self)
        return text(self)

    monkeypatch.setattr(Expected, "text", kept)
    arm = {"tuning": (tuning,), "steps": 6, "batch": 4, "evaluations": 1, "patience": 0, "learning_rates": (1e-3,)}
    more = {"protocols": ("finetune",), "settings": {"finetune": arm}}
    swept(images, tmp_path, "imagenet_resnet18.random", seeds=(0,), **more)
    before = time.perf_counter()
    swept(images, tmp_path, "imagenet_resnet18.random", seeds=(0, 1, 2), **more)
    real = time.perf_counter() - before
    assert announced[-1].estimate.basis() == "from 1 earlier run on this machine"
    assert 0.5 < announced[-1].estimate.total() / real < 2
