"""Weight selection: a smaller network is filled with evenly spaced elements of a larger one of its family.

Xu et al. 2024 (arXiv 2311.18823). Layers are matched by name: of a vision transformer the student's N blocks are the
first N, of a convolutional network each stage's blocks are the first of the same stage. Within a layer the elements
along every dimension are evenly spaced.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.core.errors import Incompatible

FUSED = {"qkv": 3, "in_proj": 3, "in_proj_weight": 3, "in_proj_bias": 3, "kv": 2}
"""Last part of a module's or parameter's name -> number of maps that one matrix holds, one below the other."""


def spaced(whole: int, part: int) -> Tensor:
    """Return `part` evenly spaced indices below `whole`: every n-th where `whole` is n times `part`.

    >>> spaced(8, 4).tolist(), spaced(5, 3).tolist()
    ([0, 2, 4, 6], [0, 2, 4])
    """
    if whole % part == 0:
        return torch.arange(part) * (whole // part)
    return torch.linspace(0, whole - 1, part, dtype=torch.float64).round().long()


def select_elements(value: Tensor, shape: tuple[int, ...], parts: int = 1) -> Tensor:
    """Return the evenly spaced elements of a tensor along every dimension.

    Args:
        value: of the larger network.
        shape: in the smaller network, nowhere larger.
        parts: number of maps of equal height along the first dimension, selected from one by one.
    """
    for dim, size in enumerate(shape):
        count = parts if dim == 0 else 1
        height = value.shape[dim] // count
        places = torch.cat([spaced(height, size // count) + index * height for index in range(count)])
        value = value.index_select(dim, places)
    return value


def select_state(larger: Mapping[str, Tensor], smaller: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of a smaller network, selected from a larger one's.

    Args:
        larger: tensor name -> values.
        smaller: of the network that is filled; its names and shapes are used, its values only where a tensor holds no
            numbers with a point (index tables).

    Raises:
        Incompatible: a tensor has no counterpart, or is larger than it.
    """
    if missing := [name for name in smaller if name not in larger]:
        raise Incompatible(
            f"{len(missing)} tensors of the student have no counterpart in the larger network ({missing[0]}): weight "
            "selection needs two networks of one family, the student no deeper; choose another student="
        )
    state = {}
    for name, target in smaller.items():
        value, shape = larger[name], tuple(target.shape)
        if not target.is_floating_point():
            state[name] = target
            continue
        if value.ndim != len(shape) or any(was < now for was, now in zip(value.shape, shape, strict=True)):
            raise Incompatible(
                f"{name} is {tuple(value.shape)} in the larger network and {shape} in the student, which must be "
                "nowhere larger; choose another student="
            )
        leaves = name.split(".")[-2:]
        parts = next((FUSED[leaf] for leaf in leaves if leaf in FUSED), 1)
        state[name] = select_elements(value, shape, parts if shape and shape[0] % parts == 0 else 1)
    return state
