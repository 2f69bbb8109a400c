"""A user's file of small convolutional models with batch norm, and files of weights for them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from bench.catalogue import models as model_catalogue

MODEL_FILE = """
import torch
from torch import nn

from bench.core import Layer, Tap, Weights
from bench.networks.backbones import built
from tests.builders.suite_and_model import toy_entry


class Conv(nn.Module):
    def __init__(self, width, depth, bands):
        super().__init__()
        names = ["embedding", *(f"block_{number}" for number in range(1, depth + 1))]
        self.layers = tuple(Layer(name=name, channels=width, stride=4, depth=i / depth) for i, name in enumerate(names))
        self.modules_map = {}
        self.stem = nn.Sequential(nn.Conv2d(bands, width, 4, stride=4, bias=False), nn.BatchNorm2d(width))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
            for _ in range(depth)
        )

    def forward(self, images, layers, *, when=None, where=None):
        value = self.stem(images["s2"][:, 0])
        grids = [value]
        for block in self.blocks:
            value = value + block(value)
            grids.append(value)
        return [Tap(grids[index], grids[index].mean((-2, -1))) for index in layers]


def load(entry, weights, seed, bands):
    return built(lambda: Conv(entry.width, entry.depth, len(bands)), weights, seed=seed, entry=entry.name)


def entry(name, width, depth, **more):
    file = Weights(file=f"{name}.safetensors", licence="MIT")
    return toy_entry(name=name, width=width, depth=depth, parameters=1000, load=load, weights=file, **more)


ENTRIES = (
    entry("conv_wide", 8, 2), entry("conv_narrow", 4, 2), entry("conv_deep", 8, 3, trained_on=("elsewhere", "more")),
)
"""


def write_models(folder: Path) -> None:
    """Write the user's file into a folder, which has to be the working folder when it is used."""
    (folder / "geobench_models.py").write_text(MODEL_FILE)


def write_weights(path: Path, entry: str = "conv_wide", *, seed: int = 0, noise: float = 0.0, draw: int = 1) -> str:
    """Write weights of an entry at random init, each times noise; return the word that names them.

    Args:
        path: of the safetensors file.
        entry: whose network it is.
        seed: of the init; files of one seed are relatives, of two seeds strangers.
        noise: standard deviation of the logarithm of the factors, also of the statistics of batch norms.
        draw: seed of the noise.
    """
    facts = model_catalogue.entries()[entry]
    network = facts.load(facts, None, seed, facts.bands)
    assert isinstance(network, torch.nn.Module)
    generator = torch.Generator().manual_seed(draw)
    state = {}
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value = value * (noise * torch.randn(value.shape, generator=generator)).exp()
        state[name] = value.contiguous().clone()
    save_file(state, path)
    return f"path:{path}:{entry}"
