"""Affine coupling layers (Dinh et al. 2017, arXiv 1605.08803, equations 7 and 8)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Coupling(nn.Module):
    """One layer: half of the values scale and shift the other half.

    Args:
        keep: (k,) bool, values that pass unchanged.
        conditions: size of the condition.
        width: of the hidden layer.
        largest: absolute log-scale.
    """

    keep: Tensor

    def __init__(self, keep: Tensor, conditions: int, width: int, largest: float) -> None:
        super().__init__()
        size = len(keep)
        self.register_buffer("keep", keep)
        last = nn.Linear(width, 2 * size)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Linear(size + conditions, width), nn.GELU(), last)
        self.largest = largest

    def terms(self, values: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-scale and shift of the values that change, 0 for those that pass."""
        scale, shift = self.network(torch.cat([values * self.keep, conditions], 1)).chunk(2, 1)
        return self.largest * torch.tanh(scale) * ~self.keep, shift * ~self.keep


class Flow(nn.Module):
    """Coupling layers between codes and normal noise; the identity at first.

    Args:
        size: k, of a code.
        conditions: size of the condition.
        layers, width, largest: see `Coupling`.
    """

    def __init__(self, size: int, conditions: int, *, layers: int, width: int, largest: float) -> None:
        super().__init__()
        places = torch.arange(size)
        self.layers = nn.ModuleList(
            Coupling(places % 2 == number % 2, conditions, width, largest) for number in range(layers)
        )

    def encode(self, codes: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the noise (n, k) of codes and the log-determinant (n,) of the map."""
        total = torch.zeros(len(codes))
        for layer in self.layers:
            scale, shift = layer.terms(codes, conditions)  # type: ignore[operator]
            codes = (codes - shift) * torch.exp(-scale)
            total = total - scale.sum(1)
        return codes, total

    def decode(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Return the codes (n, k) of noise; the inverse of `encode`."""
        for layer in reversed(self.layers):
            scale, shift = layer.terms(noise, conditions)  # type: ignore[operator]
            noise = noise * torch.exp(scale) + shift
        return noise

    def negative_log_likelihood(self, codes: Tensor, conditions: Tensor) -> Tensor:
        """Return the mean negative log-likelihood per dimension under standard normal noise."""
        noise, determinant = self.encode(codes, conditions)
        normal = 0.5 * (noise.square().sum(1) + codes.shape[1] * math.log(2 * math.pi))
        return (normal - determinant).mean() / codes.shape[1]
