"""Names, globs and categories select entries; twins follow their parents."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.core import lookup
from bench.core.errors import UnknownName


def names(*words):
    return [entry.name for entry in model_catalogue.select(words)[0]]


def test_names_globs_and_categories():
    assert names("dofa_base") == ["dofa_base"]
    assert set(names("tiny_*")) == {"tiny_mae", "tiny_dino", "tiny_croma"}
    assert set(names("tiny_*.random")) == {"tiny_mae.random", "tiny_dino.random", "tiny_croma.random"}
    assert all(name.endswith(".random") for name in names("origin:random"))
    assert {"croma_base", "tiny_croma"} <= set(names("objective:multimodal"))
    assert set(names("all")) == set(model_catalogue.entries())


def test_explicit_only_for_names():
    assert model_catalogue.select(["dofa_base"])[1]
    assert not model_catalogue.select(["all"])[1]
    assert not model_catalogue.select(["all", "dofa_base"])[1]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("dofa_bse", "dofa_base"),
        ("origin:randm", "random"),
        ("galileo_nano.rand", "galileo_nano.random"),
        ("orgin:random", "origin"),
    ],
)
def test_unknown_model_names_the_near_one(word, near):
    with pytest.raises(UnknownName, match=f"did you mean {near}\\?"):
        model_catalogue.select([word])


def test_every_weighted_entry_has_its_twin():
    known = model_catalogue.entries()
    for entry in list(known.values()):
        if entry.weights:
            twin = known[f"{entry.name}.random"]
            assert (twin.origin, twin.parent, twin.weights) == ("random", entry.name, None)
            assert (twin.bands, twin.normalise, twin.depth) == (entry.bands, entry.normalise, entry.depth)


def test_file_names_are_found_without_importing_them():
    assert "demo" in suite_catalogue.names()
    assert not any(name.startswith("_") for name in lookup.names("bench.models"))
    with pytest.raises(UnknownName, match="did you mean sen1floods11"):
        suite_catalogue.load("sen1flods11")


@pytest.mark.parametrize(
    "what",
    [
        "bench.core",
        "bench.catalogue.models; bench.catalogue.models.entries()",
        "bench.runs.plan",
        "bench.cli.command",
        "analysis.report.write",
    ],
)
def test_light_imports_leave_torch_alone(what):
    module, _, call = what.partition("; ")
    code = f"import {module}, sys; {call or 'pass'}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
