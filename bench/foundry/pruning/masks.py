"""Unstructured pruning: single weights are set to zero; the network keeps its shape, and its file compresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.core.errors import Incompatible


def prunable(backbone: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that magnitude pruning may thin out: weights of linear maps and convolutions."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return {
        f"{path}.weight" if path else "weight": module.weight
        for path, module in backbone.named_modules()
        if isinstance(module, kinds)
    }


def masks_for(
    backbone: nn.Module,
    ratio: float,
    *,
    scope: Literal["global", "layerwise"] = "global",
    values: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Return boolean masks, True where a weight stays, that remove a share of the weights of least importance.

    Exactly ``round(ratio * n)`` weights are removed, of all together (``global``) or of each parameter.

    Args:
        backbone: the network.
        ratio: share removed, in (0, 1).
        scope: whether weights of all parameters are ranked together.
        values: parameter name -> importance of each value; magnitudes if not given.

    Raises:
        Incompatible: a parameter would be emptied.
    """
    weights = prunable(backbone)
    importance = {
        name: (values[name] if values else weight.detach().abs()).flatten() for name, weight in weights.items()
    }
    masks = {}
    if scope == "global":
        everything = torch.cat(list(importance.values()))
        gone = torch.zeros(len(everything), dtype=torch.bool)
        gone[everything.argsort(stable=True)[: round(ratio * len(everything))]] = True
        pieces = torch.split(gone, [len(value) for value in importance.values()])
        masks = {name: ~piece.reshape(weights[name].shape) for name, piece in zip(importance, pieces, strict=True)}
    else:
        for name, value in importance.items():
            mask = torch.ones(len(value), dtype=torch.bool)
            mask[value.argsort(stable=True)[: round(ratio * len(value))]] = False
            masks[name] = mask.reshape(weights[name].shape)
    if emptied := [name for name, mask in masks.items() if not mask.any()]:
        raise Incompatible(
            f"ratio={ratio:g} would remove every weight of {emptied[0]}; lower it, or use scope=layerwise"
        )
    return masks


def apply_masks(backbone: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the weights that masks remove to zero, in place."""
    parameters: dict[str, Any] = dict(backbone.named_parameters())
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].mul_(mask.to(parameters[name].device))


def sparsity(backbone: nn.Module) -> float:
    """Return the share of prunable weights that are zero."""
    weights = prunable(backbone).values()
    return sum(int((weight == 0).sum()) for weight in weights) / max(1, sum(weight.numel() for weight in weights))
