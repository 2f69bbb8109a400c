"""Models that a request spells out: names of their own, and sentences for files that cannot be used."""

from __future__ import annotations

import shutil

import pytest

from bench.api import benchmark
from bench.catalogue import models as model_catalogue
from bench.catalogue.models import select
from bench.catalogue.weights import PACKAGED
from bench.config import RunConfig
from bench.core.errors import BadSetting, MissingWeights, UnknownName
from bench.store import Store
from tests.builders.suite_and_model import coloured_images


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
    record = next(
        stored for stored in Store(tmp_path / "results").records("eurosat_rgb") if stored.key.model == "tiny_mae.mine"
    )
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
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(error, match=message):
        model_catalogue.select([word.format(file=file)])


def file(path, content=b"PK\x03\x04 weights"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(*words):
    return {entry.name: entry.weights.file for entry in select(words)[0]}


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    first, second = file(tmp_path / "a" / "checkpoint.pth"), file(tmp_path / "b" / "checkpoint.pth")
    assert names(f"path:{first}:tiny_mae") == {"tiny_mae.checkpoint": str(first)}
    assert names(f"path:{first}:tiny_mae", f"path:{second}:tiny_mae") == {
        "tiny_mae.a.checkpoint": str(first),
        "tiny_mae.b.checkpoint": str(second),
    }
    deep, far = file(tmp_path / "x" / "run" / "last.npy"), file(tmp_path / "y" / "run" / "last.npy")
    assert names(f"embeddings:{deep}", f"embeddings:{far}") == {
        "embeddings.x.run.last": str(deep),
        "embeddings.y.run.last": str(far),
    }
    # Of other architectures, or named twice, they need nothing more.
    both = {"tiny_mae.checkpoint", "tiny_dino.checkpoint"}
    assert set(names(f"path:{first}:tiny_mae", f"path:{second}:tiny_dino")) == both
    (tmp_path / "link.pth").symlink_to(first)
    assert names(f"path:{first}:tiny_mae", f"path:{tmp_path}/link.pth:tiny_mae") == {"tiny_mae.checkpoint": str(first)}


def test_files_that_cannot_be_told_apart_are_refused(tmp_path):
    first, second = file(tmp_path / "mine.pt"), file(tmp_path / "mine.bin")
    with pytest.raises(BadSetting, match=r"would both be called tiny_mae\.mine; rename one of them"):
        select([f"path:{first}:tiny_mae", f"path:{second}:tiny_mae"])


@pytest.mark.parametrize("stem", ["random", "mine.random"])
def test_the_name_of_a_twin_is_taken(tmp_path, stem):
    path = file(tmp_path / f"{stem}.pt")
    for architecture in ("tiny_mae", "tiny_mae.random"):
        with pytest.raises(BadSetting, match=r"is that of a random twin; rename the file"):
            select([f"path:{path}:{architecture}"])
    assert model_catalogue.entries()["tiny_mae.random"].origin == "random"


def test_names_of_files_become_names_of_models(tmp_path):
    path = file(tmp_path / "my model (1) [b].pt")
    assert list(names(f"path:{path}:tiny_mae")) == ["tiny_mae.my_model_1_b"]


@pytest.mark.parametrize("name", ["image_stats", "rcf"])
def test_weights_of_a_control_are_refused(tmp_path, name):
    with pytest.raises(BadSetting, match=f"{name} has no weights that a file could replace"):
        select([f"path:{file(tmp_path / 'mine.pt')}:{name}"])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"<!doctype html>", "is a web page"), (b"version https://git-lfs", "is a Git LFS pointer")],
)
def test_files_that_are_no_weights_for_certain_are_refused(tmp_path, content, message):
    path = file(tmp_path / "mine.pt", content)
    for word in (f"path:{path}:tiny_mae", f"embeddings:{path}"):
        with pytest.raises(MissingWeights, match=message):
            select([word])


@pytest.mark.parametrize("word", ["path:\0:tiny_mae", "path:~nobody_of_that_name/x:tiny_mae", "path:/:tiny_mae"])
def test_paths_that_are_none_are_named(word):
    with pytest.raises(MissingWeights, match=r"cannot be read|there is no file"):
        select([word])


def test_a_prefix_that_is_cut_off_is_noted_in_every_record(tmp_path):
    """Also in those of runs that read cached features, whose network was loaded by an earlier run."""
    from safetensors.torch import load_file, save_file

    images = coloured_images(tmp_path / "data")
    state = load_file(PACKAGED / model_catalogue.entries()["tiny_mae"].weights.file)
    save_file({f"module.{name}": value for name, value in state.items()}, tmp_path / "mine.safetensors")
    settings = {"data": images, "results": tmp_path / "results", "cache": tmp_path / "cache", "device": "cpu"}
    words = (f"path:{tmp_path / 'mine.safetensors'}:tiny_mae",)
    benchmark(RunConfig(suite="eurosat_rgb", models=words, protocols=("knn",), absent="mean", **settings))
    for path in (tmp_path / "results").glob("*/records/*"):
        path.unlink()
    benchmark(RunConfig(suite="eurosat_rgb", models=words, protocols=("knn",), absent="mean", **settings))
    records = list(Store(tmp_path / "results").records("eurosat_rgb"))
    assert records and all("the prefix 'module.' of every name cut off" in " ".join(record.notes) for record in records)
