"""A Gaussian over codes that knows no condition: the null that every other generator has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.foundry.generators.contract.generator import Generator, Sampler

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def learn(codes: Tensor, conditions: Tensor, seed: int) -> Sampler:
    """Return a sampler of the Gaussian with the mean and variance of each code; see `Generator.learn`."""
    import torch

    mean, spread = codes.mean(0), codes.std(0)

    def sample(condition: Tensor, count: int, noise: torch.Generator) -> Tensor:
        return mean + spread * torch.randn(count, codes.shape[1], generator=noise)

    return sample


GENERATOR = Generator(
    version=1, conditional=False, reference="the null of principal components: independent normal codes", learn=learn
)
