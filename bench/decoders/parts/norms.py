"""Normalisation that does not mind a batch of one, or a map of one cell.

Batch norm in training mode fails on a single value a channel (one image of a 1 x 1 grid), and its result depends on how
many images share a step, which would mix batch size into a comparison of decoders. So decoders use two others. At the
entrance `Standardise` does what the linear probes do: a z-score a channel with statistics of the training features.
Inside, group norm (Wu & He 2018, arXiv 1803.08494) stands wherever a paper has batch norm.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

MOMENTUM = 0.01  # the weight of a batch is 1 / batches seen, but never less than this
AnyModule = TypeVar("AnyModule", bound=nn.Module)
AnyLinear = TypeVar("AnyLinear", nn.Linear, nn.Conv2d)


class Standardise(nn.Module):
    """Subtracts a channel's mean and divides by its standard deviation, both running over the training batches.

    Features of different layers and models differ in scale by orders of magnitude; decoders see them alike. Unlike
    batch norm it normalises by the running statistics in training mode too, after updating them, so training and
    evaluation compute one function, for any batch. On frozen features that settles into the probes' fixed z-score. A
    channel that never varied is only centred. No parameters; computed in float32.

    Args:
        channels: D.

    Attributes:
        mean: (D,).
        variance: (D,), biased, of all values (batch, height and width) of a channel.
        batches: how many it has seen.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        """Return (B, D, ...) values standardised."""
        values = values.float()
        if self.training:
            self._update(values.detach().transpose(0, 1).flatten(1))
        scale = torch.where(self.variance > 1e-12, self.variance, torch.ones_like(self.variance)).rsqrt()
        shape = (-1, *(1 for _ in values.shape[2:]))
        return (values - self.mean.view(shape)) * scale.view(shape)

    @torch.no_grad()
    def _update(self, columns: Tensor) -> None:
        """Mix the mean and variance of (D, n) columns in: those of a mixture of two distributions."""
        self.batches += 1
        weight = self.batches.reciprocal().clamp_min(MOMENTUM)
        variance, mean = torch.var_mean(columns, 1, correction=0)
        step = mean - self.mean
        self.variance.add_(weight * step.square()).mul_(1 - weight).add_(weight * variance)
        self.mean.add_(weight * step)


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a group norm of up to 32 groups of at least four channels, so that none is normalised to nothing."""
    groups = next((count for count in (32, 16, 8, 4, 2) if channels % count == 0 and channels // count >= 4), 1)
    return nn.GroupNorm(groups, channels)


def with_group_norm(module: AnyModule) -> AnyModule:
    """Return the module with every batch or group norm of images in it replaced, in place, by that of `group_norm`."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, group_norm(child.num_features))
        elif isinstance(child, nn.GroupNorm):
            setattr(module, name, group_norm(child.num_channels))
        else:
            with_group_norm(child)
    return module


def convolution(channels: int, width: int, kernel: int = 3) -> nn.Sequential:
    """Return a convolution that keeps the size, a group norm and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False), group_norm(width), nn.ReLU()
    )


def small_start(layer: AnyLinear) -> AnyLinear:
    """Return the last layer of a head, started near zero (normal, deviation 0.01), so that outputs are too."""
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
