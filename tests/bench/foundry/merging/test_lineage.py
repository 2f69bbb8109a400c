"""Lineage from weights: copies, relatives and strangers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.foundry.merging.lineage import kinship, matrices, row_cosine, verdict, warnings_of


def states(noise):
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.Flatten(), nn.Linear(64, 64))
    first = {name: torch.randn(value.shape, generator=generator) for name, value in net.state_dict().items()}
    second = {name: value + noise * torch.randn(value.shape, generator=generator) for name, value in first.items()}
    return matrices(net), first, second


def test_norms_and_biases_are_left_out():
    names, _, _ = states(0.0)
    assert names == ["0.weight", "3.weight"]


@pytest.mark.parametrize(
    ("noise", "words"), [(0.0, "nearly the same weights"), (1.0, "same lineage"), (1e6, "unrelated")]
)
def test_the_cosine_of_rows_tells_relatives_from_strangers(noise, words):
    names, first, second = states(noise)
    cosine = row_cosine(first, second, names)
    assert verdict(cosine) == words
    assert cosine == pytest.approx((1 + noise**2) ** -0.5, abs=0.03)


def test_the_scale_of_a_row_does_not_matter():
    names, first, second = states(0.5)
    scaled = {name: value * (1 + torch.arange(len(value))).view(-1, *[1] * (value.ndim - 1)) if value.ndim else value
              for name, value in second.items()}  # fmt: skip
    assert row_cosine(first, scaled, names) == pytest.approx(row_cosine(first, second, names))


def test_pairs_that_should_not_be_merged_are_named():
    names, first, second = states(1e6)
    cosines = kinship({"a": first, "b": second, "c": first}, names)
    lines = warnings_of(cosines)
    assert set(cosines) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert any("a and b are unrelated" in line and "distil them" in line for line in lines)
    assert any("a and c hold nearly the same weights" in line for line in lines)
    assert warnings_of({("a", "b"): 0.5}) == [] and "hardly related" in warnings_of({("a", "b"): 0.1})[0]
