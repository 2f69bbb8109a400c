"""The README's worked examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.catalogue import models as model_catalogue
from bench.catalogue.user_models import OWN
from tests.builders.suite_and_model import BANDS

ROOT = Path(__file__).parents[2]


def blocks(heading: str) -> list[str]:
    """Return the Python blocks below a heading, up to the next."""
    text = (ROOT / "README.md").read_text()
    section = re.split(r"^##+ ", text.partition(f"# {heading}\n")[2], flags=re.M)[0]
    return re.findall(r"```python\n(.*?)```", section, flags=re.S)


def test_a_file_of_entries_is_complete(tmp_path, monkeypatch):
    (tmp_path / OWN).write_text(blocks("Add a model")[0])
    monkeypatch.chdir(tmp_path)
    entry = model_catalogue.entries()["mynet_small"]
    assert "mynet_small.random" in model_catalogue.entries()
    with torch.device("meta"):
        backbone: Any = entry.load(entry, None, 0, entry.bands)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == entry.parameters
    assert len(backbone.layers) == entry.depth + 2


def test_a_network_of_your_own_is_tapped(tmp_path):
    class MyNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(2, 8, 4, 4)
            self.blocks = nn.ModuleList(nn.Sequential() for _ in range(3))
            for block in self.blocks:
                block.add_module("mlp", nn.Sequential())
                block.mlp.add_module("fc1", nn.Linear(8, 8))

        def embed(self, pixels):
            return self.patch(pixels).flatten(2).transpose(1, 2)

    space: dict[str, Any] = {"MyNetwork": MyNetwork}
    exec(blocks("Add a model")[1], space)
    from tests.builders.suite_and_model import toy_entry

    entry = toy_entry(depth=3, width=8, patch=4)
    backbone = space["load"](entry, None, 0, BANDS)
    taps = backbone({"s2": torch.randn(2, 1, 2, 16, 16)}, range(4))
    assert [tuple(tap.grid.shape) for tap in taps] == [(2, 8, 4, 4)] * 4
    assert isinstance(backbone.get_submodule(backbone.modules_map["block_2"]["fc1"]), nn.Linear)


def test_a_suite_is_complete(tmp_path):
    space: dict[str, Any] = {}
    exec(blocks("Add a suite")[0], space)
    suite = space["SUITE"]
    folder = tmp_path / "mysuite"
    folder.mkdir()
    rng = np.random.default_rng(0)
    split = np.array(["train", "val", "test"])[rng.integers(3, size=30)]
    np.savez(folder / "data.npz", x=rng.normal(size=(30, 4, 8, 8)), y=rng.integers(2, size=30), split=split)
    opened = suite.open(tmp_path, "crop", "val", suite.bands[1:3])
    assert len(opened) == (split == "val").sum()
    assert opened[0].images["s2"].shape == (1, 2, 8, 8) and opened.targets()[0] == opened[0].target


def test_a_metric_is_a_line_and_a_value():
    from bench.metrics import Metric

    source = blocks("Add a measure")[0]
    matrix = np.array([[30.0, 10.0], [5.0, 55.0]])
    space: dict[str, Any] = {
        **{"METRICS": {}, "Metric": Metric, "matrix": matrix, "scores": {"accuracy": 0.85}},
        **{"truth": matrix.sum(1), "said": matrix.sum(0)},
    }
    exec(source, space)
    assert space["scores"]["kappa"] == pytest.approx((0.85 - 0.53) / (1 - 0.53))
    assert space["METRICS"]["kappa"].low == -1.0


def test_every_suite_and_family_is_listed():
    from bench.catalogue import suites as suite_catalogue
    from bench.core import lookup

    text = (ROOT / "README.md").read_text()
    assert [name for name in suite_catalogue.names() if f"`{name}`" not in text] == []
    assert len(lookup.names("bench.models")) >= 25
    count = sum(entry.origin != "random" for entry in model_catalogue.entries().values())
    assert f"{count} entries" in text


def test_the_first_command_of_a_newcomer_does_the_work():
    """Runs committed under results/ would be found stored, and the demo would show them without running anything."""
    command = "geobench-run suite=demo models=[tiny_*,tiny_*.random,image_stats,rcf] results=results/local"
    assert command in (ROOT / "README.md").read_text() and command in (ROOT / "Makefile").read_text()
    assert "results/local/" in (ROOT / ".gitignore").read_text().split()
