"""Checkpoints in the layout of a publisher: all keys and shapes, small, filled by a formula, saved as in training.

The values of the formula do not depend on the machine, so that outputs recorded from a publisher's own code with these
weights can be compared.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from bench.core import ModelEntry

DECODER_WIDTH = 32
Shapes = dict[str, tuple[int, ...]]


def patternless(*shape: int, phase: float = 0.0) -> Tensor:
    """Return values in -1..1 without a pattern, the same on every machine and with every release of torch."""
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    return (2 * torch.frac((steps + phase).sin() * 43758.5453).abs() - 1).reshape(shape).float()


def images_of(entry: ModelEntry, count: int = 2) -> dict[str, Tensor]:
    """Return prepared images of an entry with one sensor; three dates where it takes series."""
    dates = 3 if entry.temporal else 1
    side, sensor = entry.image_size, entry.bands[0].sensor
    return {sensor: 0.5 + 0.5 * patternless(count, dates, len(entry.bands), side, side)}


def norm(prefix: str, width: int) -> Shapes:
    return {f"{prefix}.weight": (width,), f"{prefix}.bias": (width,)}


def linear(prefix: str, outputs: int, inputs: int) -> Shapes:
    return {f"{prefix}.weight": (outputs, inputs), f"{prefix}.bias": (outputs,)}


def block(prefix: str, width: int, *, joint: bool = True) -> Shapes:
    """Return the shapes of a transformer block, with one projection for queries, keys and values or with three."""
    projections = {"qkv": 3} if joint else {"q": 1, "k": 1, "v": 1}
    shapes = norm(f"{prefix}.norm1", width)
    for name, parts in projections.items():
        shapes |= linear(f"{prefix}.attn.{name}", parts * width, width)
    return {
        **shapes,
        **linear(f"{prefix}.attn.proj", width, width),
        **norm(f"{prefix}.norm2", width),
        **linear(f"{prefix}.mlp.fc1", 4 * width, width),
        **linear(f"{prefix}.mlp.fc2", width, 4 * width),
    }


def blocks(prefix: str, depth: int, width: int, *, joint: bool = True) -> Shapes:
    """Return the shapes of several transformer blocks."""
    return {k: s for index in range(depth) for k, s in block(f"{prefix}.{index}", width, joint=joint).items()}


def filled(shapes: Shapes) -> dict[str, Tensor]:
    """Return tensors of these shapes: norms scale by about 1, and weights keep their outputs near 1."""
    state = {}
    for index, (key, shape) in enumerate(sorted(shapes.items())):
        size = 0.1 if len(shape) < 2 else 2.0 / math.sqrt(math.prod(shape[1:]))
        value = size * patternless(*shape, phase=float(index))
        state[key] = 1 + value if "norm" in key and key.endswith("weight") else value
    return state


class CfgNode(dict[str, Any]):
    """Stands for the class of that name in yacs, of which GFM's settings are; yacs need not be installed."""


CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"


def saved(folder: Path, state: dict[str, Tensor], *, yacs: bool = False, **more: Any) -> Path:
    """Write a checkpoint as the publishers' training writes it, with the settings of the run.

    Args:
        folder: where to write it.
        state: the weights.
        yacs: whether the settings are of a class of yacs, otherwise of argparse.
        more: further top-level keys.
    """
    content = {"model": OrderedDict(state), "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]}, "epoch": 199}
    if yacs:
        config = CfgNode(DATA=CfgNode(IMG_SIZE=192), BASE=[""])
        config.__dict__["__immutable__"] = True
        content |= {"lr_scheduler": {"base_values": [2e-4]}, "max_accuracy": 0.0, "config": config}
    else:
        settings = argparse.Namespace(model="mae_vit", dropped_bands=[0, 9, 10], lr=1e-4, resume="", log_dir=None)
        content |= {"scaler": {"scale": 65536.0}, "args": settings}
    stand_in: dict[str, Any] = {"yacs": SimpleNamespace(), "yacs.config": SimpleNamespace(CfgNode=CfgNode)}
    with mock.patch.dict(sys.modules, stand_in):
        torch.save(content | more, folder / "published.pth")
    return folder / "published.pth"
