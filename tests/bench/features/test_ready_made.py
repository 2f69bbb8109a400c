"""Ready-made embeddings: every form gives the same, bad ones are named before anything is run, probes take them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.catalogue import models as model_catalogue
from bench.catalogue.weights import WeightSources
from bench.core.errors import Incompatible, MissingWeights
from bench.features.ready_made import check_ids, read_embeddings
from bench.input.recipe import match
from bench.input.splits import Splits
from bench.protocols import knn
from bench.runs.carry_out import carry_out
from bench.sweeps.opening import check_embeddings
from tests.builders.sessions import ENTRY, a_run, new_session
from tests.builders.suite_and_model import BANDS, COUNTS, ToySplit, toy_suite

IDS = [f"sample {number}" for number in range(5)]
VALUES = np.arange(15, dtype=np.float32).reshape(5, 3)


@pytest.fixture
def embeddings(tmp_path):
    """Vectors of every toy sample that say its class, in a parquet file; rows are in an order of their own."""
    rows = []
    for split in COUNTS:
        toy = ToySplit("kind", split, COUNTS[split], ENTRY.bands)
        rows += [
            (name, [float(label == 0), float(label == 1), 0.1 * number % 1])
            for number, (name, label) in enumerate(zip(toy.ids, toy.targets(), strict=True))
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
        ({"ids": ["a"] * 5, "embeddings": VALUES}, "1 ids occur twice, the first 'a'"),
        (
            {"ids": IDS, "embeddings": np.where(VALUES == 7, np.nan, VALUES)},
            "1 embeddings are not finite, the first that of 'sample 2'",
        ),
        ({"ids": np.array(IDS, object), "embeddings": VALUES}, "cannot be read"),
        ({"ids": IDS, "embeddings": VALUES.ravel()}, "embeddings of shape"),
        ({"ids": IDS, "embeddings": VALUES[:, :0]}, "embeddings of shape"),
        ({"ids": IDS, "embeddings": VALUES.astype(str)}, "embeddings of type <U"),
        ({"ids": IDS, "embeddings": VALUES * 1j}, "embeddings of type complex"),
        ({"ids": IDS, "embeddings": VALUES.astype(float) * 1e200}, "5 embeddings are not finite, the first that of"),
        ({"ids": np.array([IDS]), "embeddings": VALUES}, "ids of shape"),
        ({"ids": [*IDS[:4], ""], "embeddings": VALUES}, "the id of row 4 is empty"),
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


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("form", ["a.parquet", "a.npz", "a.npy"])
def test_damaged_files_are_named(tmp_path, form, share):
    path = tmp_path / form
    if form == "a.parquet":
        pd.DataFrame({"id": IDS, "vector": list(VALUES)}).to_parquet(path)
    elif form == "a.npz":
        np.savez_compressed(path, ids=IDS, embeddings=VALUES)
    else:
        np.save(path, VALUES)
        path.with_suffix(".ids.txt").write_text("\n".join(IDS))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(MissingWeights, match=form):
        read_embeddings(path)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"name": IDS, "v": list(VALUES)}, "no column 'id' among name, v"),
        ({"id": IDS, "v": [[1.0], [1.0, 2.0], [1.0], [1.0], [1.0]]}, "wanted vectors of one length"),
        ({"id": IDS, "v": ["a", "b", "c", "d", "e"]}, "cannot be read as embeddings"),
        ({"id": [None, *IDS[1:]], "v": list(VALUES)}, "the id of row 0 is empty"),
        ({"id": IDS}, "embeddings of shape"),
    ],
)
def test_tables_of_another_form_are_named(tmp_path, frame, message):
    pd.DataFrame(frame).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(MissingWeights, match=message):
        read_embeddings(tmp_path / "a.parquet")


def test_what_is_missing_is_found_before_anything_is_run(tmp_path, embeddings):
    check_ids(embeddings, {"train": ["train_0"]})
    with pytest.raises(Incompatible, match="no embedding of 1 of 2 samples of test, the first 'elsewhere'"):
        check_ids(embeddings, {"train": ["train_0"], "test": ["train_1", "elsewhere"]})
    (entry,), _ = model_catalogue.select([f"embeddings:{embeddings}"])
    run, data = a_run(0, entry=entry), Splits(suite=toy_suite(), root=tmp_path)
    check_embeddings([run, a_run(0)], data)
    frame = pd.read_parquet(embeddings)
    frame[frame["id"] != "test_2005"].to_parquet(embeddings)
    with pytest.raises(Incompatible, match="no embedding of 1 of 90 samples of kind test, the first 'test_2005'"):
        check_embeddings([run], data)
    check_embeddings([run], None)  # without the data the file alone is looked at
    embeddings.write_bytes(b"PAR1")
    with pytest.raises(MissingWeights, match="cannot be read as embeddings"):
        check_embeddings([run], None)
