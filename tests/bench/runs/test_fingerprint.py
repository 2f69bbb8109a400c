"""Networks that compute the same share a fingerprint; one value, one setting or one class more tells them apart."""

from __future__ import annotations

import torch
from torch import nn

from bench.runs.fingerprint import network_fingerprint


def network(*, last: float = 0.5, dropout: float = 0.1, kind: type[nn.Module] = nn.ReLU) -> nn.Module:
    linear = nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(6.0).reshape(2, 3))
        linear.bias.copy_(torch.tensor([0.0, last]))
    return nn.Sequential(linear, kind(), nn.Dropout(dropout), nn.BatchNorm1d(2))


def test_equal_networks_have_equal_fingerprints_in_either_mode():
    first = network_fingerprint(network())
    assert len(first) == 16 and int(first, 16) >= 0
    assert network_fingerprint(network().eval()) == first == network_fingerprint(network().requires_grad_(False))


def test_every_difference_in_function_changes_it():
    buffer = network()
    buffer[3].running_mean[0] = 1e-3
    others = [network(last=0.5000001), network(dropout=0.2), network(kind=nn.GELU), network().double(), buffer]
    prints = [network_fingerprint(each) for each in (network(), *others)]
    assert len(set(prints)) == len(prints)


def test_what_is_no_module_has_none():
    assert network_fingerprint(lambda images: images) == ""  # type: ignore[arg-type]
