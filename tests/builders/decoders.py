"""Decoders, taps for them, and a way to train them."""

from __future__ import annotations

import inspect
from typing import NamedTuple

import torch
from torch.nn import functional

from bench.core import Layer, Tap, Task, lookup
from bench.decoders.parts.contract import Decoder

NAMES = lookup.names("bench.decoders")
DECODERS = {name: lookup.noun("bench.decoders", name, Decoder) for name in NAMES}
PAIRS = [(name, kind) for name in NAMES for kind in DECODERS[name].kinds]
DETECTORS = [name for name in NAMES if "detection" in DECODERS[name].kinds]
CLASSES = 3


class Geometry(NamedTuple):
    """The taps of a backbone: strides and channels of four layers, the size of the input, and the resulting grids."""

    strides: tuple[int, int, int, int]
    image: tuple[int, int]
    channels: tuple[int, int, int, int] = (32, 32, 32, 32)

    @property
    def layers(self) -> list[Layer]:
        parts = zip(self.strides, self.channels, strict=True)
        return [Layer(name=f"block_{i + 1}", channels=c, stride=s, depth=(i + 1) / 4) for i, (s, c) in enumerate(parts)]

    @property
    def grids(self) -> list[tuple[int, int]]:
        return [tuple(-(-side // stride) for side in self.image) for stride in self.strides]


GEOMETRIES = {
    "patch_4": Geometry((4,) * 4, (28, 36)),
    "patch_8": Geometry((8,) * 4, (40, 56)),
    "patch_14": Geometry((14,) * 4, (98, 126)),
    "patch_16": Geometry((16,) * 4, (112, 80)),
    "patch_32": Geometry((32,) * 4, (64, 96)),
    "patch_10": Geometry((10,) * 4, (50, 30)),
    "pixel": Geometry((1,) * 4, (1, 1)),
    "pixels": Geometry((1,) * 4, (9, 7)),
    "one_token": Geometry((16,) * 4, (16, 16)),
    "cnn": Geometry((4, 8, 16, 32), (50, 70), (8, 16, 24, 40)),
    "cnn_fine": Geometry((2, 4, 8, 16), (33, 31), (8, 16, 24, 40)),
    "repeated": Geometry((4, 8, 16, 16), (50, 70), (8, 16, 24, 24)),
    "swin_quarters": Geometry((16, 16, 16, 32), (50, 70), (16, 16, 16, 24)),
    "one_cell": Geometry((8, 16, 32, 64), (8, 8), (8, 16, 24, 40)),
    "thirds": Geometry((3, 9, 18, 30), (45, 31), (8, 16, 24, 40)),
}


def task_of(kind: str) -> Task:
    return Task(name="toy", kind=kind, classes=tuple("abc"), metric="miou")


def build(name, kind, geometry=GEOMETRIES["patch_8"], *, seed=0, outputs=CLASSES):
    """Return a narrow decoder for a kind of task."""
    decoder = DECODERS[name]
    # A U-Net's width halves three times.
    width = 128 if name == "unet" else 32
    settings = {"width": width} if "width" in inspect.signature(decoder.build).parameters else {}
    layers = geometry.layers[-decoder.layers_read :]
    torch.manual_seed(seed)
    return decoder.build(layers, task_of(kind), outputs=outputs, image=geometry.image, **settings)


def taps_of(name, geometry, batch, *, seed=0, grad=False):
    """Return random taps: normal grids with a mean of 1, and their means as vectors."""
    generator = torch.Generator().manual_seed(seed)
    levels = DECODERS[name].layers_read
    grids = [
        torch.randn(batch, channels, *grid, generator=generator) * 3 + 1
        for channels, grid in list(zip(geometry.channels, geometry.grids, strict=True))[-levels:]
    ]
    return [Tap(grid.requires_grad_(grad), grid.mean((-2, -1))) for grid in grids]


def boxes_of(count, size, classes=CLASSES):
    """Return boxes at fractional places within a size."""
    height, width = size
    corner = torch.tensor([[0.1 * width * i + 0.3, 0.05 * height * i + 0.1] for i in range(count)]).reshape(-1, 2)
    side = torch.tensor([0.45 * width, 0.4 * height])
    return {"boxes": torch.cat([corner, corner + side], 1), "labels": torch.arange(count) % classes}


def run(module, name, kind, taps, size, boxes=(2, 0)):
    """Return the output of a decoder; a detector in training mode is given targets."""
    if kind != "detection":
        return module(taps, size)
    if not module.training:
        return module(taps, size)
    return module(taps, size, [boxes_of(boxes[i % len(boxes)], size) for i in range(len(taps[0].grid))])


def total(output):
    """Return one number that depends on all values of an output or of losses by name."""
    if isinstance(output, dict):
        return sum(output.values())
    weight = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    return (output * weight).sum()


def warm(name, kind, geometry):
    """Return the arguments of a training call, which sets the running statistics."""
    size = geometry.image
    taps = taps_of(name, geometry, 4, seed=9)
    return (taps, size, [boxes_of(1, size)] * 4) if kind == "detection" else (taps, size)


def fit(module, loss, *, steps, rate=3e-3):
    """Train a decoder with Adam and a cosine decay, and return it in eval mode."""
    optimiser = torch.optim.Adam(module.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    module.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        schedule.step()
    return module.eval()


def embedded(name, images, geometry):
    """Return taps of random linear patch embeddings of images, a different one for each layer."""
    generator = torch.Generator().manual_seed(5)
    taps = []
    for stride, channels in list(zip(geometry.strides, geometry.channels, strict=True))[-DECODERS[name].layers_read :]:
        weight = torch.randn(channels, images.shape[1], stride, stride, generator=generator) / stride
        grid = functional.conv2d(images, weight, stride=stride)
        taps.append(Tap(grid, grid.mean((-2, -1))))
    return taps
