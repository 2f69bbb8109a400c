"""Merging end to end: identities, batch norms, cards, refusals, and entries that go on being used."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import CARD, read_card
from bench.config import RunConfig, validate
from bench.core import BadSetting, Incompatible, MissingWeights
from bench.foundry import merge, prune
from bench.store import Store
from bench.sweeps.sweep import sweep
from tests.builders.conv_models import write_models, write_weights
from tests.builders.own_files import write_files

TINY = {"steps": 2, "evaluations": 1, "batch": 4}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a suite `own`, convolutional models and a cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOBENCH_CACHE", str(tmp_path / "cache"))
    write_files(tmp_path)
    write_models(tmp_path)
    return tmp_path


def make(folder, recipe=merge.RECIPE, **words):
    settings = validate(recipe.settings, {"entries": [folder / "made"] if (folder / "made").is_dir() else [], **words})
    return recipe.run(settings, data=folder / "data", out=folder / "made")


def kin(folder, count=2, **more):
    return [write_weights(folder / f"kin{draw}.safetensors", noise=0.5, draw=draw, **more) for draw in range(count)]


def card_of(path):
    return read_card(path.with_name(CARD))


@pytest.mark.parametrize(
    "words",
    [
        {"method": "average"},
        {"method": "average", "shares": [0.3, 0.7]},
        {"method": "ties", "density": 1.0, "base": "tiny_mae"},
        {"method": "dare", "drop": 0.0, "base": "tiny_mae"},
    ],
)
def test_merging_two_equal_models_is_the_identity(folder, words):
    """Exact wherever a method drops nothing."""
    state = load_file(model_catalogue.__file__.replace("catalogue/models.py", "models/tiny/tiny_mae.safetensors"))
    save_file({name: (value.float() * 1.25).half() for name, value in state.items()}, folder / "twice.safetensors")
    member = f"path:{folder}/twice.safetensors:tiny_mae"
    merged = load_file(make(folder, models=[member, member], name="tiny_mae.same", **words))
    twice = load_file(folder / "twice.safetensors")
    assert all(torch.equal(merged[f"network.{name}"], value.float()) for name, value in twice.items())


def test_equal_members_with_batch_norm_keep_weights_and_an_average_keeps_statistics(folder):
    (member,) = kin(folder, 1)
    own = load_file(folder / "kin0.safetensors")
    kept = load_file(make(folder, models=[member, member], batch_norm="average", name="conv_wide.kept"))
    measured = load_file(make(folder, models=[member, member], suite="own", task="kind", name="conv_wide.measured"))
    for name, value in own.items():
        assert torch.equal(kept[name], value)
        assert torch.equal(measured[name], value) == ("running" not in name and "num_batches" not in name)
    assert "not measured on images" in " ".join(card_of(folder / "made" / "conv_wide.kept" / "x").notes)
    notes = " ".join(card_of(folder / "made" / "conv_wide.measured" / "x").notes)
    assert "only 60 images" in notes  # 40 of training and 20 of validation; test is not touched


def test_test_images_are_never_read(folder):
    words = {"models": kin(folder), "suite": "own", "task": "kind"}
    first = make(folder, name="conv_wide.one", **words).read_bytes()
    (folder / "data" / "own" / "test.npz").unlink()
    assert make(folder, name="conv_wide.two", **words).read_bytes() == first


@pytest.mark.parametrize(
    "words",
    [
        {"method": "dare", "drop": 0.9},
        {"method": "learned", "learning": TINY},
        {"method": "learned", "learning": {**TINY, "objective": "features", "grouping": "member"}},
    ],
)
def test_seeds_govern_everything(folder, words):
    words = {"models": kin(folder), "base": write_weights(folder / "base.safetensors"), "suite": "own", "task": "kind",
             **words}  # fmt: skip
    first = make(folder, name="conv_wide.a", seed=1, **words).read_bytes()
    torch.rand(3)
    assert make(folder, name="conv_wide.b", seed=1, **words).read_bytes() == first
    assert make(folder, name="conv_wide.c", seed=2, **words).read_bytes() != first


def test_learned_coefficients_move_and_are_on_the_card(folder):
    learning = {**TINY, "steps": 10, "coefficient_rate": 0.1}
    base = write_weights(folder / "base.safetensors")
    path = make(folder, models=kin(folder), base=base, method="learned", suite="own", task="kind", learning=learning)
    card = card_of(path)
    rows = card.data["coefficients"]
    assert set(rows["stem.0.weight"]) == {"conv_wide.kin0", "conv_wide.kin1"}
    assert any(abs(value - 0.5) > 0.05 for row in rows.values() for value in row.values())
    assert 0 <= card.scores["accuracy"] <= 1 and "own" not in card.trained_on  # this suite names no data set
    whole = {**TINY, "steps": 1, "coefficient_rate": 1e-9, "start": 1.0}
    words = {"models": kin(folder, 1), "base": base, "suite": "own", "task": "kind", "name": "conv_wide.one"}
    first = make(folder, method="learned", learning=whole, **words)
    member, merged = load_file(folder / "kin0.safetensors"), load_file(first)
    assert all(torch.allclose(merged[name], value, atol=1e-6) for name, value in member.items() if "running" not in name
               and value.is_floating_point())  # fmt: skip


def test_the_card_names_all_members_and_inherits_from_all(folder):
    write_weights(folder / "conv_deep.safetensors", "conv_deep")
    kin = write_weights(folder / "kin.safetensors", "conv_deep", noise=0.5)
    path = make(folder, models=["conv_deep", kin], weights=folder, batch_norm="average")
    card = card_of(path)
    assert (card.origin, card.base, card.recipe) == ("merged", "conv_deep", "merge")
    assert card.parents == ("conv_deep", "conv_deep.kin")
    assert card.trained_on == ("elsewhere", "more", "unknown")  # it is not known what the user's file has seen
    assert card.licence == "MIT; the user's own" and "Model soups" in card.reference
    assert card.settings["method"] == "average" and card.settings["shares"] == []
    assert any("same lineage" in note for note in card.notes)
    (entry,), _ = model_catalogue.select([card.name], [folder / "made"])
    assert entry.parent == "conv_deep + conv_deep.kin"


def test_strangers_are_merged_with_a_warning(folder):
    members = [write_weights(folder / f"s{seed}.safetensors", seed=seed) for seed in (0, 1)]
    lines = []
    settings = validate(merge.RECIPE.settings, {"models": members, "batch_norm": "average"})
    merge.RECIPE.run(settings, data=folder, out=folder / "made", progress=lines.append)
    assert any(line.startswith("warning: conv_wide.s0 and conv_wide.s1 are") for line in lines)


def test_a_smaller_network_is_filled_from_a_larger(folder):
    larger = write_weights(folder / "large.safetensors", "conv_deep", noise=0.5)
    path = make(
        folder, models=[larger], student="conv_narrow", method="select", suite="own", task="kind", name="narrow"
    )
    state, whole = load_file(path), load_file(folder / "large.safetensors")
    assert torch.equal(state["blocks.1.1.weight"], whole["blocks.1.1.weight"][::2, ::2])
    card = card_of(path)
    assert (card.base, card.parents, card.width, card.depth) == ("conv_narrow", ("conv_deep.large",), 4, 2)
    same = load_file(
        make(folder, models=[larger], student="conv_deep", method="select", batch_norm="average", name="same")
    )
    assert all(torch.equal(same[name], value) for name, value in whole.items())


def test_a_merged_entry_is_probed_tuned_pruned_and_merged_again(folder):
    name = "conv_wide.soup"
    make(folder, models=kin(folder), suite="own", task="kind", name=name)
    config = RunConfig(
        suite="own", models=(name,), tasks=("kind",), protocols=("probe", "finetune"), entries=(folder / "made",),
        data=folder / "data", results=folder / "results", cache=folder / "cache",
        settings={"probe": {"c": (0.1,), "steps": 30}, "finetune": {**TINY, "tuning": ["full"]}},
    )  # fmt: skip
    sweep(config, Console(file=io.StringIO(), width=200))
    records = list(Store(folder / "results").records("own"))
    assert {record.status for record in records} == {"ok"} and len(records) >= 2
    assert {record.facts["parent"] for record in records} == {"conv_wide.kin0 + conv_wide.kin1"}
    make(folder, prune.RECIPE, model=name, method="magnitude", ratio=0.3, name="conv_wide.sparse")
    again = make(folder, models=[name, "conv_wide.sparse"], batch_norm="average", name="conv_wide.again")
    assert card_of(again).parents == (name, "conv_wide.sparse") and card_of(again).base == "conv_wide"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"models": ["tiny_mae"]}, r"two networks or more; models= names 1"),
        ({"models": ["tiny_mae", "tiny_mae"], "method": "ties"}, "give base=NAME"),
        ({"models": ["tiny_mae", "tiny_mae"], "base": "tiny_mae"}, "needs no base="),
        ({"models": ["tiny_mae", "tiny_mae"], "student": "tiny_mae"}, "student= is for method=select"),
        ({"models": ["tiny_mae"], "method": "select"}, "give models=LARGER student=SMALLER"),
        ({"models": ["tiny_mae", "tiny_mae"], "shares": [1]}, "1 values for 2 members"),
        ({"models": ["tiny_mae"], "method": "learned", "base": "tiny_mae"}, "give suite="),
        ({"models": ["tiny_mae", "tiny_mae.random"]}, "tiny_mae.random has no weights"),
        ({"models": ["tiny_mae", "image_stats"]}, "has no parameters"),
        ({"models": ["tiny_mae", "tiny_croma"]}, "read the same bands"),
    ],
)
def test_requests_that_make_no_sense_are_named(folder, words, text):
    with pytest.raises((BadSetting, Incompatible, MissingWeights), match=text):
        make(folder, **words)


def test_members_that_cannot_be_merged_are_named(folder):
    first, second = kin(folder)
    other = write_weights(folder / "other.safetensors", seed=5)
    with pytest.raises(BadSetting, match=r"3 batch norms.*give suite=.*batch_norm=average"):
        make(folder, models=[first, second])
    with pytest.raises(Incompatible, match=r"is no ancestor of conv_wide\.kin0"):
        make(folder, models=[first, second], method="ties", base=other, batch_norm="average")
    deep = write_weights(folder / "deep.safetensors", "conv_deep")
    with pytest.raises(Incompatible, match=r"conv_wide\.kin0 and conv_deep\.deep differ in .* absent"):
        make(folder, models=[first, deep], batch_norm="average")
    with pytest.raises(Incompatible, match="no counterpart"):
        make(folder, models=[first], student="conv_deep", method="select", batch_norm="average")
    state = load_file(folder / "kin1.safetensors")
    state["stem.0.weight"][0, 0] = float("nan")
    save_file(state, folder / "kin1.safetensors")
    with pytest.raises((Incompatible, MissingWeights), match=r"kin1.*(NaN|not finite)"):
        make(folder, models=[first, second], batch_norm="average")
