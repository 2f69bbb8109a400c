"""Generation: every parameter of an entry has a source, candidates are ranked without the test split."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import CARD, WEIGHTS, read_card
from bench.config import validate
from bench.core import BadSetting, UnknownName
from bench.core.errors import Incompatible
from bench.foundry.generate import RECIPE
from bench.input.splits import Splits
from bench.networks.batch_norms import is_statistic
from tests.builders.zoos import make_zoo


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOBENCH_CACHE", str(folder / "cache"))
        make_zoo(folder)
    return folder


def generate(zoo, out, lines=None, **words):
    given = {"zoo": zoo, "suite": "demo", "task": "landcover", "labels": -4, "n": 2, "keep": 1}
    settings = validate(RECIPE.settings, given | words)
    return RECIPE.run(settings, data=out, out=out, progress=(lines if lines is not None else []).append)


def test_an_entry_is_left_with_the_source_of_every_parameter(folder, tmp_path, monkeypatch):
    real = Splits.split

    def no_test(self, task, name, bands):
        assert name != "test", "the test split was opened"
        return real(self, task, name, bands)

    monkeypatch.setattr(Splits, "split", no_test)
    lines = []
    path = generate(folder / "zoo", tmp_path, lines, generator="conditional", condition="classes:0.1.2", keep=2)
    card, state = read_card(path.with_name(CARD)), load_file(path)
    assert set(card.data["sources"]) == set(state) and card.data["generated_share"] >= 0.99
    statistics = [name for name in state if is_statistic(name)]
    assert statistics and all("measured on" in card.data["sources"][name] for name in statistics)
    trunk = load_file(folder / "zoo" / "toy_trunk" / WEIGHTS)
    means = [name for name in statistics if name.endswith("running_mean")]
    assert not any(torch.equal(state[name], trunk[name]) for name in means)
    assert card.origin == "generated" and card.parents[0] == "toy_trunk" and len(card.parents) == 4
    assert {"validation", "dispersion", "first_over_median", "distance_to_nearest"} <= set(card.scores)
    other = read_card(tmp_path / "toy_trunk.conditional_1" / CARD)
    assert card.scores["validation"] >= other.scores["validation"]
    assert any("spectrum" in line for line in lines) and any("dispersion" in line for line in lines)
    (entry,), _ = model_catalogue.select(["toy_trunk.conditional_0"], [folder / "zoo", tmp_path])
    assert entry.load(entry, path, 0, entry.bands).layers[-1].channels == 64


@pytest.mark.parametrize("how", ["task", "features"])
def test_generation_is_seeded_and_refinement_changes_the_codes(folder, tmp_path, how):
    words = {"generator": "gaussian", "n": 1}
    plain = generate(folder / "zoo", tmp_path / "a", **words).read_bytes()
    assert generate(folder / "zoo", tmp_path / "b", **words).read_bytes() == plain
    assert generate(folder / "zoo", tmp_path / "c", seed=1, **words).read_bytes() != plain
    refined = generate(folder / "zoo", tmp_path / "d", refine=how, refine_steps=2, refine_batch=12, **words)
    assert refined.read_bytes() != plain


def test_damaged_members_are_named_and_left_out(folder, tmp_path):
    zoo = tmp_path / "zoo"
    shutil.copytree(folder / "zoo", zoo)
    lines = []
    (zoo / "toy_c00_s0" / WEIGHTS).write_bytes(b"nothing")
    generate(zoo, tmp_path / "a", lines, n=1)
    assert any("toy_c00_s0 left out" in line for line in lines)
    state = load_file(zoo / "toy_c01_s0" / WEIGHTS)
    state["network.conv1.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, zoo / "toy_c01_s0" / WEIGHTS)
    with pytest.raises(Incompatible, match=r"1 sound members of toy_trunk.*NaN"):
        generate(zoo, tmp_path / "b", n=1)


def test_a_stranger_as_prompt_is_warned_of_with_its_distance(folder, tmp_path):
    lines = []
    make_zoo(tmp_path, name="other", trunk="cifar_resnet20.random", seed=5, mixes=1)
    state = load_file(tmp_path / "zoo" / "other_trunk" / WEIGHTS)
    draws = torch.Generator().manual_seed(0)
    for value in state.values():
        if value.ndim > 1:
            value.normal_(generator=draws).mul_(0.1)
    path = tmp_path / "zoo" / "other_trunk"
    from safetensors.torch import save

    from bench.catalogue.cards import write_entry

    write_entry(tmp_path / "zoo", read_card(path / CARD), save(state))
    generate(folder / "zoo", tmp_path, lines, prompt="other_trunk", entries=[tmp_path / "zoo"], n=1)
    assert any("unlike anything" in line and "cosine" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ({"generator": "gausian"}, UnknownName, "gaussian"),
        ({"condition": "classes:0.77"}, BadSetting, "has the classes"),
        ({"prompt": "tiny_mae"}, Incompatible, "another architecture"),
        ({"keep": 3}, BadSetting, "keep=3 of n=2"),
        ({"zoo": None}, BadSetting, "give zoo="),
        ({"labels": -1.5}, BadSetting, "per class"),
    ],
)
def test_requests_that_make_no_sense_are_named(folder, tmp_path, words, error, text):
    with pytest.raises(error, match=text):
        generate(**({"zoo": folder / "zoo", "out": tmp_path} | words))


def test_folders_without_a_lineage_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Incompatible, match="no entries to learn from"):
        generate(tmp_path / "empty", tmp_path)
    with pytest.raises(BadSetting, match="no such folder"):
        generate(tmp_path / "nowhere", tmp_path)
    make_zoo(tmp_path, mixes=1)
    with pytest.raises(Incompatible, match="1 sound members"):
        generate(tmp_path / "zoo", tmp_path)
