"""A conditional Gaussian: codes regressed on the condition, with the spread that the regression leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.foundry.generators.contract.generator import Generator, Sampler

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def learn(codes: Tensor, conditions: Tensor, seed: int) -> Sampler:
    """Return a sampler around a ridge regression whose penalty leave-one-out errors choose; see `Generator.learn`."""
    import torch

    from bench.foundry.generators.contract.regression import regress

    fitted = regress(codes, conditions)

    def sample(condition: Tensor, count: int, noise: torch.Generator) -> Tensor:
        drawn = torch.randn(count, codes.shape[1], generator=noise)
        return fitted.mean(condition[None]) + fitted.spread * drawn

    return sample


GENERATOR = Generator(version=1, conditional=True, reference="ridge regression, leave-one-out residuals", learn=learn)
