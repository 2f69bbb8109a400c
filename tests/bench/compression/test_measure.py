"""Costs against closed forms of a network of one linear map, and masks that hold pruned weights at zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bench.compression.carry_out import hold_masks, release_masks
from bench.compression.measure import file_bytes, latencies, measured, peak_bytes
from bench.compression.similarity import cka
from bench.core import Layer, Tap


class OneMap(nn.Module):
    """A linear map of 64 pixels to 32 channels."""

    layers = (Layer(name="embedding", channels=32, stride=8, depth=0.0),)

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(64, 32)
        self.requires_grad_(False)

    def forward(self, images, layers, *, when=None, where=None):
        vector = self.map(images["s2"].flatten(1))
        return [Tap(vector[:, :, None, None], vector)]


IMAGES = {"s2": torch.ones(1, 1, 1, 8, 8)}


def test_costs_of_a_linear_map_are_its_closed_forms():
    costs = measured(OneMap(), OneMap(), IMAGES, device="cpu")
    assert costs["network_parameters"] == 64 * 32 + 32
    assert costs["network_flops"] == 64 * 32
    assert costs["file_bytes"] >= 4 * (64 * 32 + 32)
    assert {"latency_1_p50", "latency_32_p95", "reference_latency_32_p50"} <= set(costs)


def test_peak_memory_is_the_weights_and_what_a_pass_holds():
    weights, output = 4 * (64 * 32 + 32), 4 * 32
    assert weights + output <= peak_bytes(OneMap(), IMAGES) <= weights + 4 * output


def test_zeros_shrink_the_compressed_file_and_are_not_counted():
    network = OneMap()
    plain = file_bytes(network)
    network.map.weight.data[:16] = 0
    zeros = file_bytes(network)
    assert zeros[0] == plain[0] and zeros[1] < 0.7 * plain[1]
    assert measured(network, None, IMAGES, device="cpu")["weights_left"] == 64 * 16 + 32


def test_networks_take_turns_and_the_first_pass_does_not_count():
    ticks = iter(np.arange(0, 1e4, 0.125))
    seconds = latencies({"a": OneMap(), "b": OneMap()}, IMAGES, repeats=3, clock=lambda: float(next(ticks)))
    assert seconds["a"].tolist() == seconds["b"].tolist() == [0.125] * 3


def test_masks_hold_weights_at_zero_while_the_others_change():
    network = OneMap().requires_grad_(True)
    keep = torch.rand(32, 64) > 0.5
    hold_masks(network, {"map.weight": keep})
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        network(IMAGES, [0])[0].vector.square().mean().backward()
        optimiser.step()
    release_masks(network, {"map.weight": keep})
    assert (network.map.weight[~keep] == 0).all() and set(network.state_dict()) == {"map.weight", "map.bias"}


def test_cka_is_one_for_a_rotation_and_near_zero_for_independent_features():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 5))
    rotation = np.linalg.qr(generator.normal(size=(5, 5)))[0]
    assert cka(x, 3 * x @ rotation) == pytest.approx(1)
    assert abs(cka(x, generator.normal(size=(200, 5)))) < 0.1
    assert np.isnan(cka(x, np.ones((200, 2))))
