"""Cost of an arm: parameters, seconds per step, multiply-adds per image."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.features.forward import taps_of, whole_taps
from bench.finetuning.task_model import TaskModel
from bench.finetuning.trained import Trained
from bench.finetuning.workbench import Workbench


def cost_of(task_model: TaskModel, trained: Trained, workbench: Workbench) -> dict[str, float]:
    """Return ``trained_parameters``, ``decoder_parameters``, ``step_seconds`` and ``flops`` (see `multiply_adds`)."""
    return {
        "trained_parameters": float(sum(p.numel() for p in task_model.parameters() if p.requires_grad)),
        "decoder_parameters": float(sum(p.numel() for p in task_model.decoder.parameters())),
        "step_seconds": trained.seconds / max(1, trained.history[-1][0]),
        "flops": multiply_adds(task_model, workbench),
    }


def multiply_adds(task_model: TaskModel, workbench: Workbench) -> float:
    """Return the multiply-adds of one image, or one window of it, through backbone and decoder, counted by torch."""
    training, trainable = task_model.training, [p for p in task_model.parameters() if p.requires_grad]
    task_model.eval().requires_grad_(False)  # torch's counter fails on parameters that want gradients and get none
    batch = workbench.one_batch()
    backbone: Any = task_model.backbone or workbench.shared_backbone()
    run = whole_taps if task_model.boxes else taps_of
    if task_model.recipe.windows and not task_model.boxes:
        batch = batch.window(task_model.recipe, 0, 0)
    assert batch.given is not None
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        single = list(dict.fromkeys(task_model.levels))
        taps = dict(zip(single, run(task_model.recipe, backbone, batch.given, single), strict=True))
        size = task_model.recipe.extent(batch.size) if task_model.boxes else batch.size
        task_model.decoder([taps[level] for level in task_model.levels], size)
    for parameter in trainable:
        parameter.requires_grad_(True)
    task_model.train(training)
    return float(counter.get_total_flops()) / 2
