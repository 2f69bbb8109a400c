"""Small networks with their weights, for tests of files of weights."""

from __future__ import annotations

import torch
from torch import nn


def network(seed: int = 0, width: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def equal(first: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return first.keys() == other.keys() and all(
        first[key].dtype == other[key].dtype and torch.equal(first[key], other[key]) for key in first
    )
