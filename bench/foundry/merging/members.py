"""Members of a merge: resolved by name, loaded, and checked for what makes a merge meaningless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.catalogue import models as model_catalogue
from bench.core import Band
from bench.core.errors import BadSetting, Incompatible, MissingWeights
from bench.foundry.contract.resolved import Parent, parent_of
from bench.foundry.merging.arithmetic import State
from bench.foundry.merging.lineage import STRANGERS, matrices, row_cosine
from bench.foundry.merging.settings import OVER_BASE, MergeSettings
from bench.networks.tapped import TappedNetwork, tapped


@dataclass(frozen=True, kw_only=True)
class Member:
    """An entry with its network.

    Attributes:
        parent: the entry.
        network: with its weights.
    """

    parent: Parent
    network: TappedNetwork

    @property
    def name(self) -> str:
        """The entry's name."""
        return self.parent.entry.name

    def state(self) -> dict[str, Tensor]:
        """Return its tensors by name, views of the network's."""
        return {name: value.detach() for name, value in self.network.state_dict().items()}


def check_settings(settings: MergeSettings) -> None:
    """Refuse settings that contradict each other.

    Raises:
        BadSetting: a member, the base, the student or the suite is missing, or is given without use.
    """
    method, count = settings.method, len(settings.models)
    if method == "select":
        if count != 1 or not settings.student:
            raise BadSetting(
                "method=select fills a smaller network from one larger: give models=LARGER student=SMALLER"
            )
    elif settings.student:
        raise BadSetting(f"student= is for method=select; method={method} keeps the members' shape")
    elif count < (1 if method == "learned" else 2):
        raise BadSetting(f"method={method} merges two networks or more; models= names {count}: add members")
    if method in OVER_BASE and not settings.base:
        raise BadSetting(
            f"method={method} works on differences to a common ancestor: give base=NAME, or method=average"
        )
    if settings.base and method not in OVER_BASE:
        raise BadSetting(f"method={method} needs no base=; leave it out, or use {', '.join(OVER_BASE)}")
    if settings.shares and method != "average":
        raise BadSetting(f"shares= is for method=average; method={method} has scale= or learns its coefficients")
    if method == "learned" and not settings.suite:
        raise BadSetting("method=learned trains coefficients on images: give suite=, and task= where it has several")
    if method == "learned" and settings.learning.tuning != ("full",):
        raise BadSetting("learning.tuning cannot be chosen: coefficients alone are trained; leave it out")


def parents_of(settings: MergeSettings, words: Sequence[str]) -> list[Parent]:
    """Return the entries that words name, those of a glob in the catalogue's order.

    Raises:
        MissingWeights: an entry is at random init.
    """
    names = [
        name
        for word in words
        for name in (
            [entry.name for entry in model_catalogue.select([word], settings.entries)[0]] if "*" in word else [word]
        )
    ]
    parents = [parent_of(name, weights=settings.weights, entries=settings.entries) for name in names]
    for parent in parents:
        if parent.path is None:
            raise MissingWeights(
                f"{parent.entry.name} has no weights, it is a network at random init; merge entries with weights "
                "(geobench-list models=origin:pretrained, or entries=DIR)"
            )
    return parents


def load_member(parent: Parent, bands: tuple[Band, ...]) -> Member:
    """Return an entry with its network.

    Raises:
        Incompatible: it takes other bands, or its weights are not finite.
    """
    member = Member(parent=parent, network=tapped(parent.network(bands)))
    for name, value in member.state().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise Incompatible(
                f"{member.name}: {name} holds NaN or infinite values; leave this member out or make it again"
            )
    return member


def check_bands(parents: Sequence[Parent]) -> None:
    """Refuse entries that are fed different bands.

    Raises:
        Incompatible: the first two that differ, by name.
    """
    first = parents[0].entry
    for parent in parents[1:]:
        entry = parent.entry
        if [band.name for band in entry.bands] != [band.name for band in first.bands]:
            raise Incompatible(
                f"{first.name} reads {_bands(first.bands)} and {entry.name} {_bands(entry.bands)}; merge entries that "
                "read the same bands"
            )


def check_shapes(members: Sequence[Member]) -> None:
    """Refuse networks whose tensors differ in names or shapes.

    Raises:
        Incompatible: the first two that differ, and where.
    """
    first = {name: tuple(value.shape) for name, value in members[0].state().items()}
    for member in members[1:]:
        other = {name: tuple(value.shape) for name, value in member.state().items()}
        differing = [name for name in (first | other) if first.get(name) != other.get(name)]
        if differing:
            name = differing[0]
            raise Incompatible(
                f"{members[0].name} and {member.name} differ in {len(differing)} tensors: {name} is "
                f"{first.get(name, 'absent')} and {other.get(name, 'absent')}; merge networks of one shape, or use "
                "method=select from the larger into the smaller"
            )


def check_ancestor(base: Member, members: Sequence[Member]) -> None:
    """Refuse a base that shares nothing with a member.

    Raises:
        Incompatible: the first member that is unrelated to the base.
    """
    names = matrices(base.network)
    for member in members:
        cosine = row_cosine(base.state(), member.state(), names)
        if cosine < STRANGERS:
            raise Incompatible(
                f"base={base.name} is no ancestor of {member.name} by its weights (cosine {cosine:.3f}; "
                "descendants have .2 or more), so their difference is no task vector; give the entry that the members "
                "were trained from, or use method=average"
            )


def check_contracts(members: Sequence[Member]) -> list[str]:
    """Return a note where members expect differently normalised input; the merged entry has that of the first."""
    first = members[0].parent.entry
    others = [member.name for member in members[1:] if member.parent.entry.normalise != first.normalise]
    if not others:
        return []
    return [f"input is normalised as for {first.name}; {', '.join(others)} were trained with another normalisation"]


def floats(state: State, without: set[str]) -> dict[str, Tensor]:
    """Return the tensors of a state that are merged: numbers with a point, running statistics left out."""
    return {name: value for name, value in state.items() if value.is_floating_point() and name not in without}


def _bands(bands: Sequence[Band]) -> str:
    return " ".join(band.name for band in bands) or "any bands"
