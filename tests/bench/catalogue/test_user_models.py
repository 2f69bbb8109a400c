"""A user's own models: weights for a known architecture, a file of entries, ready-made embeddings."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from bench.api import benchmark
from bench.catalogue import models as model_catalogue
from bench.catalogue.user_models import OWN
from bench.catalogue.weights import PACKAGED, WeightSources
from bench.config import RunConfig
from bench.core import Weights
from bench.core.errors import BadSetting, MissingWeights, UnknownName
from bench.features.ready_made import read_embeddings
from bench.protocols import knn
from bench.runs.carry_out import carry_out
from bench.store import Store
from tests.builders.sessions import ENTRY, a_run, new_session
from tests.builders.suite_and_model import COUNTS, ToySplit, coloured_images

IDS = [f"sample {number}" for number in range(5)]
VALUES = np.arange(15, dtype=np.float32).reshape(5, 3)


@pytest.fixture
def embeddings(tmp_path):
    """Vectors of every toy sample that say its class, in a parquet file; rows are in an order of their own."""
    rows = []
    for split in COUNTS:
        one = ToySplit("kind", split, COUNTS[split], ENTRY.bands)
        rows += [
            (name, [float(label == 0), float(label == 1), 0.1 * number % 1])
            for number, (name, label) in enumerate(zip(one.ids, one.targets(), strict=True))
        ]
    path = tmp_path / "mine.parquet"
    pd.DataFrame(rows[::-1], columns=["id", "embedding"]).to_parquet(path)
    return path


def test_embeddings_are_probed_like_any_model(tmp_path, embeddings):
    (entry,), explicit = model_catalogue.select([f"embeddings:{embeddings}"])
    assert explicit and entry.name == "embeddings.mine"
    record = carry_out(a_run(0, entry=entry), new_session(tmp_path))
    assert record.status == "ok", record.error
    assert record.scores["test"]["last"]["accuracy"] == 1.0
    assert record.cost["passes"] == 0
    record = carry_out(a_run(0, entry=entry, protocol=knn), new_session(tmp_path))
    assert record.scores["test"]["last"]["accuracy"] > 0.95


def test_other_embeddings_are_other_runs(tmp_path, embeddings):
    (entry,), _ = model_catalogue.select([f"embeddings:{embeddings}"])
    shelf = WeightSources(folder=None, cache=tmp_path / "cache")
    before = shelf.digest(entry)
    frame = pd.read_parquet(embeddings)
    frame.iloc[:-1].to_parquet(embeddings)
    assert shelf.digest(entry) != before
    record = carry_out(a_run(0, entry=entry), new_session(tmp_path))
    assert record.status == "failed" and "no embedding of 1 of 120 samples, the first 'train_0'" in record.error


def test_embeddings_have_no_pixels(embeddings):
    from bench.core.errors import Incompatible
    from bench.input.recipe import match
    from tests.builders.suite_and_model import BANDS, toy_suite

    (entry,), _ = model_catalogue.select([f"embeddings:{embeddings}"])
    with pytest.raises(Incompatible, match="vectors of whole images; mask is predicted pixel by pixel"):
        match(entry, toy_suite(), toy_suite().tasks[2], BANDS)


@pytest.mark.parametrize("form", ["lists.parquet", "columns.parquet", "one.npz", "one.npy"])
def test_every_form_gives_the_same(tmp_path, form):
    path = tmp_path / form
    if form == "lists.parquet":
        pd.DataFrame({"id": IDS, "vector": list(VALUES)}).to_parquet(path)
    elif form == "columns.parquet":
        pd.DataFrame({"a": VALUES[:, 0], "id": IDS, "b": VALUES[:, 1], "c": VALUES[:, 2]}).to_parquet(path)
    elif form == "one.npz":
        np.savez(path, ids=IDS, embeddings=VALUES)
    else:
        np.save(path, VALUES)
        path.with_suffix(".ids.txt").write_text("\n".join(IDS) + "\n")
    ids, values = read_embeddings(path)
    assert ids == IDS
    np.testing.assert_array_equal(values, VALUES)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ids": IDS}, "no array 'embeddings'; it holds ids"),
        ({"ids": IDS[:4], "embeddings": VALUES}, "4 ids and embeddings of shape"),
        ({"ids": ["a"] * 5, "embeddings": VALUES}, "the id 'a' stands twice"),
        ({"ids": IDS, "embeddings": np.where(VALUES == 7, np.nan, VALUES)}, "embedding of 'sample 2' is not finite"),
        ({"ids": np.array(IDS, object), "embeddings": VALUES}, "cannot be read"),
    ],
)
def test_bad_embeddings_are_named(tmp_path, arrays, message):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(MissingWeights, match=message):
        read_embeddings(path)


def test_a_file_of_another_kind_or_none_is_named(tmp_path):
    with pytest.raises(MissingWeights, match=r"\.parquet, \.npz, \.npy, not '\.csv'"):
        read_embeddings(tmp_path / "mine.csv")
    (tmp_path / "x.parquet").write_bytes(b"not parquet")
    with pytest.raises(MissingWeights, match="cannot be read as embeddings"):
        read_embeddings(tmp_path / "x.parquet")
    np.save(tmp_path / "lonely.npy", VALUES)
    with pytest.raises(MissingWeights, match=r"lonely\.ids\.txt is absent"):
        read_embeddings(tmp_path / "lonely.npy")
    with pytest.raises(MissingWeights, match="there is no file"):
        model_catalogue.select([f"embeddings:{tmp_path / 'gone.parquet'}"])


def test_own_weights_run_in_a_known_architecture(tmp_path):
    """The same weights under another name give the same scores, and the card says whose network it is."""
    images = coloured_images(tmp_path / "data")
    mine = tmp_path / "mine.safetensors"
    shutil.copy(PACKAGED / model_catalogue.entries()["tiny_mae"].weights.file, mine)
    words = ("tiny_mae", f"path:{mine}:tiny_mae")
    settings = {"data": images, "results": tmp_path / "results", "cache": tmp_path / "cache", "device": "cpu"}
    config = RunConfig(suite="eurosat_rgb", models=words, protocols=("knn",), absent="mean", **settings)
    board, _ = benchmark(config)
    scores = board[board.layer == "last"].set_index("model")["score"]
    assert set(scores.index) == {"tiny_mae", "tiny_mae.mine"}
    assert scores["tiny_mae"] == scores["tiny_mae.mine"]
    record = next(one for one in Store(tmp_path / "results").records("eurosat_rgb") if one.key.model == "tiny_mae.mine")
    assert record.facts["parent"] == "tiny_mae" and record.facts["trained_on_this"] == "unknown"


@pytest.mark.parametrize(
    ("word", "error", "message"),
    [
        ("path:{file}", BadSetting, r"names no architecture: write path:FILE:ENTRY"),
        ("path:{file}:tiny_ma", UnknownName, "tiny_mae"),
        ("path:{file}.gone:tiny_mae", MissingWeights, "there is no file"),
    ],
)
def test_bad_words_teach(tmp_path, word, error, message):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"")
    with pytest.raises(error, match=message):
        model_catalogue.select([word.format(file=file)])


OWN_FILE = """
from bench.core import Band, ModelEntry, Weights
from bench.models.rcf import ENTRIES as RCF

