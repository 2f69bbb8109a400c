"""Training of the small networks of generators, stopped by members held out."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

HELD_OUT, EVERY = 0.2, 5
"""Share of the members that decide when to stop, and steps between looks at them."""


def train_with_early_stopping(
    network: nn.Module,
    loss: Callable[[Tensor], Tensor],
    count: int,
    seed: int,
    *,
    steps: int,
    rate: float,
    decay: float,
) -> Tensor:
    """Train a network with AdamW to its best state on held-out members, in place; return the rows held out.

    Args:
        network: frozen before and after.
        loss: rows -> mean loss over them.
        count: number of members; at least one is held out.
        seed: of the choice of members.
        steps: at most.
        rate: of AdamW.
        decay: its weight decay.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    most = max(1, round(HELD_OUT * count))
    held, kept = order[:most], order[most:]
    network.requires_grad_(True).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    best, state = float("inf"), copy.deepcopy(network.state_dict())
    for step in range(steps + 1):
        if step % EVERY == 0:
            with torch.no_grad():
                score = float(loss(held))
            if score < best:
                best, state = score, copy.deepcopy(network.state_dict())
        optimiser.zero_grad()
        loss(kept).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    network.load_state_dict(state)
    network.requires_grad_(False).eval()
    return held
