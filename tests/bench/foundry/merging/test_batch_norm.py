"""Statistics of batch norms: measured anew, equal to their closed form, and restored where they were folded away."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bench.foundry.merging.batch_norm import folded, reestimate, statistics_names, unfold
from bench.networks.batch_norms import batch_norms


def network(seed=0):
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3, bias=False), nn.BatchNorm2d(5)
    )
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=generator))
    return net.eval()


def batches(count=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [2 + 3 * torch.randn(size, 3, 12, 12, generator=generator) for size in (7, 7, 3, 9, 4)[:count]]


def test_statistics_are_those_of_all_images_together():
    net, images = network(), batches()
    reestimate(net, images, net)
    given = net[0](torch.cat(images)).transpose(0, 1).flatten(1)
    assert torch.allclose(net[1].running_mean, given.mean(1), rtol=1e-5)
    assert torch.allclose(net[1].running_var, given.var(1), rtol=1e-5)
    assert not net.training and net[1].num_batches_tracked == 5


def test_a_norm_is_measured_behind_norms_that_are_right():
    """With one batch the second norm sees what it will see in evaluation, so its output has the moments it states."""
    net, (images,) = network(), batches(1)
    reestimate(net, [images], net)
    with torch.no_grad():
        out = net(images).transpose(0, 1).flatten(1)
    assert torch.allclose(out.mean(1), net[4].bias, atol=1e-3)
    assert torch.allclose(out.std(1), net[4].weight.abs(), rtol=1e-2)


def test_weights_stay_and_statistics_change():
    net = network()
    before = copy.deepcopy(net.state_dict())
    reestimate(net, batches(), net)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == statistics_names(net) == {f"{i}.{part}" for i in (1, 4) for part in
                                              ("running_mean", "running_var", "num_batches_tracked")}  # fmt: skip


def test_statistics_of_an_average_are_not_the_average_of_statistics():
    first, second = network(0), network(1)
    for net in (first, second):
        reestimate(net, batches(), net)
    merged = copy.deepcopy(first)
    merged[0].weight.data = (first[0].weight + second[0].weight).data / 2
    reestimate(merged, batches(), merged)
    copied = (first[1].running_var + second[1].running_var) / 2
    assert (merged[1].running_var < 0.9 * copied).sum() >= 3


def test_folded_norms_get_their_scale_back_and_compute_the_same():
    net = network()
    for norm in batch_norms(net).values():
        norm.weight.data.fill_(1)
        norm.running_var.fill_(1 - norm.eps)
    assert folded(net)
    images = batches()
    expected = net(images[0])
    unfold(net, images, net)
    assert not folded(net)
    assert torch.allclose(net(images[0]), expected, rtol=1e-3, atol=1e-3)
    given = net[0](torch.cat(images)).transpose(0, 1).flatten(1)
    assert net[1].weight.tolist() == pytest.approx(given.std(1).tolist(), rel=1e-3)


def test_networks_without_batch_norm_are_neither():
    net = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    assert not batch_norms(net) and not folded(net) and statistics_names(net) == set()
