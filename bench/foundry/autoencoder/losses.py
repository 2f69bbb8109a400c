"""Losses of the autoencoder: reconstruction of real values, and the contrast of two views of each window."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST_SPREAD = 1e-4


def masked_error(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error over the values that `mask` marks as real."""
    difference = torch.where(mask, output.float() - target.float(), 0.0)
    return difference.square().sum() / mask.sum().clamp_min(1)


def normalised_error(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the published reconstruction loss: the masked error, with the batch's spread of targets as unit.

    Masked loss normalisation (arXiv 2504.10141): one mean and one spread over all real target values of the batch
    standardise output and target, so the mean cancels. Layers of small weights hardly count in it.
    """
    real = target[mask].float()
    return masked_error(output, target, mask) / (real.std(correction=0) + SMALLEST_SPREAD).square()


def contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the NT-Xent loss of two views (SimCLR, arXiv 2002.05709, eq. 1).

    Args:
        first: projections of one view (B, D).
        second: projections of the other, in the same order.
        temperature: of the softmax over all other projections.
    """
    both = functional.normalize(torch.cat([first, second]).float(), dim=1)
    count = len(first)
    likeness = both @ both.T / temperature
    likeness = likeness.masked_fill(torch.eye(2 * count, dtype=torch.bool, device=both.device), -torch.inf)
    partner = torch.arange(2 * count, device=both.device).roll(count)
    return functional.cross_entropy(likeness, partner)
