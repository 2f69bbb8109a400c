"""Entries in the layout of a hub: round trips are exact, and what strangers might put there is refused by name."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
import yaml
from safetensors.torch import save

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import CARD, Card, read_card, write_entry
from bench.config import validate
from bench.core import BadSetting, MissingData, MissingWeights, Structure, UnknownName
from bench.core.errors import Incompatible
from bench.foundry import hub_export, hub_import
from bench.foundry.pruning.budgets import example_images
from bench.foundry.sharing.folder import import_entry
from bench.networks.reshaped import ShortenedBackbone

NAME = "tiny_mae.short"


@pytest.fixture
def entry_folder(tmp_path):
    """A folder with one entry, two blocks of the tiny autoencoder."""
    entry = model_catalogue.entries()["tiny_mae"]
    short = ShortenedBackbone(entry.load(entry, None, 3, entry.bands), (1, 2))
    card = Card(
        name=NAME, origin="merged", objective="reconstruction", base="tiny_mae", parents=("tiny_mae", "tiny_dino"),
        bands=tuple(band.name for band in entry.bands), shape=Structure(blocks=(1, 2)),
        parameters=sum(value.numel() for value in short.parameters()), depth=2, width=72, recipe="merge", version=1,
        settings={"method": "average"}, seed=0, data={"suite": "demo", "task": "landcover"}, scores={"accuracy": 0.5},
        trained_on=("geobench-demo-unlabelled", "unknown"), licence="Apache-2.0", sha256="", notes=("a note",),
    )  # fmt: skip
    write_entry(tmp_path / "made", card, save({name: value.contiguous() for name, value in short.state_dict().items()}))
    return tmp_path / "made"


def export(entry_folder, **words):
    settings = validate(hub_export.RECIPE.settings, {"model": NAME, "entries": [entry_folder], **words})
    return hub_export.RECIPE.run(settings, data=entry_folder, out=entry_folder.parent / "hub").parent


def output(folder):
    (entry,), _ = model_catalogue.select([NAME], [folder])
    network = entry.load(entry, folder / NAME / "model.safetensors", 0, entry.bands)
    with torch.inference_mode():
        return network(example_images(entry, entry.bands), [3])[0].grid


def test_the_round_trip_keeps_card_and_outputs(entry_folder):
    folder = export(entry_folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    settings = validate(hub_import.RECIPE.settings, {"folder": folder})
    path = hub_import.RECIPE.run(settings, data=entry_folder, out=entry_folder.parent / "back")
    assert read_card(path.with_name(CARD)) == read_card(entry_folder / NAME / CARD)
    assert torch.equal(output(entry_folder.parent / "back"), output(entry_folder))


def test_the_front_matter_states_licence_parents_data_and_metric(entry_folder):
    text = (export(entry_folder) / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "library_name": "geobench-run",
        "license": "apache-2.0",
        "tags": ["geobench-run", "earth-observation", "merged", "merge", "tiny_mae"],
        "base_model": ["tiny_mae", "tiny_dino"],
        "base_model_relation": "merge",
        "datasets": ["geobench-demo-unlabelled"],
        "metrics": ["accuracy"],
    }
    assert "recipe=hub_import" in body and "a note" in body and "unknown" in body


def test_licences_without_an_identifier_are_named_in_words(entry_folder):
    from bench.foundry.sharing.model_card import front_matter

    card = read_card(entry_folder / NAME / CARD)
    mixed = front_matter(card.model_copy(update={"licence": "MIT; Apache-2.0", "scores": {}, "trained_on": ()}))
    assert (mixed["license"], mixed["license_name"]) == ("other", "MIT; Apache-2.0")
    assert "datasets" not in mixed and "metrics" not in mixed
    assert "license" not in front_matter(card.model_copy(update={"licence": ""}))


def test_an_entry_can_be_imported_under_another_name_and_never_over_another(entry_folder):
    folder = export(entry_folder)
    back = entry_folder.parent / "back"
    import_entry(folder, "", back)
    with pytest.raises(BadSetting, match=r"the name tiny_mae\.short is taken; give another with name="):
        import_entry(folder, "", back)
    with pytest.raises(BadSetting, match="the name tiny_mae is taken"):
        import_entry(folder, "tiny_mae", back)
    with pytest.raises(BadSetting, match="cannot name an entry"):
        import_entry(folder, "../outside", back)
    path = import_entry(folder, "tiny_mae.theirs", back)
    assert read_card(path.with_name(CARD)).name == "tiny_mae.theirs"


def test_only_entries_that_recipes_left_are_exported(entry_folder):
    with pytest.raises(BadSetting, match="model=tiny_mae is no entry that a recipe left"):
        export(entry_folder, model="tiny_mae")
    with pytest.raises(BadSetting, match="no entry that a recipe left"):
        export(entry_folder, model=f"{NAME}.random")
    settings = validate(hub_export.RECIPE.settings, {"model": NAME, "entries": [entry_folder]})
    with pytest.raises(BadSetting, match="export into another folder"):
        hub_export.RECIPE.run(settings, data=entry_folder, out=entry_folder)
    (entry_folder / NAME / "model.safetensors").write_bytes(b"other")
    with pytest.raises(MissingData, match="does not match the SHA-256"):
        export(entry_folder)


def changed(folder, **card):
    """Change fields of the card in a configuration, its checksum with them, as a stranger could."""
    config = json.loads((folder / "config.json").read_text())
    sealed = Card.model_validate({**config["card"], **card}).sealed()
    (folder / "config.json").write_text(json.dumps({**config, "card": sealed.model_dump(mode="json")}))


def refused(folder, text, kinds=(MissingData,)):
    with pytest.raises(kinds, match=text):
        import_entry(folder, "", folder.parent / "back")
    assert not (folder.parent / "back").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.PT", "extra.pkl"])
def test_pickles_are_refused_by_name(entry_folder, name):
    folder = export(entry_folder)
    (folder / name).write_bytes(pickle.dumps({"a": 1}))
    refused(folder, f"holds {name}: pickled weights can run code")


def test_a_pickle_under_the_name_of_weights_is_refused(entry_folder):
    folder = export(entry_folder)
    (folder / "model.safetensors").write_bytes(pickle.dumps({"a": 1}, protocol=4))
    refused(folder, r"model\.safetensors is no safetensors file \(pickle\)")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_files_are_named(entry_folder, name):
    folder = export(entry_folder)
    (folder / name).unlink()
    refused(folder, f"lacks {name}")
    refused(folder / "nowhere", "there is no such folder", (BadSetting,))


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "a/b", "..", ""])
def test_paths_in_the_configuration_are_not_followed(entry_folder, name):
    folder = export(entry_folder)
    changed(folder, name=name)
    refused(folder, r"config\.json: card\.name .* paths in it are not followed")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[]", "describes no entry of geobench-run"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"model_type": "bert"}', "model_type 'bert'.*path:FILE:ENTRY"),
        ('{"model_type": "geobench-run", "format": 9}', "has format 9; this version reads 1"),
        ('{"model_type": "geobench-run", "format": 1, "card": {"name": 1}}', r"card\.name"),
    ],
)
def test_configurations_of_other_content_are_named(entry_folder, content, text):
    folder = export(entry_folder)
    (folder / "config.json").write_text(content)
    refused(folder, text)


def test_a_card_that_does_not_fit_its_weights_is_refused_before_anything_is_built(entry_folder):
    folder = export(entry_folder)
    changed(folder, shape={"shapes": {"inner.network.norm.weight": [10**12]}, "blocks": [1, 2]})
    refused(folder, r"shape of inner\.network\.norm\.weight is \(1000000000000,\)")
    changed(folder, shape={"attributes": {"inner": {"forward": 1}}, "blocks": [1, 2]})
    refused(folder, "attribute forward of a module; known are")
    changed(folder, shape={"blocks": [1, 2], "channels": [1]})
    refused(folder, "no network can be built")
    changed(folder, shape={"blocks": [1, 99]})
    refused(folder, "cannot be kept", (Incompatible,))
    changed(folder, shape={"blocks": [1]})
    refused(folder, "does not hold the weights", (MissingWeights,))
    changed(folder, shape={"blocks": [1, 2]}, parameters=5)
    refused(folder, "states 5 parameters")
    changed(folder, parameters=1, base="no_such")
    refused(folder, "no_such", (UnknownName,))
    changed(folder, sha256="0" * 64)
    refused(folder, "does not match the SHA-256")


def test_an_edited_card_is_noticed(entry_folder):
    folder = export(entry_folder)
    config = json.loads((folder / "config.json").read_text())
    config["card"]["trained_on"] = []
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, "does not match the checksum")


def test_weights_that_are_cut_short_are_refused(entry_folder):
    import hashlib

    folder = export(entry_folder)
    content = (folder / "model.safetensors").read_bytes()[:-100]
    (folder / "model.safetensors").write_bytes(content)
    changed(folder, sha256=hashlib.sha256(content).hexdigest())
    refused(folder, "damaged safetensors file")
