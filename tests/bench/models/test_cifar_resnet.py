"""The CIFAR ResNets: their files load whole, shortcuts have no parameters, and the image vector is the mean."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.catalogue import models
from bench.networks.cifar_resnet import BasicBlock

ENTRIES = models.entries()


def test_a_shortcut_pads_new_channels_on_both_sides_with_zeros():
    block = BasicBlock(4, 8, 2)
    nn.init.zeros_(block.bn2.weight)  # the residual branch gives 0
    block.eval()
    values = torch.rand(1, 4, 6, 6)
    out = block(values)
    assert torch.equal(out[:, 2:6], values[:, :, ::2, ::2])
    assert not out[:, :2].any() and not out[:, 6:].any()


@pytest.mark.parametrize("layers", [20, 32, 44, 56])
def test_depth_and_width_are_those_of_the_paper(layers):
    entry = ENTRIES[f"cifar_resnet{layers}"]
    network = entry.load(entry, None, 0, entry.bands)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == layers - 1  # and the classifier, which is not loaded
    assert [layer.channels for layer in network.layers][-1] == 64 and network.layers[-1].stride == 4


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", [name for name in ENTRIES if name.startswith(("cifar_", "mobilenet_v2_")) and ENTRIES[name].weights]
)
def test_the_real_file_loads_whole(name, shared):
    entry = ENTRIES[name]
    path = shared / "weights" / entry.weights.file
    network = entry.load(entry, path, 0, entry.bands)
    random = entry.load(entry, None, 0, entry.bands)
    others = dict(random.named_parameters())
    weights = {key: value for key, value in network.named_parameters() if value.ndim > 1}
    assert weights and not any(torch.equal(value, others[key]) for key, value in weights.items())
    taps = network({"rgb": torch.rand(2, 1, 3, entry.image_size, entry.image_size)}, range(len(network.layers)))
    assert all(bool(tap.grid.isfinite().all()) for tap in taps)
