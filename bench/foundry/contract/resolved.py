"""Starting point of a recipe: an entry, its network and its place in the lineage."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import inherited, origin_of
from bench.catalogue.weights import WeightSources
from bench.core import Backbone, Band, ModelEntry, Structure
from bench.core.errors import Incompatible
from bench.store import default_cache

if TYPE_CHECKING:
    from bench.networks.tapped import TappedNetwork


@dataclass(frozen=True, kw_only=True)
class Parent:
    """An entry that a recipe derives another from.

    Attributes:
        entry: its facts.
        path: its weights file; None where it has none.
        base: name of the entry whose loader builds its network.
        shape: what differs from the base's network.
    """

    entry: ModelEntry
    path: Path | None
    base: str
    shape: Structure

    def network(self, bands: tuple[Band, ...], *, seed: int = 0, random: bool = False) -> Backbone:
        """Return its network for `bands`, with its weights or at random init."""
        return self.entry.load(self.entry, None if random else self.path, seed, bands)


def parent_of(name: str, *, weights: Path | None, entries: Sequence[Path]) -> Parent:
    """Return an entry by name, ready to be derived from.

    Args:
        name: of the entry.
        weights: folder looked in first for weights.
        entries: folders with further entries.

    Raises:
        UnknownName: there is no such entry.
        Incompatible: the name stands for several entries, or for ready-made vectors.
        MissingWeights: its weights are not at hand.
    """
    chosen, _ = model_catalogue.select([name], entries)
    if len(chosen) != 1:
        raise Incompatible(f"model={name} names {len(chosen)} entries; a recipe derives from one")
    (entry,) = chosen
    if entry.vectors:
        raise Incompatible(f"{name} are ready-made vectors, not a network")
    if not entry.parameters:
        raise Incompatible(f"{name} has no parameters; a recipe needs a network")
    path = WeightSources(folder=weights, cache=default_cache()).find(entry)
    origin = origin_of(entry)
    # A file of the user's own has a name that the catalogue does not know; its network is that of its parent.
    shipped = model_catalogue.entries()
    own = entry.name.removesuffix(".random")
    return Parent(
        entry=entry,
        path=path,
        base=origin[0].name if origin else own if own in shipped else entry.parent.removesuffix(".random"),
        shape=origin[1] if origin else Structure(),
    )


def shape_of(parent: Parent, bands: tuple[Band, ...], network: TappedNetwork) -> Structure:
    """Return what differs between a derived network and that of the parent's base entry.

    Args:
        parent: it was derived from.
        bands: that it is fed.
        network: the derived network.

    Raises:
        Incompatible: it differs in more than shapes.
    """
    from bench.networks.reshaped import ShortenedBackbone, structure_of
    from bench.networks.tapped import tapped

    base = model_catalogue.entries()[parent.base]
    whole = tapped(base.load(base, None, 0, bands))
    blocks = network.kept if isinstance(network, ShortenedBackbone) else ()
    return structure_of(network, ShortenedBackbone(whole, blocks) if blocks else whole, blocks=blocks)


def lineage(parents: Sequence[Parent]) -> dict[str, Any]:
    """Return the fields of a card that are inherited: parents, exposure, licence, reference and software."""
    datasets, licence = inherited([parent.entry for parent in parents])
    return {
        "base": parents[0].base,
        "parents": tuple(parent.entry.name for parent in parents),
        "objective": parents[0].entry.objective,
        "trained_on": datasets,
        "licence": licence,
        "environment": {name: version(name) for name in ("torch", "timm", "numpy")}
        | {"python": platform.python_version()},
    }
