"""Which parameters of a backbone are trained, and at which rate."""

from __future__ import annotations

import os
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from bench.core import Backbone
from bench.core.errors import BadSetting, Incompatible

if TYPE_CHECKING:
    from torch import nn

WHOLE = ("frozen", "head-then-full", "full", "lora", "scratch")
PARTS: dict[str, tuple[str, ...]] = {
    "norms": ("norm1", "norm2", "cross_norm"),
    "attention": ("qkv", "q", "k", "v", "proj"),
    "mlp": ("fc1", "fc2", "fc3"),
    **{name: (name,) for name in ("norm1", "qkv", "q", "k", "v", "proj", "norm2", "fc1", "fc2", "fc3")},
}
"""Ways to tune one type of module alone: their canonical names, see `bench.networks.blocks.ModulesMap`."""
ADAPTED = ("qkv", "q", "k", "v", "proj", "fc1", "fc2", "fc3")


def check_tuning(name: str) -> str:
    """Return `name` if it is a way to tune.

    Raises:
        BadSetting: lists those there are.
    """
    if name not in WHOLE and name not in PARTS:
        raise BadSetting(f"no tuning {name!r}; known: {', '.join((*WHOLE, *PARTS))}")
    return name


def tune(backbone: Backbone, how: str, *, rank: int = 8) -> None:
    """Make a backbone's parameters trainable in place, those that `how` names and no others.

    Networks that are tuned in full are put into training mode; else the backbone stays as it is evaluated, running
    statistics of batch norms included.

    Args:
        backbone: as loaded, frozen.
        how: ``frozen``; ``full``, also ``head-then-full`` (which begins with the head alone, see
            `bench.finetuning.loop`) and ``scratch`` (which starts from a random init); ``lora`` (Hu et al. 2021, arXiv
            2106.09685) on every linear map of the blocks; or one of `PARTS`.
        rank: of LoRA's matrices; their scale is 2.

    Raises:
        Incompatible: the network has no such modules.
    """
    from torch import nn

    assert isinstance(backbone, nn.Module)
    backbone.eval().requires_grad_(False)
    if how == "frozen":
        return
    if how in ("full", "head-then-full", "scratch"):
        backbone.train().requires_grad_(True)
        return
    names = modules_of(backbone, ADAPTED if how == "lora" else PARTS[how])
    if how == "lora":
        names = [name for name in names if isinstance(backbone.get_submodule(name), nn.Linear)]
    if not names:
        raise Incompatible(f"tuning={how}: the network names no such modules in its blocks; use full or frozen")
    if how == "lora":
        _inject(backbone, names, rank)
        return
    for name in names:
        backbone.get_submodule(name).requires_grad_(True)


def recompute_blocks(backbone: Backbone, model: str) -> None:
    """Have every block of a network computed again on the way back instead of keeping what it holds, in place.

    Raises:
        BadSetting: the network names no blocks that are modules with a pass of their own.
    """
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    assert isinstance(backbone, nn.Module)
    blocks = [backbone.get_submodule(prefix.rstrip(".")) for prefix in _prefixes(backbone)]
    if not blocks or any(isinstance(block, nn.ModuleList | nn.ModuleDict) for block in blocks):
        raise BadSetting(f"checkpointing=true: {model} has no blocks that can be computed again; leave it out")
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def _prefixes(backbone: nn.Module) -> list[str]:
    """Return the path of each block, with a dot behind it."""
    blocks: dict[str, dict[str, str]] = getattr(backbone, "modules_map", {})
    found = []
    for block in blocks.values():
        parts = [PurePosixPath(path.replace(".", "/")) for path in block.values() if path]
        found.append(os.path.commonpath(parts).replace("/", ".") + ".")
    return found


def modules_of(backbone: nn.Module, canonical: tuple[str, ...]) -> list[str]:
    """Return the paths of the modules that stand under some canonical names in any block, each once."""
    blocks: dict[str, dict[str, str]] = getattr(backbone, "modules_map", {})
    paths = [path for block in blocks.values() for name, path in block.items() if name in canonical and path]
    return list(dict.fromkeys(paths))


def _inject(backbone: nn.Module, names: list[str], rank: int) -> None:
    """Put LoRA's pairs of matrices beside linear maps; the second starts at zero, so nothing changes at first."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=names, bias="none")
    inject_adapter_in_model(config, backbone)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_("lora_" in name)


def depths(backbone: nn.Module) -> dict[str, float]:
    """Return parameter name -> relative depth in 0..1: 0 for what stands before the blocks, 1 for the last and after.

    Of a network that names no blocks every parameter has depth 1.
    """
    prefixes = _prefixes(backbone)
    found, outside = {}, 0.0 if prefixes else 1.0
    for name, _ in backbone.named_parameters():
        place = next((i for i, prefix in enumerate(prefixes) if name.startswith(prefix)), None)
        if place is None:
            found[name] = outside
        else:
            found[name], outside = (place + 1) / len(prefixes), 1.0
    return found


def parameter_groups(
    backbone: nn.Module | None,
    heads: list[nn.Module],
    *,
    rate: float,
    backbone_rate: float,
    decay: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """Return AdamW's parameter groups: trainable ones only, biases and norms without weight decay.

    Args:
        backbone: None where features come from the store.
        heads: what is trained beside it.
        rate: learning rate of the heads.
        backbone_rate: of the backbone's last block, as a share of `rate`.
        decay: factor a block towards the input (layer-wise decay, Clark et al. 2020, arXiv 2003.10555; as BEiT and MAE
            fine-tune).
        weight_decay: of matrices.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for head in heads:
        for parameter in head.parameters():
            if parameter.requires_grad:
                groups.setdefault((rate, weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    if backbone is not None:
        blocks = len(getattr(backbone, "modules_map", {}))
        depth = depths(backbone)
        for name, parameter in backbone.named_parameters():
            if parameter.requires_grad:
                scale = 1.0 if "lora_" in name else backbone_rate * decay ** round((1 - depth[name]) * blocks)
                key = (rate * scale, weight_decay if parameter.ndim > 1 else 0.0)
                groups.setdefault(key, []).append(parameter)
    return [{"params": members, "lr": lr, "weight_decay": wd} for (lr, wd), members in groups.items()]
