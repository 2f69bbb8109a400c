"""Alignment: a permuted copy comes back exactly, and what the network computes does not change."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bench.catalogue import models as model_catalogue
from bench.core import Incompatible
from bench.foundry.pruning.groups import transformer_groups
from bench.foundry.tokens.alignment import align, chain_groups, graph_groups, permute


def chain():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(24 * 16, 32), nn.ReLU(), nn.Linear(32, 5),
    ).eval()  # fmt: skip


def shuffled(state, groups, seed):
    result = {name: tensor.clone() for name, tensor in state.items()}
    for place, group in enumerate(groups):
        permute(result, group, torch.randperm(group.units, generator=torch.Generator().manual_seed(seed + place)))
    return result


def check(network, groups, run, noise):
    state = network.state_dict()
    before = run(network)
    copied = shuffled(state, groups, 1)
    other = copy.deepcopy(network)
    other.load_state_dict(copied)
    assert torch.allclose(run(other), before, atol=1e-4)
    moved = dict(copied)
    for name in (name for name, value in copied.items() if value.ndim > 1):
        moved[name] = copied[name] + noise * copied[name].std() * torch.randn_like(copied[name])
    result = align(moved, state, groups)
    assert result.before < 0.75 < 0.95 < result.after and result.moved > 0
    exact = align(copied, state, groups)
    assert exact.after == pytest.approx(1, abs=1e-6)
    assert all(torch.equal(exact.state[name], value) for name, value in state.items())
    return result


def test_a_plain_chain_is_aligned_from_its_tensors_alone():
    network, images = chain(), torch.randn(2, 3, 8, 8)
    check(network, chain_groups(network.state_dict()), lambda net: net(images), 0.2)


def test_a_network_with_skip_connections_is_aligned_along_its_graph():
    pytest.importorskip("torch_pruning")
    import timm

    torch.manual_seed(0)
    network, images = timm.create_model("resnet10t", num_classes=4).eval(), torch.randn(1, 3, 64, 64)
    groups = graph_groups(network, images)
    check(network, groups, lambda net: net(images).detach(), 0.2)


def test_heads_and_hidden_values_of_a_transformer_are_aligned():
    entry = model_catalogue.entries()["presto"]
    network = entry.load(entry, None, 0, entry.bands)
    state, groups = network.state_dict(), transformer_groups(network)
    result = align(shuffled(state, groups, 3), state, groups)
    assert result.before < 0.6 and result.after == pytest.approx(1, abs=1e-6)


def test_what_is_in_order_stays_and_other_architectures_are_refused():
    state = chain().state_dict()
    groups = chain_groups(state)
    assert align(state, state, groups).moved == 0
    with pytest.raises(Incompatible, match="equal architectures"):
        align(state, {name: value[:1] for name, value in state.items() if value.ndim}, groups)
    with pytest.raises(Incompatible, match="no plain chain"):
        chain_groups({"a.weight": torch.ones(5, 3), "b.weight": torch.ones(4, 7)})