ENTRIES = (
    ModelEntry(
        name="{name}", origin="baseline", objective="none", any_bands=True, sensors=("*",), image_size=512,
        any_size=True, patch=8, depth=0, width=256, parameters=0, reference="mine", load=RCF[0].load,
    ),
)
"""


def test_a_file_of_entries_in_the_working_folder_is_one_more_family(tmp_path, monkeypatch):
    (tmp_path / OWN).write_text(OWN_FILE.format(name="mine_small"))
    monkeypatch.chdir(tmp_path)
    assert "mine_small" in model_catalogue.entries()
    assert [entry.name for entry in model_catalogue.select(["mine_*"])[0]] == ["mine_small"]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / OWN).write_text(OWN_FILE.format(name="rcf"))
    monkeypatch.chdir(tmp_path / "taken")
    with pytest.raises(BadSetting, match="the name rcf is taken"):
        model_catalogue.entries()


@pytest.mark.parametrize(("text", "message"), [("1 / 0", "ZeroDivisionError"), ("x = 1", "has no ENTRIES")])
def test_a_bad_file_of_entries_is_named(tmp_path, monkeypatch, text, message):
    (tmp_path / OWN).write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadSetting, match=message):
        model_catalogue.entries()


def test_weights_of_a_user_are_told_apart_by_their_hash_and_never_enforced(tmp_path):
    import dataclasses

    file = tmp_path / "mine.bin"
    file.write_bytes(b"one")
    entry = dataclasses.replace(ENTRY, weights=Weights(file=str(file)))
    shelf = WeightSources(folder=tmp_path, cache=tmp_path / "cache")
    one = shelf.digest(entry)
    file.write_bytes(b"three")
    assert shelf.digest(entry) != one
