"""Permutation alignment: bring the units of a network into the order of a reference, and measure the gain.

Hidden channels, hidden values and heads can be put in any order without changing what a network computes. Units of a
group are matched to those of the reference by their weights, group after group until nothing changes (weight matching,
Ainsworth et al. 2023, "Git re-basin", arXiv 2209.04836).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.core.errors import Incompatible
from bench.foundry.pruning.groups import Group, Slice

MOST_ROUNDS = 50
OUTPUTS = ("conv", "linear", "batchnorm", "layernorm", "depthwise_conv")


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A network in the order of a reference.

    Attributes:
        state: the same network, its units in another order.
        before, after: cosine of all weights in groups with the reference's.
        moved: number of units that changed place.
    """

    state: dict[str, Tensor]
    before: float
    after: float
    moved: int


def align(state: Mapping[str, Tensor], reference: Mapping[str, Tensor], groups: Sequence[Group]) -> Aligned:
    """Return a network with its units in the order of a reference.

    Args:
        state: of the network.
        reference: of a network of the same shapes.
        groups: units that move together, from `chain_groups`, `graph_groups` or
            `bench.foundry.pruning.groups.transformer_groups`.

    Raises:
        Incompatible: a tensor of a group is missing or of another shape.
    """
    from scipy.optimize import linear_sum_assignment

    for name in {part.name for group in groups for part in group.slices}:
        if name not in state or name not in reference or state[name].shape != reference[name].shape:
            raise Incompatible(f"{name} is not in both networks with one shape; only equal architectures are aligned")
    result = {name: tensor.detach().clone() for name, tensor in state.items()}
    orders = {group.name: torch.arange(group.units) for group in groups}
    before = _cosine(result, reference, groups)
    for _ in range(MOST_ROUNDS):
        changed = False
        for group in groups:
            likeness = torch.zeros(group.units, group.units)
            for part in group.slices:
                likeness += _units(result, part) @ _units(reference, part).T
            rows, columns = linear_sum_assignment(-likeness.double().numpy())
            order = torch.empty(group.units, dtype=torch.int64)
            order[torch.as_tensor(columns)] = torch.as_tensor(rows)
            kept = torch.arange(group.units)
            gain = likeness[order, kept].sum() - likeness[kept, kept].sum()
            if torch.equal(order, kept) or float(gain) <= 1e-6 * float(likeness.abs().max()):
                continue
            permute(result, group, order)
            orders[group.name] = orders[group.name][order]
            changed = True
        if not changed:
            break
    moved = sum(int((order != torch.arange(len(order))).sum()) for order in orders.values())
    return Aligned(state=result, before=before, after=_cosine(result, reference, groups), moved=moved)


def permute(state: dict[str, Tensor], group: Group, order: Tensor) -> None:
    """Put the units of a group in another order, in place: unit ``order[i]`` becomes unit ``i``."""
    for part in group.slices:
        tensor = state[part.name]
        places = torch.arange(tensor.shape[part.dim])
        places[part.places.reshape(-1)] = part.places[order].reshape(-1)
        state[part.name] = tensor.index_select(part.dim, places)


def _units(state: Mapping[str, Tensor], part: Slice) -> Tensor:
    """Return the values of each unit in one tensor, (units, values)."""
    flat = state[part.name].detach().float().movedim(part.dim, 0).reshape(state[part.name].shape[part.dim], -1)
    return flat[part.places].flatten(1)


def _cosine(state: Mapping[str, Tensor], reference: Mapping[str, Tensor], groups: Sequence[Group]) -> float:
    names = dict.fromkeys(part.name for group in groups for part in group.slices)
    pairs = [(state[name].detach().double(), reference[name].detach().double()) for name in names]
    product = sum(float((left * right).sum()) for left, right in pairs)
    norms = [sum(float(pair[place].square().sum()) for pair in pairs) ** 0.5 for place in (0, 1)]
    return float(product / max(norms[0] * norms[1], 1e-30))


def chain_groups(state: Mapping[str, Tensor]) -> list[Group]:
    """Return the groups of a plain chain of convolutions and linear maps, from its tensors alone.

    The outputs of each matrix are the inputs of the next one; vectors of that length between them (biases, norms)
    belong to them. After flattening, a channel is several inputs of a linear map.

    Raises:
        Incompatible: the matrices are no chain: outputs of one do not fit the inputs of the next.
    """
    matrices = [name for name, tensor in state.items() if tensor.ndim > 1]
    names = list(state)
    groups = []
    for first, second in itertools.pairwise(matrices):
        units, inputs = state[first].shape[0], state[second].shape[1]
        if inputs % units:
            raise Incompatible(
                f"{first} has {units} outputs and {second} {inputs} inputs: the network is no plain chain"
            )
        own = torch.arange(units)[:, None]
        between = names[names.index(first) + 1 : names.index(second)]
        vectors = [name for name in between if state[name].shape == (units,)]
        slices = [Slice(name, 0, own) for name in (first, *vectors)]
        slices.append(Slice(second, 1, torch.arange(inputs).reshape(units, -1)))
        groups.append(Group(first, units, tuple(slices)))
    return groups


def graph_groups(network: nn.Module, inputs: object) -> list[Group]:
    """Return the groups of a network with skip connections, along the dependency graph of torch-pruning.

    Args:
        network: on the CPU; it is run once on `inputs`.
        inputs: an example input, or several.

    Raises:
        Incompatible: torch-pruning is not installed.
    """
    try:
        import torch_pruning
    except ImportError as error:
        raise Incompatible("torch-pruning is missing: pip install 'geobench-run[prune]'") from error
    graph = torch_pruning.DependencyGraph().build_dependency(network, example_inputs=inputs)
    dims = {getattr(torch_pruning, f"prune_{kind}_out_channels"): 0 for kind in OUTPUTS}
    dims |= {getattr(torch_pruning, f"prune_{kind}_in_channels"): 1 for kind in ("conv", "linear")}
    names = {module: name for name, module in network.named_modules()}
    groups: list[Group] = []
    seen: set[nn.Module] = set()
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or module in seen or getattr(module, "groups", 1) > 1:
            continue
        units = graph.get_out_channels(module)
        prune = graph.get_pruner_of_module(module).prune_out_channels
        items = graph.get_pruning_group(module, prune, list(range(units))).items
        seen |= {item.dep.target.module for item in items if dims.get(item.dep.handler) == 0}
        known = all(item.dep.handler in dims or item.dep.target.module not in names for item in items)
        slices = [
            Slice(name, dims[item.dep.handler], _places(item.root_idxs, item.idxs, units))
            for item in items
            if item.dep.handler in dims
            for name in _tensors(item.dep.target.module, names, dims[item.dep.handler])
        ]
        if known and any(part.dim == 1 for part in slices):  # what leads nowhere is the output, whose order matters
            groups.append(Group(names[module], units, tuple(slices)))
    return groups


def _tensors(module: nn.Module, names: Mapping[nn.Module, str], dim: int) -> list[str]:
    """Return the names of a module's tensors that have its channels along a dimension."""
    own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
    return [f"{names[module]}.{leaf}" for leaf, value in own.items() if value.ndim > dim]


def _places(roots: Sequence[int], indices: Sequence[int], units: int) -> Tensor:
    """Return the indices of each unit in a tensor of a dependency group, (units, k)."""
    order = sorted(zip(roots, indices, strict=True))
    return torch.tensor([place for _, place in order]).reshape(units, -1)
