"""Ridge regression of codes on conditions, its penalty chosen by leave-one-out errors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A fitted regression.

    Attributes:
        coefficients: (c + 1, k) float64, the constant last.
        residuals: (N, k) leave-one-out errors.
        spread: (k,) root mean square of those.
    """

    coefficients: Tensor
    residuals: Tensor
    spread: Tensor

    def mean(self, conditions: Tensor) -> Tensor:
        """Return the expected codes (n, k) of conditions (n, c)."""
        return (_with_constant(conditions) @ self.coefficients).float()


def regress(codes: Tensor, conditions: Tensor) -> Regression:
    """Return the ridge regression of codes (N, k) on conditions (N, c) with the least leave-one-out error."""
    design, target = _with_constant(conditions), codes.double()
    fits = []
    for penalty in PENALTIES:
        weights = penalty * torch.eye(design.shape[1], dtype=torch.float64)
        weights[-1, -1] = 1e-6  # the constant is not penalised
        solve = torch.linalg.solve(design.T @ design + weights, design.T)
        leverage = (design * solve.T).sum(1).clamp_max(1 - 1e-6)
        errors = (target - design @ (solve @ target)) / (1 - leverage)[:, None]
        fits.append((float(errors.square().mean()), solve @ target, errors))
    _, coefficients, errors = min(fits, key=lambda fit: fit[0])
    spread = errors.square().mean(0).sqrt().clamp_min(1e-6)
    return Regression(coefficients=coefficients, residuals=errors.float(), spread=spread.float())


def _with_constant(conditions: Tensor) -> Tensor:
    return torch.cat([conditions, torch.ones(len(conditions), 1)], 1).double()
