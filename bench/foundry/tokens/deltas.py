"""Lineage deltas: a network as what differs from its ancestor, and exactly back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bench.core.errors import Incompatible


@dataclass(frozen=True, kw_only=True)
class Delta:
    """The difference of a network from its ancestor.

    Attributes:
        values: name -> child minus ancestor, float32, of every tensor both hold in one shape.
        corrections: name -> (places int64, child's values), where ancestor plus delta rounds to another number.
        own: tensors that only the child has in this shape, integers included.
        order: names of the child's tensors.
    """

    values: dict[str, Tensor]
    corrections: dict[str, tuple[Tensor, Tensor]]
    own: dict[str, Tensor]
    order: tuple[str, ...]


def difference(child: Mapping[str, Tensor], ancestor: Mapping[str, Tensor]) -> Delta:
    """Return the delta of a network from its ancestor; `restored` gives the child back bit for bit.

    Raises:
        Incompatible: the two share no tensor with floating-point values.
    """
    values, corrections, own = {}, {}, {}
    for name, tensor in child.items():
        base = ancestor.get(name)
        if base is None or base.shape != tensor.shape or not tensor.is_floating_point() or not base.is_floating_point():
            own[name] = tensor.detach().clone()
            continue
        delta = tensor.detach().float() - base.detach().float()
        values[name] = delta
        back = (base.detach().float() + delta).to(tensor.dtype).reshape(-1)
        wrong = (back != tensor.reshape(-1)) | (back.signbit() != tensor.reshape(-1).signbit())
        if bool(wrong.any()):
            places = wrong.nonzero()[:, 0]
            corrections[name] = places, tensor.detach().reshape(-1)[places].clone()
    if not values:
        raise Incompatible("the two networks share no tensor of one name and shape: no delta between them")
    return Delta(values=values, corrections=corrections, own=own, order=tuple(child))


def restored(
    delta: Delta, ancestor: Mapping[str, Tensor], values: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the child of an ancestor by its delta.

    Args:
        delta: from `difference`.
        ancestor: the same that it was taken from.
        values: other deltas in its place, e.g. generated ones; corrections are then left out.

    Raises:
        Incompatible: a tensor is missing from the ancestor or the values, or of another shape.
    """
    chosen = delta.values if values is None else values
    if missing := [name for name in delta.values if name not in ancestor or name not in chosen]:
        raise Incompatible(f"{len(missing)} tensors of the delta have no ancestor or value, e.g. {missing[0]}")
    state: dict[str, Tensor] = {}
    for name in delta.order:
        if name in delta.own:
            state[name] = delta.own[name].clone()
            continue
        if ancestor[name].shape != chosen[name].shape:
            raise Incompatible(f"{name}: shapes {tuple(ancestor[name].shape)} and {tuple(chosen[name].shape)} differ")
        dtype = delta.corrections[name][1].dtype if name in delta.corrections else ancestor[name].dtype
        state[name] = (ancestor[name].float() + chosen[name]).to(dtype)
        if values is None and name in delta.corrections:
            places, exact = delta.corrections[name]
            flat = state[name].reshape(-1)
            flat[places] = exact
            state[name] = flat.view(ancestor[name].shape)
    return state
