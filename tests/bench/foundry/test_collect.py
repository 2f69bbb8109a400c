"""Collections: relations are found from weights alone, bad files are refused by name, and memory does not grow."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from bench.config import validate
from bench.core import BadSetting
from bench.core.errors import Damaged, MissingData
from bench.foundry.collect import RECIPE
from bench.foundry.collection.catalogue import read_collection, read_table
from tests.builders.families import SHAPES, moved, permuted, random_state, renamed, rounded, save


def collect(out, *sources, **words):
    out.mkdir(exist_ok=True)
    lines = []
    settings = validate(RECIPE.settings, {"from": [str(source) for source in sources], "draws": 20, **words})
    path = RECIPE.run(settings, data=out, out=out, progress=lines.append)
    assert path == out / "catalogue.parquet"
    return lines


def relations(out):
    return {frozenset((row["a"], row["b"])): row["relation"] for row in read_table(out, "lineage.csv")}


@pytest.fixture
def family(tmp_path):
    """An ancestor, two children, copies in four forms, a child under other names, a permuted copy, two strangers."""
    folder, base = tmp_path / "zoo", random_state(0)
    save(folder, "ancestor", base)
    save(folder, "half", {key: value.half() if value.is_floating_point() else value for key, value in base.items()})
    save(folder, "int8", rounded(base))
    save(folder, "int4", rounded(base, 16))
    save(folder, "child", moved(base, 1, 0.5))
    save(folder, "sibling", moved(base, 2, 0.5))
    save(folder, "renamed", renamed(moved(base, 3, 0.5)))
    save(folder, "wrapped", {f"module.encoder.{key}": value for key, value in moved(base, 4, 0.5).items()})
    save(folder, "permuted", permuted(base, 0))
    save(folder, "stranger", random_state(7))
    save(folder, "other", renamed(random_state(8)))
    return folder


COPIES = {"ancestor", "half", "int8", "int4", "permuted"}
CHILDREN = {"child", "sibling", "renamed", "wrapped"}


def test_copies_children_siblings_and_strangers_are_told_apart(family, tmp_path):
    out = tmp_path / "out"
    lines = collect(out, family)
    relation_of = relations(out)
    for pair, relation in relation_of.items():
        if pair & {"stranger", "other"}:
            assert relation == "unrelated", pair
        elif pair == {"int4", "permuted"}:
            continue  # sixteen levels change the order of norms that permuted channels are recognised by
        elif pair <= COPIES:
            assert relation == "duplicate", pair
        elif "permuted" not in pair:  # a permuted copy is recognised as a copy, not as a child
            assert relation == "lineage", pair
    members = {member.name: member for member in read_collection(out)}
    assert {name for name, member in members.items() if member.duplicate_of} == COPIES - {"ancestor"}
    assert {members[name].kinship for name in CHILDREN} == {"fine-tuned from ancestor"}
    assert members["ancestor"].kinship == "ancestor" and members["stranger"].kinship == "stranger"
    assert {members[name].lineage for name in COPIES | CHILDREN} == {"ancestor"}
    assert any("channels permuted" in line for line in lines)


def test_without_their_ancestor_children_are_siblings(family, tmp_path):
    for name in COPIES:
        (family / f"{name}.safetensors").unlink()
    collect(tmp_path / "out", family)
    kinship = {member.name: member.kinship for member in read_collection(tmp_path / "out")}
    assert all(kinship[name].startswith("sibling of ") for name in CHILDREN)


def test_a_light_child_is_no_rounded_copy(tmp_path):
    base = random_state(0)
    save(tmp_path / "zoo", "base", base)
    save(tmp_path / "zoo", "light", moved(base, 1, 0.15))
    save(tmp_path / "zoo", "coarse", rounded(base, 20))
    collect(tmp_path / "out", tmp_path / "zoo")
    rows = {(row["a"], row["b"]): row for row in read_table(tmp_path / "out", "lineage.csv")}
    assert 0.98 < float(rows["base", "light"]["cosine"]) < 0.99 and rows["base", "light"]["relation"] == "lineage"
    assert float(rows["base", "coarse"]["cosine"]) < 0.99 and rows["base", "coarse"]["relation"] == "duplicate"


@pytest.mark.parametrize(("kept", "relation"), [(0.0, "unrelated"), (0.12, "lineage")])
def test_what_rows_have_in_common_is_no_descent(tmp_path, kept, relation):
    """Between .05 and .2 the cosine beyond that of shuffled rows decides."""
    base, other = random_state(0), random_state(1)
    for name, shape in SHAPES.items():
        if len(shape) > 1:
            direction = (
                torch.randn(1, *shape[1:], generator=torch.Generator().manual_seed(9)) / base[name][0].numel() ** 0.5
            )
            offset = (0.12 - kept) ** 0.5 * 1.07
            base[name] = base[name] + offset * direction
            other[name] = other[name] + offset * direction + kept * base[name]
    save(tmp_path / "zoo", "base", base)
    save(tmp_path / "zoo", "other", other)
    collect(tmp_path / "out", tmp_path / "zoo")
    (row,) = read_table(tmp_path / "out", "lineage.csv")
    assert 0.05 < float(row["cosine"]) < 0.2 and row["relation"] == relation


class Harmful:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_bad_files_are_refused_by_name_and_the_good_ones_go_on(tmp_path):
    zoo, base = tmp_path / "zoo", random_state(0)
    good = save(zoo, "good", base)
    torch.save({"state_dict": moved(base, 1, 0.5), "epoch": 3}, zoo / "child.pt")
    (zoo / "empty.safetensors").write_bytes(b"")
    (zoo / "cut.safetensors").write_bytes(good.read_bytes()[:5000])
    (zoo / "unsafe.pt").write_bytes(pickle.dumps({"weight": Harmful(tmp_path / "harm")}))
    (zoo / "page.bin").write_bytes(b"<!DOCTYPE html><html></html>")
    save(zoo, "nan", base | {"head.weight": torch.full((10, 64), float("nan"))})
    save_file({"count": torch.tensor([1, 2])}, zoo / "integers.safetensors")
    collect(tmp_path / "out", zoo)
    assert {member.name for member in read_collection(tmp_path / "out")} == {"good", "child"}
    reasons = {row["path"].rpartition("/")[2]: row["reason"] for row in read_table(tmp_path / "out", "rejects.csv")}
    expected = {
        "empty.safetensors": "is empty",
        "cut.safetensors": "damaged",
        "unsafe.pt": "never run",
        "page.bin": "web page",
        "nan.safetensors": "640 of 640 values that are not finite in 'head.weight'",
        "integers.safetensors": "no floating-point values",
    }
    assert reasons.keys() == expected.keys()
    assert all(text in reasons[name] for name, text in expected.items())
    assert not (tmp_path / "harm").exists()


def test_too_few_models_are_a_sentence_and_what_there_is_is_kept(tmp_path):
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    (zoo / "empty.safetensors").write_bytes(b"")
    with pytest.raises(BadSetting, match=r"gave no models, and 1 were refused .*two or more"):
        collect(tmp_path / "out", zoo)
    save(zoo, "only", random_state(0))
    with pytest.raises(BadSetting, match="gave 1 model, and 1 were refused"):
        collect(tmp_path / "out", zoo)
    assert [member.name for member in read_collection(tmp_path / "out")] == ["only"]
    with pytest.raises(BadSetting, match="there is no such folder or file"):
        collect(tmp_path / "out", tmp_path / "nowhere")


def test_facts_come_from_headers_and_shards_are_one_model(tmp_path):
    zoo, base = tmp_path / "zoo", random_state(0)
    save(
        zoo,
        "a",
        base,
        {"architecture": "small net", "licence": "MIT", "trained_on": "eurosat, so2sat", "modality": "s2"},
    )
    names = sorted(base)
    save(zoo / "large", "model-00001-of-00002", {name: base[name] for name in names[:5]})
    save(zoo / "large", "model-00002-of-00002", {name: base[name] for name in names[5:]})
    collect(tmp_path / "out", zoo)
    first, second = read_collection(tmp_path / "out")
    assert (first.architecture, first.licence, first.modality) == ("small net", "MIT", "s2")
    assert first.trained_on == ("eurosat", "so2sat") and first.parameters == second.parameters
    assert (second.name, second.shards, second.duplicate_of) == ("large", 2, "a")
    assert second.architecture == f"structure:{first.structure[:8]}"


def test_a_hub_list_is_read_from_the_local_cache(tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    snapshot = cache / "models--someone--net" / "snapshots" / "0123456789012345678901234567890123456789"
    save(snapshot, "model", random_state(0))
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    save(tmp_path / "zoo", "mine", random_state(1))
    listing = tmp_path / "list.txt"
    listing.write_text("# remote sensing\nsomeone/net\nsomeone/absent\nno reference\n")
    collect(tmp_path / "out", listing, tmp_path / "zoo")
    assert [member.name for member in read_collection(tmp_path / "out")] == ["someone.net", "mine"]
    reasons = {row["path"]: row["reason"] for row in read_table(tmp_path / "out", "rejects.csv")}
    assert "hf download someone/absent" in reasons["someone/absent"] and "owner/name" in reasons["no reference"]


def test_the_registry_is_a_source(tmp_path):
    collect(tmp_path / "out", "registry", models=["tiny_*"])
    members = {member.name: member for member in read_collection(tmp_path / "out")}
    assert {"tiny_mae", "tiny_dino", "tiny_croma"} <= members.keys()
    assert members["tiny_mae"].source == "registry" and members["tiny_mae"].modality and members["tiny_mae"].licence


def test_a_changed_collection_is_noticed(tmp_path):
    for seed in (0, 1):
        save(tmp_path / "zoo", f"net{seed}", random_state(seed))
    collect(tmp_path / "out", tmp_path / "zoo")
    with (tmp_path / "out" / "lineage.csv").open("a") as stream:
        stream.write("a,b,1.0,duplicate\n")
    with pytest.raises(Damaged, match=r"lineage\.csv differs"):
        read_collection(tmp_path / "out")
    with pytest.raises(MissingData, match="holds no collection"):
        read_collection(tmp_path)


PROGRAM = """
import resource, sys
from pathlib import Path
from bench.config import validate
from bench.foundry.collect import RECIPE
settings = validate(RECIPE.settings, {"from": [sys.argv[1]], "draws": 20})
RECIPE.run(settings, data=Path(), out=Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_mb(source, out):
    out.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(source), str(out)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_number_of_members(tmp_path):
    assert resource.RLIM_INFINITY  # the measure exists on this system
    shapes = {f"layers.{layer}.weight": (1024, 1024) for layer in range(8)}  # 32 MB a model
    base = random_state(0, shapes)
    for seed in range(3):
        save(tmp_path / "zoo", f"child{seed}", moved(base, seed, 0.5))
    few = peak_mb(tmp_path / "zoo", tmp_path / "few")
    for seed in range(3, 9):
        save(tmp_path / "zoo", f"child{seed}", moved(base, seed, 0.5))
    many = peak_mb(tmp_path / "zoo", tmp_path / "many")
    assert many < few + 60, (few, many)  # six more models have 192 MB


@pytest.mark.shared
def test_the_real_families(shared, tmp_path):
    collect(tmp_path / "out", *(shared / "weights" / name for name in ("zoo", "presto", "presto_worldcereal")))
    relation_of = relations(tmp_path / "out")
    related = {pair for pair, relation in relation_of.items() if relation != "unrelated"}
    assert related == {
        frozenset(("mobilenet_v2_inat_birds", "mobilenet_v2_inat_insects")),
        frozenset(("default_model", "finetuned_presto_model")),
    }
    assert "duplicate" not in relation_of.values()
    cosines = {
        frozenset((row["a"], row["b"])): float(row["cosine"]) for row in read_table(tmp_path / "out", "lineage.csv")
    }
    assert all(abs(cosine) < 0.05 for pair, cosine in cosines.items() if pair not in related and cosine == cosine)
