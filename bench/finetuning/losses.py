"""Losses by kind of task and by name: (output, target) -> a scalar tensor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from bench.core import Task
from bench.core.errors import BadSetting
from bench.finetuning.settings import LOSSES

Loss = Callable[[Tensor, Tensor], Tensor]
FOCUS = 2.0  # gamma of the focal loss (Lin et al. 2017, arXiv 1708.02002)


def loss_of(task: Task, name: str = "") -> Loss:
    """Return the loss of a task: ``(output, target) -> scalar``.

    Targets: (B,) classes; (B, K) multi-hot; (B, q) values; (B, H, W) classes, or values with NaN where there is none.
    Pixels with the ignored label or without a value do not count; the loss of a batch without any other is 0. Dice is
    1 - the mean overlap of the classes present (Milletari et al. 2016, arXiv 1606.04797).

    Args:
        task: its kind decides which losses there are.
        name: one of `bench.finetuning.settings.LOSSES`, or empty for the first.

    Raises:
        BadSetting: a loss that is not for this kind of task.
    """
    known = LOSSES[task.kind]
    if name and name not in known:
        raise BadSetting(f"loss {name!r} is not for {task.kind}; known: {', '.join(known)}")
    name = name or known[0]
    if task.kind == "multilabel":
        return lambda output, target: _labels(output, target.float(), FOCUS if name == "focal" else 0.0)
    if name in ("squared", "huber"):
        return lambda output, target: _values(output, target, name)
    if name == "dice":
        return lambda output, target: _dice(output, target, task.ignore)
    return lambda output, target: _classes(output, target, task.ignore, FOCUS if name == "focal" else 0.0)


def _classes(output: Tensor, target: Tensor, ignore: int | None, focus: float) -> Tensor:
    """Return the mean (focal) cross-entropy over valid targets."""
    valid = target >= 0 if ignore is None else target != ignore
    each = functional.cross_entropy(
        output.float(), target.masked_fill(~valid, -1).long(), ignore_index=-1, reduction="none"
    )
    if focus:
        each = each * (1 - torch.exp(-each)).pow(focus)
    return each.sum() / valid.sum().clamp_min(1)


def _labels(output: Tensor, target: Tensor, focus: float) -> Tensor:
    each = functional.binary_cross_entropy_with_logits(output.float(), target, reduction="none")
    return (each * (1 - torch.exp(-each)).pow(focus)).mean() if focus else each.mean()


def _values(output: Tensor, target: Tensor, name: str) -> Tensor:
    """Return the mean squared or Huber error over values; a map (B, 1, H, W) is held against (B, H, W)."""
    output = output.float()[:, 0] if output.ndim == target.ndim + 1 else output.float()
    valid = target.isfinite()
    given = target.nan_to_num()
    each = (
        functional.mse_loss(output, given, reduction="none")
        if name == "squared"
        else functional.huber_loss(output, given, reduction="none")
    )
    return (each * valid).sum() / valid.sum().clamp_min(1)


def _dice(output: Tensor, target: Tensor, ignore: int | None) -> Tensor:
    """Return 1 - the mean over the classes present of 2 |A B| / (|A| + |B|), over all valid pixels of the batch."""
    valid = target >= 0 if ignore is None else target != ignore
    chance = output.float().softmax(1) * valid[:, None]
    truth = functional.one_hot(target.masked_fill(~valid, 0).long(), output.shape[1]).movedim(-1, 1) * valid[:, None]
    both, total = (chance * truth).sum((0, 2, 3)), (chance + truth).sum((0, 2, 3))
    present = truth.sum((0, 2, 3)) > 0
    if not bool(present.any()):
        return output.sum() * 0.0
    return 1 - (2 * both / total.clamp_min(1e-6))[present].mean()
