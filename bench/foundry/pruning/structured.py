"""Structured pruning: whole heads, hidden values and channels are removed, so that a smaller dense network is left."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from bench.core.errors import Incompatible
from bench.foundry.pruning.groups import Group, keep_units, transformer_groups, unit_scores
from bench.networks.reshaped import measured_channels
from bench.networks.tapped import TappedNetwork

Scope = Literal["global", "layerwise"]


def prune_transformer(
    backbone: TappedNetwork,
    ratio: float,
    images: Mapping[str, Tensor],
    *,
    scope: Scope = "layerwise",
    values: Mapping[str, Tensor] | None = None,
) -> list[str]:
    """Remove a share of the hidden values and of the heads of every block, the least important first, in place.

    At least one unit of every group stays. Kinds of units that the architecture does not let go are left and named.

    Args:
        backbone: a transformer with named sub-modules.
        ratio: share of units removed, in (0, 1).
        images: prepared input on which the network is tried.
        scope: ``layerwise`` removes the same share from every group; ``global`` ranks the units of all groups of a kind
            together, by importance relative to their group's mean.
        values: parameter name -> importance of each value; magnitudes if not given.

    Returns:
        Notes on what could not be pruned.
    """
    groups, notes = transformer_groups(backbone), []
    for kind in ("mlp", "heads"):
        members = [group for group in groups if group.name.endswith(kind)]
        if members and not removable(backbone, members, images):
            notes.append(f"{kind} are left as they are: the network's code fixes their number")
            continue
        scores = {group.name: unit_scores(backbone, group, dict(values) if values else None) for group in members}
        for group, kept in _kept(members, scores, ratio, scope):
            keep_units(backbone, group, kept)
    return notes


def removable(backbone: TappedNetwork, groups: list[Group], images: Mapping[str, Tensor]) -> bool:
    """Return whether a network without a unit computes what it computes with the unit silenced.

    The first unit of each group is tried, on copies: its outgoing weights are set to zero in one, it is removed in the
    other, and their last layers are compared.
    """
    candidates = [group for group in groups if group.units > 1]
    if not candidates:
        return False
    silenced, removed = copy.deepcopy(backbone), copy.deepcopy(backbone)
    parameters = dict(silenced.named_parameters())
    last = [len(backbone.layers) - 1]
    with torch.inference_mode():
        for group in candidates:
            outgoing = next(part for part in group.slices if part.dim == 1)
            parameters[outgoing.name].data.index_fill_(1, outgoing.places[0], 0.0)
            keep_units(removed, group, range(1, group.units))
        try:
            expected, actual = silenced(images, last)[0].grid, removed(images, last)[0].grid
        except (RuntimeError, ValueError):
            return False
    return bool(torch.allclose(expected, actual, rtol=1e-3, atol=1e-4 * float(expected.abs().max())))


def _kept(
    groups: list[Group], scores: Mapping[str, Tensor], ratio: float, scope: Scope
) -> list[tuple[Group, list[int]]]:
    """Return the units of each group that stay, ascending."""
    if scope == "layerwise" or not groups:
        counts = {group.name: max(1, group.units - round(ratio * group.units)) for group in groups}
    else:
        relative = torch.cat([scores[group.name] / scores[group.name].mean().clamp_min(1e-12) for group in groups])
        threshold = relative.sort().values[min(len(relative) - 1, round(ratio * len(relative)))]
        counts = {
            group.name: max(
                1, int((scores[group.name] / scores[group.name].mean().clamp_min(1e-12) >= threshold).sum())
            )
            for group in groups
        }
    return [(group, sorted(scores[group.name].topk(counts[group.name]).indices.tolist())) for group in groups]


def prune_convolutions(
    backbone: TappedNetwork,
    ratio: float,
    images: Mapping[str, Tensor],
    *,
    scope: Scope = "layerwise",
    values: Mapping[str, Tensor] | None = None,
) -> None:
    """Remove a share of the channels of a convolutional network along its dependency graph, in place.

    The graph is that of torch-pruning (Fang et al. 2023, "DepGraph: Towards any structural pruning", arXiv 2301.12900):
    channels that are added, concatenated or normalised together are removed together.

    Args:
        backbone: a convolutional backbone; its layers' channels are measured again.
        ratio: share of channels removed, in (0, 1).
        images: prepared input for tracing the graph.
        scope: ``global`` ranks channels of all groups together.
        values: parameter name -> importance of each value; magnitudes if not given.

    Raises:
        Incompatible: torch-pruning is not installed, or cannot trace the network.
    """
    try:
        import torch_pruning
    except ImportError as error:
        raise Incompatible("pruning channels needs torch-pruning: pip install 'geobench-run[prune]'") from error

    importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    if values is not None:
        importance = torch_pruning.importance.GroupTaylorImportance()
        for name, parameter in backbone.named_parameters():
            # The library's Taylor importance is |w grad|: a gradient of value / w makes it the importance given.
            parameter.grad = (
                torch.where(parameter == 0, 0, values[name] / parameter.detach()) if name in values else None
            )
    # Tracing needs gradients of parameters.
    backbone.requires_grad_(True)
    last = len(backbone.layers) - 1
    try:
        pruner = torch_pruning.pruner.BasePruner(
            backbone.network,
            example_inputs=images,
            importance=importance,
            global_pruning=scope == "global",
            pruning_ratio=ratio,
            max_pruning_ratio=0.95,
            forward_fn=lambda _, given: backbone(given, [last])[0].grid,
            output_transform=None,
        )
        pruner.step()
    except (RuntimeError, ValueError, KeyError, AttributeError, AssertionError) as error:
        raise Incompatible(f"the channels of this network cannot be traced: {type(error).__name__}: {error}") from error
    finally:
        backbone.requires_grad_(False)
        for parameter in backbone.parameters():
            parameter.grad = None
    channels = measured_channels(backbone, images)
    backbone.layers = tuple(
        replace(layer, channels=count) for layer, count in zip(backbone.layers, channels, strict=True)
    )


def is_transformer(backbone: TappedNetwork) -> bool:
    """Return whether a backbone names feed-forward or attention modules in its blocks."""
    return any("fc1" in parts or "proj" in parts for parts in backbone.modules_map.values())


def taylor_values(backbone: nn.Module, losses: Iterable[Tensor]) -> dict[str, Tensor]:
    """Return the first-order Taylor importance of every value: |w dL/dw|, summed over batches.

    Molchanov et al. 2019 ("Importance estimation for neural network pruning", arXiv 1906.10771), equation 8, per value.

    Args:
        backbone: whose parameters are judged.
        losses: yields the loss of one batch after another, computed through the backbone.

    Raises:
        Incompatible: a loss or gradient is not finite.
    """
    backbone.requires_grad_(True)
    totals = {name: torch.zeros_like(value) for name, value in backbone.named_parameters()}
    for loss in losses:
        backbone.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for name, value in backbone.named_parameters():
            if value.grad is not None:
                totals[name] += (value.detach() * value.grad).abs()
    backbone.requires_grad_(False)
    if bad := [name for name, value in totals.items() if not torch.isfinite(value).all()]:
        raise Incompatible(f"the importance of {bad[0]} is not finite: the loss diverged on the data given")
    return totals
