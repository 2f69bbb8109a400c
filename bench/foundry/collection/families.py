"""Families: the models of one lineage, their ancestor, and what each member is to it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.foundry.collection.lineage import Pair

MARGIN = 0.02  # of cosines, by which an ancestor must be nearer to its children than they are to each other


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a model is within a collection.

    Attributes:
        lineage: name of its family: the ancestor, or else the first member; of a stranger, its own name.
        kinship: ``stranger``, ``copy of X``, ``ancestor``, ``fine-tuned from X`` or ``sibling of X``.
        duplicate_of: the model that it is a copy of, or ``""``.
    """

    lineage: str
    kinship: str
    duplicate_of: str = ""


def places(
    names: Sequence[str], pairs: Sequence[Pair], parents: Mapping[str, Sequence[str]], precision: Mapping[str, int]
) -> dict[str, Place]:
    """Return the place of every model.

    Copies form groups, of which the most precise member (the first of several) is the original. Originals that are
    linked by the relation ``lineage`` form a family. Its ancestor is the member that cards name as parent of the
    others; else, of three members or more, the one that is nearer to every other member than these are to each other:
    fine-tuned models have independent changes, so their cosine is about the product of those to their ancestor. A
    family without such a member has none in the collection, and its members are siblings; two alone do not show which
    came first.

    Args:
        names: of all models.
        pairs: see `bench.foundry.collection.lineage.compare`.
        parents: name -> parents that its card states.
        precision: name -> bits of its values.
    """
    copies = _components(names, [(pair.a, pair.b) for pair in pairs if pair.relation == "duplicate"])
    original: dict[str, str] = {}
    for group in copies:
        first = max(group, key=lambda name: precision.get(name, 0))
        original |= dict.fromkeys(group, first)
    firsts = [name for name in names if original[name] == name]
    cosines = {frozenset((pair.a, pair.b)): pair.cosine for pair in pairs}
    links = [(original[pair.a], original[pair.b]) for pair in pairs if pair.relation == "lineage"]
    place_of: dict[str, Place] = {}
    for family in _components(firsts, links):
        ancestor = _ancestor(family, cosines, parents)
        for name in family:
            place_of[name] = _place(name, family, ancestor, cosines)
    for name in names:
        if original[name] != name:
            lineage = place_of[original[name]].lineage
            place_of[name] = Place(lineage=lineage, kinship=f"copy of {original[name]}", duplicate_of=original[name])
    return {name: place_of[name] for name in names}


def _place(name: str, family: Sequence[str], ancestor: str, cosines: Mapping[frozenset[str], float]) -> Place:
    lineage = ancestor or family[0]
    if len(family) == 1:
        return Place(lineage=lineage, kinship="stranger")
    if name == ancestor:
        return Place(lineage=lineage, kinship="ancestor")
    if ancestor:
        return Place(lineage=lineage, kinship=f"fine-tuned from {ancestor}")
    nearest = max((other for other in family if other != name), key=lambda other: cosines[frozenset((name, other))])
    return Place(lineage=lineage, kinship=f"sibling of {nearest}")


def _ancestor(
    family: Sequence[str], cosines: Mapping[frozenset[str], float], parents: Mapping[str, Sequence[str]]
) -> str:
    """Return the member that the others come from, ``""`` where none can be told."""
    if len(family) == 1:
        return family[0]
    stated = [
        candidate
        for candidate in family
        if all(candidate in parents.get(other, ()) for other in family if other != candidate)
    ]
    if stated:
        return stated[0]
    if len(family) == 2:
        return ""

    def central(candidate: str) -> bool:
        others = [name for name in family if name != candidate]
        return all(
            min(cosines[frozenset((candidate, a))], cosines[frozenset((candidate, b))])
            > cosines[frozenset((a, b))] + MARGIN
            for a, b in itertools.combinations(others, 2)
        )

    return next((candidate for candidate in family if central(candidate)), "")


def _components(names: Sequence[str], links: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return the connected groups of names, each and all in the order given."""
    root = {name: name for name in names}

    def top(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    for a, b in links:
        first, second = sorted((top(a), top(b)), key=list(names).index)
        root[second] = first
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(top(name), []).append(name)
    return list(groups.values())
