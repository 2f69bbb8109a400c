"""The tiny zoo: its facts, cards and files agree, its networks load, and they learned something."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.catalogue import weights
from bench.config import read_words, validate
from bench.core.errors import Incompatible, MissingWeights
from bench.foundry.pretraining.settings import PretrainSettings
from bench.foundry.pretraining.training import METHODS, completed
from bench.input.prepare import prepare
from bench.input.recipe import match
from bench.models import tiny
from suites.generated.demo import SUITE
from tests.builders.networks import assert_close, assert_same_taps, assert_same_weights, differ

ENTRIES = {entry.name: entry for entry in tiny.ENTRIES}
FOLDER = weights.PACKAGED


def file_of(entry):
    return FOLDER / entry.weights.file


def card_of(entry):
    return json.loads(file_of(entry).with_suffix(".json").read_text())


def images(bands, count=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    sensors = dict.fromkeys(band.sensor for band in bands)
    return {s: torch.randn(count, 1, sum(b.sensor == s for b in bands), 64, 64, generator=rng) for s in sensors}


def test_the_module_precedes_the_folder_of_the_same_name():
    assert Path(tiny.__file__).name == "tiny.py" and FOLDER.joinpath("tiny").is_dir()


def test_listing_imports_no_torch():
    code = "import sys, bench.models.tiny; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ENTRIES)
def test_parameters_are_counted_and_few(name):
    entry = ENTRIES[name]
    backbone = entry.load(entry, None, 0, entry.bands)
    count = sum(weight.numel() for weight in backbone.parameters())
    assert count == entry.parameters < 500_000
    assert backbone.layers[-1].channels == entry.width
    assert sum(layer.name.startswith("block_") for layer in backbone.layers) == entry.depth
    assert not backbone.training and not any(weight.requires_grad for weight in backbone.parameters())


def test_the_shipped_files_are_small():
    files = [path for path in FOLDER.joinpath("tiny").iterdir() if not path.name.startswith(".")]
    assert {path.name for path in files} == {f"{name}.{kind}" for name in ENTRIES for kind in ("safetensors", "json")}
    assert sum(path.stat().st_size for path in files) < 4 * 2**20


@pytest.mark.parametrize("name", ENTRIES)
def test_facts_card_and_file_agree(name):
    entry, content = ENTRIES[name], file_of(ENTRIES[name]).read_bytes()
    card = card_of(entry)
    assert hashlib.sha256(content).hexdigest() == entry.weights.sha256 == card["sha256"]
    assert len(content) == entry.weights.size == card["bytes"]
    assert (card["name"], card["origin"], card["objective"]) == (name, entry.origin, entry.objective)
    assert card["licence"] == entry.weights.licence == "Apache-2.0"
    assert (card["data"]["suite"], card["data"]["version"], card["data"]["images"]) == ("demo", SUITE.version, 4000)
    assert len(card["losses"]) == card["epochs"] and card["losses"][-1] < card["losses"][0]


@pytest.mark.parametrize("name", ENTRIES)
def test_the_command_in_the_facts_is_the_one_that_made_the_weights(name):
    entry, card = ENTRIES[name], card_of(ENTRIES[name])
    command, _, words = entry.weights.how.partition("recipe=pretrain ")
    assert command == "run: geobench-make "
    named = completed(entry, validate(PretrainSettings, read_words(words.split(), list(PretrainSettings.model_fields))))
    own = named.model_dump(mode="json")[METHODS[entry.objective][0]]
    # In a card, 0 is a number that was left to the method.
    recorded = completed(entry, PretrainSettings(**card["settings"]))
    assert recorded == named and recorded.epochs == card["epochs"]
    assert card["method"].items() <= {**own, "name": METHODS[entry.objective][1].__name__}.items()


def test_bands_are_standardised_with_the_statistics_of_the_pool():
    """The card of the model with every band holds their moments over the whole pool, after normalisation."""
    entry = ENTRIES["tiny_croma"]
    data = card_of(entry)["data"]
    assert data["bands"] == [band.name for band in entry.bands] == list(tiny.STATISTICS)
    assert np.abs(data["normalised_mean"]).max() < 2e-3
    assert np.abs(np.subtract(data["normalised_deviation"], 1)).max() < 2e-3


@pytest.mark.parametrize("name", ENTRIES)
def test_the_shipped_weights_are_what_runs(name):
    entry = ENTRIES[name]
    given = images(entry.bands)
    trained = entry.load(entry, file_of(entry), 0, entry.bands)
    other = entry.load(entry, file_of(entry), 1, entry.bands)
    random = [entry.load(entry, None, seed, entry.bands) for seed in (0, 0, 1)]
    every = range(len(trained.layers))
    assert_same_weights(other, trained)
    assert_same_weights(random[1], random[0])
    taps = [backbone(given, every) for backbone in (trained, other, *random)]
    for index in every:
        vectors = [tap[index].vector for tap in taps]
        assert_close(vectors[1], vectors[0])
        assert_close(vectors[3], vectors[2])
        assert differ(vectors[0], vectors[2]) and differ(vectors[2], vectors[4])
        assert torch.isfinite(vectors[0]).all()
        assert taps[0][index].grid.shape == (2, entry.width, 8, 8)
        assert (taps[0][index].cls is None) == (name == "tiny_croma" or index == 0)


def test_pooling_is_the_authors():
    for name, pool in (("tiny_mae", "mean"), ("tiny_dino", "cls")):
        entry = ENTRIES[name]
        tap = entry.load(entry, None, 0, entry.bands)(images(entry.bands), [6])[0]
        expected = tap.cls if pool == "cls" else tap.grid.mean((-2, -1))
        assert torch.allclose(tap.vector, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("bands", "layers"),
    [
        (tiny.S2, ["embedding", "block_1", "block_2", "block_3", "block_4", "norm"]),
        (tiny.S1, ["embedding", "block_1", "block_2", "norm"]),
        ((*tiny.S2, *tiny.S1), ["embedding", *(f"block_{index}" for index in range(1, 7)), "norm"]),
    ],
)
def test_croma_takes_either_sensor_or_both(bands, layers):
    entry = ENTRIES["tiny_croma"]
    backbone = entry.load(entry, file_of(entry), 0, bands)
    assert [layer.name for layer in backbone.layers] == layers
    taps = backbone(images(bands), range(len(layers)))
    assert all(tap.vector.shape == (2, entry.width) and torch.isfinite(tap.vector).all() for tap in taps)
    sensors = {band.sensor for band in bands}
    parts = {name.split(".")[1] for name, _ in backbone.named_parameters()}
    alone = {f"{sensor}_GAP_FFN" for sensor in sensors} if len(sensors) == 1 else {"joint_encoder"}
    assert parts == {f"{sensor}_encoder" for sensor in sensors} | alone


def test_cromas_optical_blocks_are_the_same_with_and_without_radar():
    entry = ENTRIES["tiny_croma"]
    given = images(entry.bands)
    both = entry.load(entry, file_of(entry), 0, entry.bands)(given, range(5))
    alone = entry.load(entry, file_of(entry), 0, tiny.S2)({"s2": given["s2"]}, range(5))
    assert_same_taps(alone, both)


def test_cromas_joint_blocks_depend_on_both_sensors():
    entry = ENTRIES["tiny_croma"]
    backbone = entry.load(entry, file_of(entry), 0, entry.bands)
    given, other = images(entry.bands), images(entry.bands, seed=1)
    plain = backbone(given, [4, 5])
    for sensor, changed in (("s1", [False, True]), ("s2", [True, True])):
        taps = backbone({**given, sensor: other[sensor]}, [4, 5])
        assert [differ(t.grid, p.grid) for t, p in zip(taps, plain, strict=True)] == changed


@pytest.mark.parametrize(
    ("name", "bands"),
    [("tiny_mae", tiny.S2[1:]), ("tiny_mae", tiny.S1), ("tiny_dino", ()), ("tiny_croma", tiny.S1[:1])],
)
def test_a_part_of_a_sensor_is_refused(name, bands):
    entry = ENTRIES[name]
    with pytest.raises(Incompatible, match=rf"{name} takes .*s2\.b01.*; it is given"):
        entry.load(entry, None, 0, bands)


def test_weights_of_another_model_are_refused():
    with pytest.raises(MissingWeights, match="tiny_mae"):
        ENTRIES["tiny_mae"].load(ENTRIES["tiny_mae"], file_of(ENTRIES["tiny_croma"]), 0, tiny.S2)
    with pytest.raises(MissingWeights, match="tiny_croma"):
        ENTRIES["tiny_croma"].load(ENTRIES["tiny_croma"], file_of(ENTRIES["tiny_mae"]), 0, tiny.S2)


@pytest.fixture(scope="module")
def tiles():
    """The first twelve scenes of train and of test, 192 tiles each: images, land cover and biomass."""
    splits = {}
    for name in ("train", "test"):
        split = SUITE.open(Path(), "landcover", name, SUITE.bands)
        samples = [split[index] for index in range(192)]
        images = {s: torch.from_numpy(np.stack([sample.images[s] for sample in samples])) for s in ("s2", "s1")}
        biomass = SUITE.open(Path(), "biomass", name, SUITE.bands)
        splits[name] = (
            images,
            [sample.target for sample in samples],
            [biomass[index].target[0] for index in range(192)],
        )
    return splits


def scores(entry, tiles, bands, path, seed=0):
    """Return accuracy on land cover and R2 on biomass, each a mean over layers, which varies less than the best."""
    recipe = match(entry, SUITE, SUITE.tasks[0], bands)
    backbone = entry.load(entry, path, seed, recipe.bands)
    sensors = {band.sensor for band in bands}
    layers = range(1, len(backbone.layers))
    taps = {
        name: backbone(prepare({s: v for s, v in images.items() if s in sensors}, recipe, {}), layers)
        for name, (images, *_) in tiles.items()
    }
    by_layer = []
    for index in range(len(layers)):
        train, test = (taps[name][index].grid.mean((-2, -1)).numpy() for name in ("train", "test"))
        probes = (LogisticRegression(C=0.1, max_iter=500), Ridge(30.0))
        by_layer.append(
            [
                make_pipeline(StandardScaler(), probe).fit(train, tiles["train"][task]).score(test, tiles["test"][task])
                for task, probe in enumerate(probes, start=1)
            ]
        )
    return np.mean(by_layer, 0)


# At most half of the difference measured to the best of three random twins, because 192 tiles are few.
@pytest.mark.parametrize(
    ("name", "bands", "margins"),
    [
        ("tiny_mae", tiny.S2, (0.05, 0.08)),
        ("tiny_dino", tiny.S2, (0.01, 0.06)),
        ("tiny_croma", tiny.S2, (0.02, 0.08)),
        ("tiny_croma", tiny.S1, (0.05, 0.07)),
        ("tiny_croma", (*tiny.S2, *tiny.S1), (0.02, 0.07)),
    ],
)
def test_pretraining_beats_random_weights(name, bands, margins, tiles):
    entry = ENTRIES[name]
    names = {band.name for band in bands}
    bands = [band for band in SUITE.bands if band.name in names]
    trained = scores(entry, tiles, bands, file_of(entry))
    random = np.max([scores(entry, tiles, bands, None, seed) for seed in (0, 1)], 0)
    assert (trained > random + margins).all(), f"trained {trained}, best random twin {random}"
