"""Data-parallel training of one model in several processes, one per device: each takes a share of every step's images.

Lightning Fabric starts and connects the processes (``devices=N``). They exchange gradients, buffers and decisions.
Process 0 makes all decisions, writes every record and shows progress; the other processes follow it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from bench.core.errors import BadSetting

if TYPE_CHECKING:
    import torch
    from torch import nn

Shared = TypeVar("Shared")


def launch(devices: int, device: str) -> str:
    """Start and connect the processes of this command, unless done before, and return the torch device of this one.

    Args:
        devices: number of processes.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        BadSetting: `device` is none of these, or there are fewer GPUs than `devices`.
    """
    import torch
    from lightning.fabric import Fabric

    kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if kind not in ("cpu", "cuda"):
        raise BadSetting(f"devices={devices} with device={device}: say device=cuda or device=cpu")
    if kind == "cuda" and torch.cuda.device_count() < devices:
        raise BadSetting(f"devices={devices}: torch sees {torch.cuda.device_count()} CUDA devices here")
    if world() == 1:
        Fabric(accelerator=kind, devices=devices, strategy="ddp").launch()
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if kind == "cuda" else kind


def _group() -> ModuleType | None:
    """Return torch.distributed where processes are connected, else None; never imports torch itself."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return None
    connected: ModuleType = torch.distributed
    return connected


def rank() -> int:
    """Return the index of this process, 0 where it is the only one."""
    group = _group()
    return int(group.get_rank()) if group else 0


def world() -> int:
    """Return the number of processes, 1 where this is the only one."""
    group = _group()
    return int(group.get_world_size()) if group else 1


def agreed(value: Shared) -> Shared:
    """Return the value of process 0 in every process."""
    group = _group()
    if group is None:
        return value
    box = [value]
    group.broadcast_object_list(box, src=0)
    return box[0]


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum the gradients of all processes in place; a missing gradient in one process counts as zero."""
    import torch

    group = _group()
    if group is None:
        return
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            group.all_reduce(parameter.grad)


def total(value: float, device: torch.device | str) -> float:
    """Return the sum of a number over all processes."""
    import torch

    group = _group()
    if group is None:
        return value
    summed = torch.tensor(value, dtype=torch.float64, device=device)
    group.all_reduce(summed)
    return float(summed)


def same_buffers(module: nn.Module) -> None:
    """Copy the buffers (running statistics) of process 0 to all, as DistributedDataParallel does before each pass."""
    group = _group()
    if group is None:
        return
    for buffer in module.buffers():
        group.broadcast(buffer, src=0)
