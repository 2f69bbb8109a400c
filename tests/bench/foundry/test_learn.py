"""The autoencoder as a recipe: published sizes, resumable training, held-out lineages, and the rate bound."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest
import torch

from bench.config import validate
from bench.core import BadSetting, UnknownName
from bench.foundry.autoencoder.settings import SIZES, describe
from bench.foundry.autoencoder.sources import TokenSource
from bench.foundry.autoencoder.training import train
from bench.foundry.collect import RECIPE as COLLECT
from bench.foundry.learn import RECIPE
from bench.store.seals import read_sealed
from tests.builders.families import moved, random_state, save


@pytest.fixture
def collection(tmp_path):
    zoo, out = tmp_path / "zoo", tmp_path / "collection"
    out.mkdir()
    for family in range(2):
        base = random_state(10 * family)
        for child in range(3):
            save(zoo, f"net{family}{child}", moved(base, 10 * family + child, 0.3))
    COLLECT.run(validate(COLLECT.settings, {"from": str(zoo), "draws": 20}), data=out, out=out)
    return out


def settings_of(collection, **words):
    words = {"preset": "tiny", "steps": 6, "batch": 4, "save_every": 2, **words}
    return validate(RECIPE.settings, {"collection": str(collection), **words})


def test_dry_prints_the_published_size_without_torch(tmp_path):
    words = ["recipe=learn", "preset=paper", "collection=nowhere", "--dry"]
    program = (
        "import sys; from bench.cli.make import make; sys.argv[1:] = sys.argv[1:]\n"
        "try:\n    make()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "909,036,420 parameters with weight decay and 101,854 without" in " ".join(result.stdout.split())
    assert not list(tmp_path.iterdir())


def test_the_recipe_leaves_weights_a_report_and_facts(collection, tmp_path):
    lines = []
    out = tmp_path / "ae"
    path = RECIPE.run(settings_of(collection, held_out="net10"), data=out, out=out, progress=lines.append)
    assert path == out / "autoencoder.safetensors" and path.is_file()
    facts = read_sealed(out / "autoencoder.json", "autoencoder")
    assert facts["held_out"] == ["net10"] and len(facts["losses"]) == 6
    with (out / "reconstruction.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["split"] for row in rows} == {"training", "held out"}
    assert {"conv", "linear", "norm", "bias", "all"} <= {row["role"] for row in rows}
    assert all(float(row["bound"]) == 0.5 for row in rows)
    assert any("held out: net10" in line for line in lines)


def test_bad_requests_are_sentences(collection, tmp_path):
    with pytest.raises(UnknownName, match="no lineage 'net99'"):
        RECIPE.run(settings_of(collection, held_out="net99"), data=tmp_path, out=tmp_path / "a")
    with pytest.raises(BadSetting, match="nothing is left to train on"):
        RECIPE.run(settings_of(collection, held_out=["net00", "net10"]), data=tmp_path, out=tmp_path / "b")


@pytest.mark.parametrize("preset", ["tiny", "tiny-paper"])
def test_a_killed_training_goes_on_to_the_same_bits(preset, tmp_path):
    states = [random_state(seed) for seed in range(2)]
    sources = [TokenSource(str(i), str(i), lambda state=state: state, SIZES[preset]) for i, state in enumerate(states)]
    settings = settings_of(tmp_path, preset=preset)
    whole, losses = train(settings, sources, out=tmp_path / "whole")
    train(settings, sources, out=tmp_path / "killed", until=3)
    lines = []
    again, resumed = train(settings, sources, out=tmp_path / "killed", report=lines.append)
    assert lines[0] == "going on after step 3" and resumed == losses
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())
    with pytest.raises(BadSetting, match="other settings or models"):
        train(settings_of(tmp_path, preset=preset, seed=1), sources, out=tmp_path / "killed")


def test_descriptions_name_the_rate():
    assert "keeps 0.500 of their variance" in describe(settings_of("x"))
