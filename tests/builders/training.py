"""A small training that can be given up on the way, to be gone on with."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from bench.finetuning.loop import Budget, train
from bench.finetuning.trained import Trained


class Rows:
    """Samples as the loop sees them: they can be counted and cut."""

    def __init__(self, values: torch.Tensor) -> None:
        self.rows = values

    def part(self, rows: slice) -> Rows:
        return Rows(self.rows[rows])


class Killed(BaseException):
    """What ends a process at no moment of its own."""


def run(place: Path | None, *, stop: int | None = None, width: int = 4) -> tuple[Trained, dict[str, torch.Tensor]]:
    """Train a small network with dropout for 12 steps; give up at the evaluation after number `stop`."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.3), nn.Linear(width, 1))
    calls = []

    def evaluate() -> float:
        calls.append(1)
        if stop is not None and len(calls) > stop:
            raise Killed
        return -float(module[0].weight.detach().abs().sum())

    trained = train(
        module,
        [{"params": list(module.parameters()), "lr": 0.05}],
        Budget(steps=12, evaluations=6, patience=0),
        batches=lambda step: [Rows(torch.randn(8, 3, generator=torch.Generator().manual_seed(step)))],  # type: ignore[list-item]
        loss=lambda network, batch: network(batch.rows).square().mean(),  # type: ignore[attr-defined]
        evaluate=evaluate,
        micro=8,
        seed=1,
        place=place,
    )
    return trained, {name: value.clone() for name, value in module.state_dict().items()}


def same(first: tuple[Trained, dict[str, torch.Tensor]], other: tuple[Trained, dict[str, torch.Tensor]]) -> bool:
    """Whether two trainings came to the same weights along the same way, to the bit."""
    return (
        first[0].history == other[0].history
        and first[0].step == other[0].step
        and all(torch.equal(first[1][name], other[1][name]) for name in other[1])
    )
