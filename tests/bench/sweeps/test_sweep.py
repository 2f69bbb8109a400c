"""One configuration to records: planned, shown, carried out, and cheap to run again."""

from __future__ import annotations

import pytest
from rich.console import Console

from bench.config import RunConfig
from bench.core import BadSetting, UnknownName
from bench.sweeps.resolved import resolve
from bench.sweeps.sweep import sweep
from tests.builders.suite_and_model import coloured_images


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return coloured_images(tmp_path_factory.mktemp("data"))


def swept(images, results, *models: str, dry: bool = False, **more) -> tuple:
    config = RunConfig(
        suite="eurosat_rgb", models=models, protocols=("knn",), data=images, results=results, download=False, **more
    )
    out = Console(width=160, markup=False)
    with out.capture() as captured:
        done = sweep(config, out, dry=dry)
    return done, captured.get()


def test_a_model_without_parameters_and_then_others(images, tmp_path):
    """The first example of a user: its record tells nothing of the speed, and nothing is divided by it."""
    done, text = swept(images, tmp_path, "image_stats")
    assert not done.failed and "1 runs: 0 stored, 1 to do" in text and "backbone pass: image_stats on train" in text
    done, text = swept(images, tmp_path, "image_stats", "rcf", dry=True)
    assert "2 runs: 1 stored, 1 to do" in text and "backbone pass" in text
    done, text = swept(images, tmp_path, "image_stats")
    assert "1 runs: 1 stored, 0 to do" in text and "begins" not in text


def test_a_plan_without_runs_gives_the_reasons(images, tmp_path):
    with pytest.raises(BadSetting, match="nothing to run on eurosat_rgb: presto reads pixel time series"):
        swept(images, tmp_path, "presto", "presto.random")


def test_counts_that_differ_from_the_suite_are_noted(images, tmp_path):
    note = (
        "split train: 24 samples are there, 16,200 are declared; is the download complete? download again, or correct "
        "splits= in the suite's file"
    )
    _, text = swept(images, tmp_path, "image_stats", dry=True)
    assert note in " ".join(text.split())
    done, text = swept(images, tmp_path, "image_stats")
    assert note in " ".join(text.split())
    records = list(done.request.store.records())
    assert records and all(note in record.notes for record in records), "whoever reads a record must know"
    done, text = swept(images, tmp_path, "image_stats")
    assert "0 to do" in text and note in " ".join(text.split()), "also where nothing is left to do"


def test_every_name_is_looked_up_first():
    for more in ({"suite": "demmo"}, {"models": ("tiny_ma",)}, {"protocols": ("prob",)}):
        with pytest.raises(UnknownName, match="did you mean"):
            resolve(RunConfig(**{"suite": "demo", **more}))
