"""Learned coefficients: the network with parametrized weights computes what the merged weights compute."""

from __future__ import annotations

import copy

import pytest
import torch

from bench.catalogue import models as model_catalogue
from bench.core import BadSetting
from bench.foundry.merging.arithmetic import task_vectors
from bench.foundry.merging.learned import Coefficients, groups_of, parametrized
from bench.foundry.pruning.budgets import example_images
from tests.builders.networks import with_noise


def loaded(seed):
    entry = model_catalogue.entries()["tiny_mae"]
    return entry.load(entry, None, seed, entry.bands), example_images(entry, entry.bands, batch=2)


def output(network, images):
    return network(images, [len(network.layers) - 1])[0].grid


def test_coefficients_one_and_zero_give_the_member_and_the_base():
    base, images = loaded(0)
    members = [loaded(seed)[0] for seed in (1, 2)]
    state = dict(base.named_parameters())
    vectors = task_vectors([dict(member.named_parameters()) for member in members], state)
    network = copy.deepcopy(base)
    groups = groups_of(network, list(state), "tensor")
    coefficients = Coefficients(len(state), 2, 0.0)
    parametrized(network, coefficients, vectors, groups)
    assert torch.equal(output(network, images), output(base, images))
    with torch.no_grad():
        coefficients.values[:, 1] = 1.0
    expected = output(members[1], images)
    assert torch.allclose(output(network, images), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_only_coefficients_are_trained_and_gradients_reach_them():
    base, images = loaded(0)
    state = dict(base.named_parameters())
    vectors = task_vectors([dict(with_noise(loaded(1)[0]).named_parameters())], state)
    network = copy.deepcopy(base)
    coefficients = Coefficients(len(state), 1, 0.5)
    parametrized(network, coefficients, vectors, groups_of(network, list(state), "tensor"))
    trainable = [value for value in network.parameters() if value.requires_grad]
    assert [value.shape for value in trainable] == [(len(state), 1)]
    output(network, images).square().mean().backward()
    assert (coefficients.values.grad != 0).float().mean() > 0.9


def test_groups_are_tensors_blocks_or_the_whole():
    network, _ = loaded(0)
    names = [name for name, _ in network.named_parameters()]
    assert len(set(groups_of(network, names, "tensor").values())) == len(names)
    assert set(groups_of(network, names, "member").values()) == {0}
    blocks = groups_of(network, names, "block")
    assert set(blocks.values()) == set(range(7))
    assert blocks["network.blocks.2.mlp.fc1.weight"] == blocks["network.blocks.2.attn.qkv.bias"] == 3
    assert blocks["network.patch_embed.proj.weight"] == 0
    network.modules_map = {}
    with pytest.raises(BadSetting, match="grouping=tensor or member"):
        groups_of(network, names, "block")
