"""Changes of weights: of none, of a known step, and set back."""

from __future__ import annotations

import math

import pytest
import torch

from bench.features.activations import parts_of
from bench.finetuning.weight_change import put_back, rewind, stepped, weight_change
from tests.builders.arms import ENTRY, load_tiny
from tests.builders.suite_and_model import BANDS


def test_rewinding_is_undone():
    before, after = (load_tiny(ENTRY, None, 0, BANDS) for _ in range(2))
    parts = parts_of(before, ["fc1"])
    stepped(after, parts, 0.1, torch.Generator().manual_seed(0))
    changed = {name: value.clone() for name, value in after.state_dict().items()}
    assert all(row["relative_change"] == pytest.approx(0.1, rel=1e-3) for row in weight_change(before, after, parts))
    kept = rewind(after, before, parts)
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in after.state_dict().items())
    put_back(after, kept)
    assert all(torch.equal(value, changed[name]) for name, value in after.state_dict().items())


def test_the_change_of_one_matrix_has_the_rank_of_that_change():
    before, after = (load_tiny(ENTRY, None, 0, BANDS) for _ in range(2))
    parts = parts_of(before, ["fc1"])
    basis = torch.linalg.qr(torch.randn(128, 7, generator=torch.Generator().manual_seed(0)))[0]
    with torch.no_grad():
        after.get_submodule(parts["block_2.fc1"]).weight.add_(basis @ basis[:32].T)
    ranks = {row["layer"]: row["effective_rank"] for row in weight_change(before, after, parts)}
    assert 1 < ranks["block_2"] <= 7 + 1e-6 and math.isnan(ranks["block_1"])
