"""Changes of weights: of none, of a known step, and set back."""

from __future__ import annotations

import math

import pytest
import torch

from bench.features.activations import parts_of
from bench.finetuning.weight_change import effective_rank, put_back, rewind, stepped, weight_change
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


def test_effective_rank_of_equal_singular_values_is_their_number():
    basis = torch.linalg.qr(torch.randn(20, 7, generator=torch.Generator().manual_seed(0)))[0]
    assert effective_rank(basis @ basis.T) == pytest.approx(7, rel=1e-4)
    assert math.isnan(effective_rank(torch.zeros(3, 3)))
