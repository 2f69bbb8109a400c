"""Learned merging: one coefficient per task vector and group of tensors, trained (aTLAS).

Zhang et al. 2024 (arXiv 2407.02880): the merged network is ``base + sum of coefficient x task vector`` with a
coefficient for each task vector and tensor. A few dozen to a few hundred numbers are trained; every weight of the base
and of the task vectors stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bench.core.errors import BadSetting
from bench.features.forward import taps_of
from bench.finetuning.arm import Arm
from bench.finetuning.evaluation import validation_score
from bench.finetuning.fit import batches_of, budget_of, loss_function
from bench.finetuning.loop import train
from bench.finetuning.trained import Trained
from bench.foundry.merging.arithmetic import State
from bench.foundry.merging.settings import LearningSettings
from bench.input.batches import Batch
from bench.networks.tapped import TappedNetwork, tapped


class Coefficients(nn.Module):
    """The numbers that are trained.

    Args:
        groups: number of groups.
        members: number of task vectors.
        start: of every coefficient.
    """

    def __init__(self, groups: int, members: int, start: float) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.full((groups, members), float(start)))


class Combination(nn.Module):
    """A parametrization that adds task vectors to a tensor, each times its coefficient.

    Args:
        coefficients: of the whole network.
        group: row of the coefficients that this tensor uses.
        vectors: (members, *shape of the tensor).
    """

    vectors: Tensor

    def __init__(self, coefficients: Coefficients, group: int, vectors: Tensor) -> None:
        super().__init__()
        self.coefficients, self.group = coefficients, group
        self.register_buffer("vectors", vectors, persistent=False)

    def forward(self, base: Tensor) -> Tensor:
        """Return the merged tensor."""
        merged: Tensor = base + torch.tensordot(self.coefficients.values[self.group], self.vectors, dims=1)
        return merged


def groups_of(network: TappedNetwork, names: Sequence[str], grouping: str) -> dict[str, int]:
    """Return tensor name -> number of its group.

    Args:
        network: names its blocks' modules.
        names: of the tensors that are merged.
        grouping: ``tensor``, ``block`` (what lies outside of all blocks is a group) or ``member``.

    Raises:
        BadSetting: groups are blocks, and the network names none.
    """
    if grouping == "member":
        return dict.fromkeys(names, 0)
    if grouping == "tensor":
        return {name: number for number, name in enumerate(names)}
    starts = [_start(paths) for paths in network.modules_map.values()]
    starts = [start for start in starts if start]
    if not starts:
        raise BadSetting("this network names no blocks: use learning.grouping=tensor or member")
    return {
        name: next((number for number, start in enumerate(starts, 1) if name.startswith(start)), 0) for name in names
    }


def _start(paths: Mapping[str, str]) -> str:
    """Return what the paths of a block's modules have in common, with a dot at its end."""
    parts = [path.split(".") for path in paths.values() if path]
    if not parts:
        return ""
    shared = []
    for names in zip(*parts, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join([*shared, ""]) if shared else ""


def parametrized(
    network: nn.Module, coefficients: Coefficients, vectors: Sequence[State], groups: Mapping[str, int]
) -> None:
    """Replace the parameters of a network by their combinations, in place; only the coefficients stay trainable.

    Args:
        network: with the base's weights.
        coefficients: (groups, members).
        vectors: task vectors.
        groups: of the parameters merged.
    """
    network.requires_grad_(False)
    device = next(network.parameters()).device
    parameters = dict(network.named_parameters())
    for name in groups:
        if name not in parameters:
            continue
        path, _, leaf = name.rpartition(".")
        stacked = torch.stack([vector[name] for vector in vectors]).to(device, parameters[name].dtype)
        combination = Combination(coefficients, groups[name], stacked)
        parametrize.register_parametrization(network.get_submodule(path), leaf, combination)


def learn_on_task(
    arm: Arm, vectors: Sequence[State], groups: Mapping[str, int], learning: LearningSettings, start: float
) -> tuple[Tensor, Trained]:
    """Return coefficients (groups, members) trained with a decoder on a task, the best on validation.

    Args:
        arm: its backbone has the base's weights, and the batch-norm statistics of the first combination.
        vectors: task vectors.
        groups: tensor name -> group.
        learning: rates and budget.
        start: of every coefficient.
    """
    coefficients = Coefficients(1 + max(groups.values()), len(vectors), start).to(arm.device)
    task_model = arm.build()
    parametrized(tapped(task_model.backbone), coefficients, vectors, groups)
    task_model.train()
    rate = learning.learning_rates[0]
    heads = [value for part in (task_model.decoder, task_model.folds) for value in part.parameters()]
    trained = train(
        task_model,
        [
            {"params": heads, "lr": rate, "weight_decay": learning.weight_decay},
            {"params": [coefficients.values], "lr": learning.coefficient_rate, "weight_decay": 0.0},
        ],
        budget_of(learning, head_first=False),
        batches=batches_of(arm, arm.train),
        loss=loss_function(arm),
        evaluate=lambda: validation_score(arm, task_model),
        micro=arm.pass_size,
        seed=arm.seed,
    )
    return coefficients.values.detach().cpu(), trained


class Followed(nn.Module):
    """A merged network and its members, for a loss on features.

    Args:
        backbone: with parametrized weights.
        members: frozen networks.
        layers: indices of the layers compared.
    """

    def __init__(self, backbone: TappedNetwork, members: Sequence[TappedNetwork], layers: Sequence[int]) -> None:
        super().__init__()
        self.backbone, self.layers = backbone, tuple(layers)
        self.members = nn.ModuleList(members)

    def train(self, mode: bool = True) -> Followed:
        """Stay in evaluation mode: nothing here behaves otherwise in training but batch norms and dropout."""
        return super().train(False)

    def gap(self, arm: Arm, batch: Batch) -> Tensor:
        """Return the mean squared distance to the members' features, divided by the variance of those."""
        recipe, given = arm.workbench.recipe, batch.given
        assert given is not None
        merged: Any = self.backbone
        own = taps_of(recipe, merged, given, self.layers)
        gaps = []
        for member in self.members:
            network: Any = member
            with torch.no_grad():
                wanted = taps_of(recipe, network, given, self.layers)
            for tap, target in zip(own, wanted, strict=True):
                gaps.append((tap.grid - target.grid).square().mean() / target.grid.var().clamp_min(1e-12))
        return torch.stack(gaps).mean()


def learn_on_features(
    arm: Arm,
    members: Sequence[TappedNetwork],
    vectors: Sequence[State],
    groups: Mapping[str, int],
    learning: LearningSettings,
    start: float,
) -> tuple[Tensor, Trained]:
    """Return coefficients whose network follows the members' features on unlabelled images, the best on validation.

    Features are compared at the layers at each quarter of the depth. No label is read.

    Args:
        arm: its backbone has the base's weights; it gives the images.
        members: their networks.
        vectors: task vectors.
        groups: tensor name -> group.
        learning: rates and budget.
        start: of every coefficient.
    """
    coefficients = Coefficients(1 + max(groups.values()), len(vectors), start).to(arm.device)
    backbone = tapped(arm.workbench.own_backbone()).to(arm.device)
    parametrized(backbone, coefficients, vectors, groups)
    last = len(backbone.layers) - 1
    layers = sorted({max(1, round(quarter * last / 4)) for quarter in (1, 2, 3, 4)})
    followed = Followed(backbone, [member.to(arm.device) for member in members], layers).eval()
    loss: Callable[[nn.Module, Batch], Tensor] = lambda module, batch: followed.gap(arm, batch)  # noqa: E731

    def evaluate() -> float:
        with torch.no_grad():
            rows = range(len(arm.val))
            size = arm.pass_size
            parts = [arm.val.read(rows[place : place + size]) for place in range(0, len(rows), size)]
            gaps = [(float(followed.gap(arm, batch)), len(batch.rows)) for part in parts for batch in part]
        return -sum(gap * count for gap, count in gaps) / sum(count for _, count in gaps)

    trained = train(
        followed,
        [{"params": [coefficients.values], "lr": learning.coefficient_rate, "weight_decay": 0.0}],
        budget_of(learning, head_first=False),
        batches=batches_of(arm, arm.train),
        loss=loss,
        evaluate=evaluate,
        micro=arm.pass_size,
        seed=arm.seed,
    )
    return coefficients.values.detach().cpu(), trained
