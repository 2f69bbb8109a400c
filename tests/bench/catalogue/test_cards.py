"""Entries that recipes left: found, loaded, refused when damaged, and told apart by name."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import Card, inherited, made_entries, origin_of, read_card, write_entry
from bench.core import BadSetting, MissingData, MissingWeights, Structure, UnknownName


def a_card(**changes):
    facts = {
        "name": "tiny_mae.short", "origin": "pruned", "objective": "reconstruction", "base": "tiny_mae",
        "parents": ("tiny_mae",), "bands": tuple(band.name for band in model_catalogue.entries()["tiny_mae"].bands),
        "shape": Structure(blocks=(1, 2)), "parameters": 1000, "depth": 2, "width": 96, "recipe": "prune", "version": 1,
        "settings": {"ratio": 0.5}, "seed": 0, "trained_on": ("geobench-demo-unlabelled",), "sha256": "",
    }  # fmt: skip
    return Card(**{**facts, **changes})


def short_state(seed=0):
    from bench.networks.reshaped import ShortenedBackbone

    entry = model_catalogue.entries()["tiny_mae"]
    short = ShortenedBackbone(entry.load(entry, None, seed, entry.bands), (1, 2))
    return {name: value.contiguous() for name, value in short.state_dict().items()}


def test_an_entry_is_found_and_loads_its_weights(tmp_path):
    state = short_state(seed=3)
    path = write_entry(tmp_path, a_card(), save(state))
    chosen, explicit = model_catalogue.select(["origin:pruned"], [tmp_path])
    assert [entry.name for entry in chosen] == ["tiny_mae.short"] and not explicit
    (entry,) = chosen
    assert entry.parent == "tiny_mae" and entry.weights.sha256 == read_card(path.with_name("card.json")).sha256
    network = entry.load(entry, path, 0, entry.bands)
    assert [layer.name for layer in network.layers] == ["embedding", "block_1", "block_2", "norm"]
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name])
    (control,), _ = model_catalogue.select(["tiny_mae.short.random"], [tmp_path])
    other = control.load(control, None, 1, control.bands)
    assert not torch.equal(next(iter(other.parameters())), next(iter(network.parameters())))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused_for_entries_of_recipes_too(tmp_path, value):
    state = {name: values.clone() for name, values in short_state().items()}
    name = next(name for name, values in state.items() if values.ndim > 1)
    state[name].flatten()[:3] = value
    path = write_entry(tmp_path, a_card(), save(state))
    (entry,), _ = model_catalogue.select(["tiny_mae.short"], [tmp_path])
    with pytest.raises(MissingWeights, match=rf"3 values are NaN or infinite \(3 of \d+ in {name}\)"):
        entry.load(entry, path, 0, entry.bands)


def test_damaged_cards_and_taken_names_are_refused(tmp_path):
    path = write_entry(tmp_path, a_card(), save(short_state())).with_name("card.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"trained_on": []}))
    with pytest.raises(MissingData, match="does not match its checksum"):
        read_card(path)
    path.write_text("[]")
    with pytest.raises(MissingData, match="no readable card"):
        made_entries([tmp_path], model_catalogue.entries())
    path.write_text(json.dumps(content))
    path.parent.rename(tmp_path / "another")
    with pytest.raises(MissingData, match="its folder is another"):
        made_entries([tmp_path], model_catalogue.entries())


def test_names_bases_and_folders_are_checked(tmp_path):
    with pytest.raises(BadSetting, match="cannot name an entry"):
        write_entry(tmp_path, a_card(name="../outside"), b"")
    write_entry(tmp_path / "one", a_card(name="tiny_mae"), b"")
    with pytest.raises(BadSetting, match="the name tiny_mae is taken"):
        model_catalogue.select(["all"], [tmp_path / "one"])
    write_entry(tmp_path / "two", a_card(base="no_such"), b"")
    with pytest.raises(UnknownName, match=r"base entry of tiny_mae\.short"):
        model_catalogue.select(["all"], [tmp_path / "two"])
    with pytest.raises(BadSetting, match="there is no such folder"):
        model_catalogue.select(["all"], [tmp_path / "three"])


def test_what_one_parent_has_seen_stays_unknown():
    entries = model_catalogue.entries()
    stranger = dataclasses.replace(entries["tiny_mae"], trained_on=())
    datasets, _ = inherited([entries["tiny_mae"], stranger, entries["tiny_mae.random"]])
    assert datasets == ("geobench-demo-unlabelled", "unknown")
    assert inherited([dataclasses.replace(stranger, trained_on=datasets)])[0] == datasets
    assert inherited([entries["tiny_mae"], entries["tiny_mae.random"]])[0] == ("geobench-demo-unlabelled",)


def test_base_and_structure_of_a_made_entry_its_twin_and_a_file_for_its_network(tmp_path):
    path = write_entry(tmp_path, a_card(parents=("tiny_mae", "tiny_dino")), save(short_state()))
    for word, name in (
        ("tiny_mae.short", "tiny_mae.short"),
        ("tiny_mae.short.random", "tiny_mae.short.random"),
        (f"path:{path}:tiny_mae.short", "tiny_mae.short.model"),
    ):
        (entry,), _ = model_catalogue.select([word], [tmp_path])
        base, structure = origin_of(entry)
        assert (entry.name, base.name, structure.blocks) == (name, "tiny_mae", (1, 2))
    assert model_catalogue.select(["tiny_mae.short"], [tmp_path])[0][0].parent == "tiny_mae + tiny_dino"
    assert origin_of(model_catalogue.entries()["tiny_mae"]) is None


def test_exposure_and_licences_are_inherited():
    entries = model_catalogue.entries()
    datasets, licences = inherited([entries["tiny_mae"], entries["tiny_dino"], entries["tiny_mae"]])
    assert datasets == ("geobench-demo-unlabelled",) and licences == "Apache-2.0"
