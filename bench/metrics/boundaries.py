"""Agreement of class boundaries between two masks; pure functions of label tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

REACH = 0.0075  # of the image's diagonal, as Csurka et al. 2013 have it


def boundary_counts(predicted: Tensor, target: Tensor, classes: int, ignore: int | None) -> Tensor:
    """Return counts of boundary pixels of prediction and truth, and of those near the other's, (B, K, 4) int64.

    A boundary pixel of a class has, among its four neighbours, one of another class; where either has no label there
    is no boundary. Near is within 0.75 % of the image's diagonal, rounded up, along each axis (after Csurka et al.,
    2013, "What is a good evaluation measure for semantic segmentation?", who take the Euclidean distance).

    Args:
        predicted: (B, H, W) predicted classes.
        target: (B, H, W) true classes.
        classes: number of classes K.
        ignore: label that is not scored, or None (then negative ones are not).

    Returns:
        Predicted boundary pixels near a true one, predicted ones, true ones near a predicted one, true ones.
    """
    reach = math.ceil(REACH * math.hypot(*target.shape[1:]))
    valid = target >= 0 if ignore is None else target != ignore
    edges = [_edges(codes, valid, classes) for codes in (predicted, target)]
    near = [_grown(edge, reach) for edge in edges]
    counts = (edges[0] & near[1], edges[0], edges[1] & near[0], edges[1])
    return torch.stack([count.flatten(2).sum(2) for count in counts], -1)


def _edges(codes: Tensor, valid: Tensor, classes: int) -> Tensor:
    """Return the boundary pixels of each class, (B, K, H, W) bool."""
    edge = torch.zeros_like(valid)
    for axis in (1, 2):
        most = codes.shape[axis] - 1
        change = codes.narrow(axis, 0, most) != codes.narrow(axis, 1, most)
        change &= valid.narrow(axis, 0, most) & valid.narrow(axis, 1, most)
        edge.narrow(axis, 0, most).logical_or_(change)
        edge.narrow(axis, 1, most).logical_or_(change)
    own = torch.arange(classes, device=codes.device).view(1, -1, 1, 1)
    return (codes[:, None] == own) & edge[:, None]


def _grown(edge: Tensor, reach: int) -> Tensor:
    """Return which pixels have a boundary pixel within `reach` along each axis."""
    side = 2 * reach + 1
    tall = functional.max_pool2d(edge.float(), (side, 1), 1, (reach, 0))
    return functional.max_pool2d(tall, (1, side), 1, (0, reach)) > 0
