"""DINOv3 against timm."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from timm.models import get_pretrained_cfg
from torch import nn

from bench.core import ModelEntry
from bench.models import dinov3
from tests.builders.networks import (
    assert_taps_are,
    normal,
    outputs_of,
    small_timm,
    with_noise,
)


def test_features_are_timms_with_rounded_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    entry = dinov3.ENTRIES[0]
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    network, pixels = with_noise(backbone.network), normal(2, 3, 64, 48)
    exact = network.rope.temperature ** (2 * torch.arange(3) / 6)
    assert torch.equal(network.rope.periods, exact.to(torch.bfloat16).float())
    final, states = outputs_of(network.blocks, lambda: network.forward_features(pixels))
    assert_taps_are(backbone({"rgb": pixels[:, None]}, range(1, 5)), [*states, final], prefix=5)
    assert backbone.layers[-1].name == "norm" and not isinstance(network.norm, nn.Identity)


@pytest.mark.parametrize("entry", dinov3.ENTRIES, ids=lambda entry: entry.name)
def test_facts_are_timms(entry: ModelEntry) -> None:
    tag = entry.weights.url.split("/")[4]
    facts = get_pretrained_cfg(tag)
    assert facts.hf_hub_id == f"timm/{tag}" and facts.license.replace("-", " ") == "dinov3 license"
    assert entry.image_size == facts.input_size[-1]
    for value, published in zip(entry.normalise.shift + entry.normalise.scale, facts.mean + facts.std, strict=True):
        assert math.isclose(value, 255 * published)


def test_layers_of_a_random_twin_differ_from_its_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    entry = dinov3.ENTRIES[0]
    first, last = entry.load(entry, None, 0, entry.bands)({"rgb": normal(1, 1, 3, 224, 224)}, [0, 3])
    assert float((first.grid - last.grid).std() / first.grid.std()) > 0.01
