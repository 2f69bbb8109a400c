"""Normalisation that works for a batch of one image and for a map of one cell.

In training mode, batch norm fails on a single value per channel (one image with a 1 x 1 grid), and its result depends
on the number of images in a step, so that a comparison of decoders would depend on the batch size. Decoders use two
other norms. At the entrance, `Standardise` does what the linear probes do: it standardises each channel with statistics
of the training features. Inside, group norm (Wu & He 2018, arXiv 1803.08494) takes the place of batch norm.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

MOMENTUM = 0.01  # the weight of a batch is 1 / number of batches so far, but at least this
AnyModule = TypeVar("AnyModule", bound=nn.Module)
AnyLinear = TypeVar("AnyLinear", nn.Linear, nn.Conv2d)


class Standardise(nn.Module):
    """Standardises each channel with its running mean and standard deviation over the training batches.

    Features of different layers and models differ in scale by orders of magnitude; decoders receive them at one scale.
    Unlike batch norm, this module normalises with the running statistics in training mode too, after it has updated
    them. Training and evaluation therefore compute the same function, for any batch. On frozen features the statistics
    converge to the fixed ones of the probes. A channel that never varied is only centred. The module has no parameters
    and computes in float32.

    Args:
        channels: D.

    Attributes:
        mean: (D,).
        variance: (D,), biased, over all values (batch, height and width) of a channel.
        batches: number of batches so far.
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
        """Return the standardised values (B, D, ...)."""
        values = values.float()
        if self.training:
            self._update(values.detach().transpose(0, 1).flatten(1))
        scale = torch.where(self.variance > 1e-12, self.variance, torch.ones_like(self.variance)).rsqrt()
        shape = (-1, *(1 for _ in values.shape[2:]))
        return (values - self.mean.view(shape)) * scale.view(shape)

    @torch.no_grad()
    def _update(self, columns: Tensor) -> None:
        """Update the statistics with columns (D, n), as the moments of a mixture of two distributions."""
        self.batches += 1
        weight = self.batches.reciprocal().clamp_min(MOMENTUM)
        variance, mean = torch.var_mean(columns, 1, correction=0)
        step = mean - self.mean
        self.variance.add_(weight * step.square()).mul_(1 - weight).add_(weight * variance)
        self.mean.add_(weight * step)


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a group norm of up to 32 groups of at least four channels; smaller groups could become constant."""
    groups = next((count for count in (32, 16, 8, 4, 2) if channels % count == 0 and channels // count >= 4), 1)
    return nn.GroupNorm(groups, channels)


def with_group_norm(module: AnyModule) -> AnyModule:
    """Return the module with every two-dimensional batch norm and group norm replaced, in place, by `group_norm`."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, group_norm(child.num_features))
        elif isinstance(child, nn.GroupNorm):
            setattr(module, name, group_norm(child.num_channels))
        else:
            with_group_norm(child)
    return module


def convolution(channels: int, width: int, kernel: int = 3) -> nn.Sequential:
    """Return a convolution that keeps the size, then a group norm and a ReLU.

    Args:
        channels: number of input channels.
        width: number of output channels.
        kernel: side of the kernel in cells.
    """
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False), group_norm(width), nn.ReLU()
    )


def small_start(layer: AnyLinear) -> AnyLinear:
    """Return the last layer of a head with weights near zero (normal, standard deviation 0.01) and zero biases.

    The first outputs of the head are then near zero too.
    """
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
