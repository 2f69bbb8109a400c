"""A new family of models is one file: it is listed, planned, and checked by the conformance tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench.models
from bench.catalogue import models as model_catalogue
from bench.cli.listing import list_
from bench.cli.run import run
from bench.core import lookup
from tests.builders.added_files import run_tests

FAMILY = '''"""Newnet: a small ViT for three bands of Sentinel-2."""

from functools import partial

from bench.core import ModelEntry, Normalise, Weights
from bench.core.sensors import sentinel2_bands
from bench.networks.from_timm import load_vit

ENTRIES = (
    ModelEntry(
        name="newnet_tiny",
        origin="pretrained",
        objective="joint-embedding",
        bands=sentinel2_bands("b04 b03 b02"),
        normalise=Normalise(kind="affine", shift=(0.0,) * 3, scale=(10000.0,) * 3),
        image_size=32,
        patch=8,
        depth=2,
        width=48,
        parameters=66_768,
        weights=Weights(file="newnet/tiny.safetensors", licence="MIT", how="ask its authors"),
        reference="an example",
        load=partial(
            load_vit, name="vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3
        ),
    ),
)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the file of the family, which belongs to `bench.models` during the test."""
    (tmp_path / "families").mkdir()
    (tmp_path / "families" / "newnet.py").write_text(FAMILY)
    monkeypatch.setattr(bench.models, "__path__", [*bench.models.__path__, str(tmp_path / "families")])
    monkeypatch.chdir(tmp_path)  # the catalogue is kept per working folder
    yield tmp_path / "families"
    sys.modules.pop("bench.models.newnet", None)
    vars(bench.models).pop("newnet", None)


def output_of(command, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command prints; its exit code must be 0."""
    monkeypatch.setattr(sys, "argv", ["geobench", *words])
    with pytest.raises(SystemExit) as end:
        command()
    printed = capsys.readouterr()
    assert end.value.code == 0, printed.out + printed.err
    return printed.out


def test_it_is_listed_with_its_random_twin_and_planned(folder, monkeypatch, capsys) -> None:
    assert "newnet" in lookup.names("bench.models")
    assert {"newnet_tiny", "newnet_tiny.random"} <= set(model_catalogue.entries())
    listed = {row["name"]: row for row in json.loads(output_of(list_, ["models", "--json"], monkeypatch, capsys))}
    assert listed["newnet_tiny"]["parameters"] == 66_768 and not listed["newnet_tiny"]["available"]
    words = ["suite=demo", "models=newnet_tiny.random", "tasks=landcover", "protocols=knn", "--dry"]
    assert "1 runs: 0 stored, 1 to do" in output_of(run, words, monkeypatch, capsys)


def test_the_conformance_tests_run_over_it(folder) -> None:
    printed = run_tests("bench.models", folder, "tests/bench/models/test_conformance.py", "newnet_tiny")
    assert printed.count(".") >= 10 and "deselected" not in printed.partition("[100%]")[0]
