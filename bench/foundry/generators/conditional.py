"""A conditional Gaussian: codes regressed on the condition, with the spread that the regression leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.foundry.generators.contract.generator import Generator, Sampler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def learn(codes: Tensor, conditions: Tensor, seed: int) -> Sampler:
    """Return a sampler around a ridge regression whose penalty leave-one-out errors choose; see `Generator.learn`."""
    import torch

    design = torch.cat([conditions, torch.ones(len(conditions), 1)], 1).double()
    target = codes.double()
    best: tuple[float, Tensor, Tensor] | None = None
    for penalty in PENALTIES:
        weights = penalty * torch.eye(design.shape[1], dtype=torch.float64)
        weights[-1, -1] = 1e-6  # the constant is not penalised
        solve = torch.linalg.solve(design.T @ design + weights, design.T)
        leverage = (design * solve.T).sum(1).clamp_max(1 - 1e-6)
        errors = (target - design @ (solve @ target)) / (1 - leverage)[:, None]
        score = float(errors.square().mean())
        if best is None or score < best[0]:
            best = score, solve @ target, errors.square().mean(0).sqrt()
    assert best is not None
    _, coefficients, spread = best

    def sample(condition: Tensor, count: int, noise: torch.Generator) -> Tensor:
        mean = torch.cat([condition.double(), torch.ones(1, dtype=torch.float64)]) @ coefficients
        drawn = torch.randn(count, codes.shape[1], generator=noise, dtype=torch.float64)
        return (mean + spread * drawn).float()

    return sample


GENERATOR = Generator(version=1, conditional=True, reference="ridge regression, leave-one-out residuals", learn=learn)
