"""How far tuning moves weights: relative change, direction, effective rank of the change."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.metrics.representations import effective_rank


def weight_change(before: nn.Module, after: nn.Module, paths: Mapping[str, str]) -> list[dict[str, float | str]]:
    """Return one row per sub-module with parameters: how its weights differ between two copies of a network.

    ``relative_change`` is |W1 - W0| / |W0| over all its parameters together, ``one_minus_cosine`` 1 - cos(W0, W1);
    ``effective_rank`` is exp of the entropy of the singular values of the change of its largest matrix (Roy & Vetterli
    2007), NaN where nothing moved or there is no matrix; ``parameters`` is their number.

    Args:
        before: the first copy.
        after: the second.
        paths: ``block.part`` -> path of a module.
    """
    rows: list[dict[str, float | str]] = []
    for name, path in paths.items():
        old, new = (dict(network.get_submodule(path).named_parameters()) for network in (before, after))
        if not old:
            continue
        first = torch.cat([old[key].detach().double().flatten() for key in old])
        second = torch.cat([new[key].detach().double().flatten().to(first.device) for key in old])
        block, _, part = name.rpartition(".")
        matrices = [key for key in old if old[key].ndim > 1]
        largest = max(matrices, key=lambda key: old[key].numel(), default="")
        norms = float(first.norm() * second.norm())
        rows.append(
            {
                "layer": block,
                "part": part,
                "relative_change": float((second - first).norm() / first.norm().clamp_min(1e-30)),
                "one_minus_cosine": 1 - float(first @ second) / norms if norms else float("nan"),
                "effective_rank": _rank(new[largest] - old[largest]) if largest else float("nan"),
                "parameters": float(len(first)),
            }
        )
    return rows


def _rank(change: Tensor) -> float:
    """Return the effective rank of a change of weights, NaN where nothing moved."""
    return effective_rank(torch.linalg.svdvals(change.detach().flatten(1).double()).cpu().numpy())


def rewind(after: nn.Module, before: nn.Module, paths: Mapping[str, str]) -> dict[str, Tensor]:
    """Set the parameters of some modules to those of another copy, in place; return their former values."""
    kept: dict[str, Tensor] = {}
    with torch.no_grad():
        for path in paths.values():
            old = dict(before.get_submodule(path).named_parameters())
            for key, value in after.get_submodule(path).named_parameters():
                kept[f"{path}.{key}"] = value.detach().clone()
                value.copy_(old[key])
    return kept


def put_back(network: nn.Module, kept: Mapping[str, Tensor]) -> None:
    """Undo a `rewind`."""
    with torch.no_grad():
        for name, value in kept.items():
            network.get_parameter(name).copy_(value)


def stepped(network: nn.Module, paths: Mapping[str, str], size: float, generator: torch.Generator) -> None:
    """Move every parameter tensor of some modules by `size` times its norm in a random direction, in place."""
    with torch.no_grad():
        for path in paths.values():
            for value in network.get_submodule(path).parameters():
                noise = torch.randn(value.shape, generator=generator).to(value)
                value.add_(noise * (size * value.norm() / noise.norm().clamp_min(1e-30)))
