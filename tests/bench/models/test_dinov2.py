"""DINOv2 against timm, and its positions against the authors' rule."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models import get_pretrained_cfg

from bench.core import ModelEntry
from bench.models import dinov2
from bench.networks.dinov2 import resized_positions
from tests.builders.networks import (
    assert_same_taps,
    assert_same_weights,
    assert_taps_are,
    normal,
    outputs_of,
    small_timm,
    with_noise,
)

ENTRIES = {entry.name: entry for entry in dinov2.ENTRIES}


@pytest.mark.parametrize("name", ["dinov2_small", "dinov2_small.reg4"])
def test_features_are_timms_on_the_grid_of_the_network(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    small_timm(monkeypatch, img_size=70)
    entry = ENTRIES[name]
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    pixels = normal(2, 3, 70, 70)
    with_noise(backbone.network)
    final, states = outputs_of(backbone.network.blocks, lambda: backbone.network.forward_features(pixels))
    taps = backbone({"rgb": pixels[:, None]}, range(1, 5))
    assert_taps_are(taps, [*states, final], prefix=backbone.network.num_prefix_tokens)
    assert taps[-1].vector is taps[-1].cls


def test_features_with_registers_are_timms_on_any_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch, img_size=70)
    entry = ENTRIES["dinov2_small.reg4"]
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    pixels = normal(2, 3, 42, 56)
    final = with_noise(backbone.network).forward_features(pixels)
    assert_taps_are(backbone({"rgb": pixels[:, None]}, [4]), [final], prefix=5)


def test_positions_are_sampled_where_the_authors_sample_them() -> None:
    """Bicubic interpolation keeps a ramp except for ripples, so values are places: (i + 0.5) 37 / 16.1 - 0.5."""
    ramp = torch.arange(37.0).reshape(1, 37, 1, 1).expand(1, 37, 37, 2)
    positions = torch.cat([torch.full((1, 1, 2), 7.0), ramp.reshape(1, -1, 2)], 1)
    assert torch.equal(resized_positions(positions, (37, 37), (37, 37)), positions)
    resized = resized_positions(positions, (37, 37), (16, 14))
    assert resized.shape == (1, 1 + 16 * 14, 2) and bool((resized[:, 0] == 7).all())
    rows = resized[0, 1:, 0].reshape(16, 14)[:, 0]
    ripples = (rows - ((torch.arange(16) + 0.5) * 37 / 16.1 - 0.5))[1:-1]
    assert float(ripples.abs().max()) < 0.06 and abs(float(ripples.mean())) < 0.01


def test_the_authors_file_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small_timm(monkeypatch, img_size=70)
    entry = ENTRIES["dinov2_small"]
    first: Any = entry.load(entry, None, 0, entry.bands)
    torch.save({**first.network.state_dict(), "mask_token": torch.zeros(1, 48)}, tmp_path / "dinov2.pth")
    again = entry.load(entry, tmp_path / "dinov2.pth", 1, entry.bands)
    images = {"rgb": normal(1, 1, 3, 42, 42)}
    assert_same_weights(again, first)
    assert_same_taps(again(images, [4]), first(images, [4]))


@pytest.mark.parametrize("entry", dinov2.ENTRIES, ids=lambda entry: entry.name)
def test_facts_are_timms(entry: ModelEntry) -> None:
    tag = entry.weights.url.split("/")[4]
    facts = get_pretrained_cfg(tag)
    assert facts.hf_hub_id == f"timm/{tag}" and facts.license == "apache-2.0"
    for value, published in zip(entry.normalise.shift + entry.normalise.scale, facts.mean + facts.std, strict=True):
        assert math.isclose(value, 255 * published)


def test_layers_of_a_random_twin_differ_from_its_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    entry = ENTRIES["dinov2_small"]
    first, last = entry.load(entry, None, 0, entry.bands)({"rgb": normal(1, 1, 3, 224, 224)}, [0, 3])
    assert float((first.grid - last.grid).std() / first.grid.std()) > 0.01
