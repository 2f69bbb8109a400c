"""A zoo: children of one trunk that differ, deterministic by seed, resumed after a kill, with their lineage."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import CARD, WEIGHTS, read_card
from bench.core import BadSetting
from bench.networks.batch_norms import is_statistic
from tests.builders.zoos import make_zoo


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOBENCH_CACHE", str(folder / "cache"))
        make_zoo(folder)
    return folder


def states(folder):
    return {path.parent.name: load_file(path) for path in sorted((folder / "zoo").glob(f"*/{WEIGHTS}"))}


def test_every_child_states_its_lineage_condition_and_exposure(folder):
    cards = {path.parent.name: read_card(path) for path in (folder / "zoo").glob(f"*/{CARD}")}
    assert sorted(cards) == ["toy_c00_s0", "toy_c01_s0", "toy_c02_s0", "toy_trunk"]
    child = cards["toy_c01_s0"]
    assert child.parents == ("toy_trunk", "cifar_resnet20.random") and child.base == "cifar_resnet20"
    assert child.data["branch"] == 0.5 and child.data["condition"].endswith("+blur:1") and child.seed == 0
    assert 0 not in child.data["classes"] and 0 not in cards["toy_trunk"].data["classes"]
    assert child.trained_on == ("demo",) and child.cost["steps"] == 2
    (entry,), _ = model_catalogue.select(["toy_c01_s0"], [folder / "zoo"])
    assert entry.parent == "toy_trunk + cifar_resnet20.random" and entry.trained_on == child.trained_on


def test_children_differ_from_trunk_and_each_other_in_weights_and_statistics(folder):
    weights = states(folder)
    trunk = weights.pop("toy_trunk")
    for state in weights.values():
        moved = [name for name, value in state.items() if not torch.equal(value, trunk[name])]
        assert {name for name in state if not name.endswith("num_batches_tracked")} <= set(moved)
        means = [name for name in state if is_statistic(name) and name.endswith("running_mean")]
        assert means and all(bool(state[name].isfinite().all()) for name in means)
    first, second, _ = weights.values()
    assert not torch.equal(first["network.conv1.weight"], second["network.conv1.weight"])


def test_a_zoo_is_the_same_again_and_resumes_without_touching_what_is_there(folder, tmp_path):
    make_zoo(tmp_path, mixes=1)
    killed = tmp_path / "zoo" / "toy_c00_s0" / CARD
    killed.unlink()  # as after a kill between weights and card
    kept = (tmp_path / "zoo" / "toy_trunk" / WEIGHTS).stat().st_mtime_ns
    make_zoo(tmp_path)
    assert (tmp_path / "zoo" / "toy_trunk" / WEIGHTS).stat().st_mtime_ns == kept
    ours, theirs = states(folder), states(tmp_path)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(theirs[name][key], value) for name in ours for key, value in ours[name].items())
    with pytest.raises(BadSetting, match="an entry of other settings"):
        make_zoo(tmp_path, training={"steps": 8, "batch": 8})


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"branch": 0.01}, "is no step"),
        ({"held_out": [99]}, "classes, 0 to"),
        ({"mixes": 1000}, "different conditions"),
        ({"mix_classes": 9}, "of .* classes that are not held out"),
        ({"conditions": ["classes:0.1"]}, "has a class of held_out"),
        ({"training": {"tuning": ["frozen"]}}, "tuning=full"),
    ],
)
def test_requests_that_make_no_sense_are_named(tmp_path, words, text):
    with pytest.raises(BadSetting, match=text):
        make_zoo(tmp_path, **words)
