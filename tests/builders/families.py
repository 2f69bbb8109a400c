"""Planted families of small networks: an ancestor, fine-tuned children, copies in other forms, and strangers."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

SHAPES = {
    "stem.weight": (32, 3, 3, 3),
    "stem.bias": (32,),
    "blocks.0.conv.weight": (64, 32, 3, 3),
    "blocks.0.norm.weight": (64,),
    "blocks.0.norm.bias": (64,),
    "blocks.0.norm.running_mean": (64,),
    "blocks.0.norm.running_var": (64,),
    "blocks.0.norm.num_batches_tracked": (),
    "blocks.1.conv.weight": (64, 64, 3, 3),
    "blocks.1.norm.weight": (64,),
    "blocks.1.norm.bias": (64,),
    "blocks.2.conv.weight": (64, 64, 3, 3),
    "head.weight": (10, 64),
    "head.bias": (10,),
}


def random_state(seed: int, shapes: dict[str, tuple[int, ...]] = SHAPES) -> dict[str, Tensor]:
    """Return a network of independent Gaussian weights; rows have norms of their own."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1000)
            continue
        values = torch.randn(shape, generator=generator)
        if values.ndim > 1:
            spread = torch.rand(shape[0], generator=generator) + 0.5
            values = values * spread.view(-1, *[1] * (values.ndim - 1)) / values[0].numel() ** 0.5
        state[name] = values.abs() if name.endswith("running_var") else values
    return state


def moved(state: dict[str, Tensor], seed: int, size: float) -> dict[str, Tensor]:
    """Return a child: every tensor plus Gaussian noise of `size` times its spread."""
    generator = torch.Generator().manual_seed(1_000_003 + seed)  # other numbers than those of `random_state`
    return {
        name: value + size * float(value.std()) * torch.randn(value.shape, generator=generator)
        if value.is_floating_point() and value.ndim > 1
        else value.clone()
        for name, value in state.items()
    }


def rounded(state: dict[str, Tensor], levels: int = 256) -> dict[str, Tensor]:
    """Return a copy whose tensors take at most so many values each, at even distances."""
    result = {}
    for name, value in state.items():
        if not value.is_floating_point() or value.ndim < 2:
            result[name] = value.clone()
            continue
        step = (value.max() - value.min()) / (levels - 1)
        result[name] = (value / step).round().clamp(-(levels // 2), levels // 2 - 1) * step
    return result


def permuted(state: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return a copy that computes the same: the channels between its layers in another order."""
    generator = torch.Generator().manual_seed(seed)
    order = {width: torch.randperm(width, generator=generator) for width in (32, 64)}
    result = {}
    for name, value in state.items():
        if value.ndim and value.shape[0] in order:
            value = value[order[value.shape[0]]]
        if value.ndim > 1 and value.shape[1] in order:
            value = value[:, order[value.shape[1]]]
        result[name] = value.contiguous()
    return result


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the same tensors under the names that another library might give them, the order of blocks turned."""
    names = {
        "stem": "features.conv0",
        "head": "classifier.fc",
        "blocks.0": "zeta",
        "blocks.1": "yota",
        "blocks.2": "alpha",
    }
    return {
        next(new + key.removeprefix(old) for old, new in names.items() if key.startswith(old)): value
        for key, value in state.items()
    }


def save(folder: Path, name: str, state: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write a state as safetensors and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, path, metadata)
    return path
