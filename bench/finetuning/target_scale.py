"""The scale of a regression's targets: training minimises the error of targets with mean 0 and deviation 1."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.core import Task
from bench.core.errors import Incompatible
from bench.input.batches import Examples


def target_scale(task: Task, examples: Examples) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (q,) float32 of a regression's training targets; 0 and 1 for other tasks.

    A target without spread is given a deviation of 1. Of dense values the finite pixels count, and q is 1.

    Raises:
        Incompatible: no training sample has a value.
    """
    if task.kind not in ("regression", "dense_regression"):
        return torch.zeros(1), torch.ones(1)
    targets = [np.asarray(target, np.float64) for target in examples.targets(range(len(examples)))]
    if task.kind == "regression":
        values = torch.from_numpy(np.stack(targets))
    else:
        values = torch.from_numpy(np.concatenate([target[np.isfinite(target)] for target in targets]))[:, None]
    if not len(values):
        raise Incompatible(f"no training sample of {task.name} has a value")
    spread = values.std(0, correction=0)
    return values.mean(0).float(), torch.where(spread > 0, spread, torch.ones_like(spread)).float()
