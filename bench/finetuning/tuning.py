"""Which parameters of a backbone are trained, and at which learning rate."""

from __future__ import annotations

import os
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bench.core import BLOCK_PARTS, Backbone
from bench.core.errors import BadSetting, Incompatible

if TYPE_CHECKING:
    from torch import nn

WHOLE = ("frozen", "head-then-full", "full", "lora", "scratch")
PARTS: dict[str, tuple[str, ...]] = {
    "norms": ("norm1", "norm2", "cross_norm"),
    "attention": ("qkv", "q", "k", "v", "proj"),
    "mlp": ("fc1", "fc2", "fc3"),
    **{name: (name,) for name in BLOCK_PARTS},
}
"""Ways to tune one type of module alone -> the canonical names of the modules, see `bench.core.BLOCK_PARTS`."""
ADAPTED = (*PARTS["attention"], *PARTS["mlp"])  # the linear maps of a block


def check_tuning(name: str) -> str:
    """Return `name` if it is a way of tuning.

    Raises:
        BadSetting: it is not; lists those there are.
    """
    if name not in WHOLE and name not in PARTS:
        raise BadSetting(f"no tuning {name!r}; known: {', '.join((*WHOLE, *PARTS))}")
    return name


def tune(backbone: Backbone, how: str, *, rank: int = 8) -> None:
    """Make the parameters of a backbone trainable that a way of tuning names, and no others, in place.

    A network that is tuned in full is put into training mode; otherwise the backbone stays in evaluation mode, the
    running statistics of its batch norms included. LoRA's matrices are drawn from torch's global generator.

    Args:
        backbone: as loaded, frozen.
        how: ``frozen``; ``full``, also ``head-then-full`` (the head alone at first, see `bench.finetuning.loop`) and
            ``scratch`` (from a random init); ``lora`` (Hu et al. 2021, arXiv
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
    """Recompute every block of a network in the backward pass instead of keeping its activations, in place.

    Raises:
        BadSetting: the network names no blocks that are modules with a forward pass.
    """
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    assert isinstance(backbone, nn.Module)
    blocks = [backbone.get_submodule(prefix.rstrip(".")) for prefix in _prefixes(backbone)]
    if not blocks or any(isinstance(block, nn.ModuleList | nn.ModuleDict) for block in blocks):
        raise BadSetting(f"checkpointing=true: {model} has no blocks that can be computed again; leave it out")
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def _prefixes(backbone: Backbone) -> list[str]:
    """Return the path of each block, with a dot at its end."""
    prefixes = []
    for block in backbone.modules_map.values():
        parts = [PurePosixPath(path.replace(".", "/")) for path in block.values() if path]
        prefixes.append(os.path.commonpath(parts).replace("/", ".") + ".")
    return prefixes


def modules_of(backbone: Backbone, canonical: tuple[str, ...]) -> list[str]:
    """Return the paths of the modules with some canonical names in any block, each once."""
    blocks = backbone.modules_map.values()
    paths = [path for block in blocks for name, path in block.items() if name in canonical and path]
    return list(dict.fromkeys(paths))


def _inject(backbone: nn.Module, names: list[str], rank: int) -> None:
    """Add LoRA's pairs of matrices to linear maps; the second of a pair starts at zero, so outputs are unchanged."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=names, bias="none")
    inject_adapter_in_model(config, backbone)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_("lora_" in name)


def depths(backbone: Backbone) -> dict[str, float]:
    """Return parameter name -> relative depth in 0..1: 0 before the blocks, 1 in the last block and after it.

    In a network that names no blocks every parameter has depth 1.
    """
    from torch import nn

    assert isinstance(backbone, nn.Module)
    prefixes = _prefixes(backbone)
    by_name, outside = {}, 0.0 if prefixes else 1.0
    for name, _ in backbone.named_parameters():
        place = next((i for i, prefix in enumerate(prefixes) if name.startswith(prefix)), None)
        if place is None:
            by_name[name] = outside
        else:
            by_name[name], outside = (place + 1) / len(prefixes), 1.0
    return by_name


def parameter_groups(
    backbone: Backbone | None,
    heads: list[nn.Module],
    *,
    rate: float,
    backbone_rate: float,
    decay: float,
    weight_decay: float,
) -> list[dict[str, object]]:
    """Return AdamW's groups of trainable parameters; biases and norms have no weight decay.

    Args:
        backbone: the network, or None where stored features stand for it.
        heads: further modules that are trained.
        rate: learning rate of the heads.
        backbone_rate: learning rate of the backbone's last block, as a share of `rate`.
        decay: factor per block towards the input (layer-wise decay, Clark et al. 2020, arXiv 2003.10555; BEiT and MAE
            use it too).
        weight_decay: of matrices.
    """
    from torch import nn

    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for head in heads:
        for parameter in head.parameters():
            if parameter.requires_grad:
                groups.setdefault((rate, weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    if backbone is not None:
        blocks, depth = len(backbone.modules_map), depths(backbone)
        assert isinstance(backbone, nn.Module)
        for name, parameter in backbone.named_parameters():
            if parameter.requires_grad:
                scale = 1.0 if "lora_" in name else backbone_rate * decay ** round((1 - depth[name]) * blocks)
                key = (rate * scale, weight_decay if parameter.ndim > 1 else 0.0)
                groups.setdefault(key, []).append(parameter)
    return [{"params": members, "lr": lr, "weight_decay": wd} for (lr, wd), members in groups.items()]
