"""Cards: the description that a foundry recipe writes next to the weights it makes, and the entry read from it.

An entry made by a recipe is a folder ``<entries>/<name>/`` with ``model.safetensors`` and ``card.json``. The card names
the base entry, whose loader and input contract it uses, and lists what the recipe changed in the shape of the network.
The entry loads and runs, and can be pruned or distilled again, like any other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.core import (
    Backbone,
    BadSetting,
    Band,
    MissingData,
    ModelEntry,
    Objective,
    Origin,
    Structure,
    UnknownName,
    Weights,
    canonical,
)
from bench.store import write_atomic

CARD, WEIGHTS = "card.json", "model.safetensors"
UNKNOWN_DATA = "unknown"
"""Stands in `bench.core.ModelEntry.trained_on` for what a parent has seen beyond the datasets named."""
PARENTS_JOINED = " + "
"""Stands between the names of several parents in `bench.core.ModelEntry.parent`."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,120}")


class Card(BaseModel):
    """Description of an entry that a recipe made: lineage, method, data, cost, scores and licence.

    Attributes:
        name: name of the entry, ``<parent>.<variant>``.
        origin: how its weights were obtained.
        objective: training objective of its lineage.
        base: the entry whose network, loader and input contract it uses.
        parents: entries its weights derive from, the main one first.
        bands: names of its input bands, in order.
        shape: differences from the network of the base.
        parameters: number of parameters of the network.
        depth, width: blocks, and channels of the last layer.
        recipe, version, settings, seed: how it was made; `settings` includes the defaults.
        data: suite, version, split, task and number of images used.
        trained_on: datasets that its weights, or those of a parent, were trained on, for exposure flags.
        cost: costs by name, such as seconds, steps and multiply-adds.
        scores: validation scores that the recipe measured.
        sha256: SHA-256 of the weights file.
        licence: licence of the weights, inherited from the parents.
        reference: publications of the method and the parents.
        notes: remarks for readers.
        environment: versions of the software used.
        checksum: SHA-256 of the card without this field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    origin: Origin
    objective: Objective
    base: str
    parents: tuple[str, ...]
    bands: tuple[str, ...]
    shape: Structure = Structure()
    parameters: int = Field(ge=0)
    depth: int = Field(ge=1)
    width: int = Field(ge=1)
    recipe: str
    version: int
    settings: dict[str, Any]
    seed: int
    data: dict[str, Any] = Field(default_factory=dict)
    trained_on: tuple[str, ...] = ()
    cost: dict[str, float] = Field(default_factory=dict)
    scores: dict[str, float] = Field(default_factory=dict)
    sha256: str
    licence: str = ""
    reference: str = ""
    notes: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    checksum: str = ""

    def sealed(self) -> Card:
        """Return the card with its checksum filled in."""
        return self.model_copy(update={"checksum": self._digest()})

    def intact(self) -> bool:
        """Return whether the checksum matches the content."""
        return self.checksum == self._digest()

    def _digest(self) -> str:
        return hashlib.sha256(canonical(self.model_dump(mode="json", exclude={"checksum"})).encode()).hexdigest()


def write_entry(folder: Path, card: Card, weights: bytes) -> Path:
    """Put an entry into a folder of entries and return the path of its weights; the card is written last.

    Args:
        folder: the ``entries=`` folder.
        card: its `sha256` and `checksum` are filled in here.
        weights: content of the safetensors file.

    Raises:
        BadSetting: the name cannot be a folder's.
    """
    if not NAME.fullmatch(card.name):
        raise BadSetting(f"{card.name!r} cannot name an entry: use letters, digits, dot, hyphen and underscore")
    path = folder / card.name / WEIGHTS
    complete = card.model_copy(update={"sha256": hashlib.sha256(weights).hexdigest()}).sealed()
    write_atomic(path, weights)
    content = json.dumps(complete.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    write_atomic(path.with_name(CARD), content.encode())
    return path


def read_card(path: Path) -> Card:
    """Return the card stored at a path.

    Raises:
        MissingData: the file cannot be read, is no card, or was changed after it was written.
    """
    try:
        card = Card.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise MissingData(f"{path} is no readable card of an entry: {reason}; make the entry again") from error
    if not card.intact():
        raise MissingData(f"{path} does not match its checksum: it was edited or damaged; make the entry again")
    if not NAME.fullmatch(card.name) or card.name != path.parent.name:
        raise MissingData(f"{path} describes the entry {card.name!r}, but its folder is {path.parent.name}")
    return card


def made_entries(folders: Iterable[Path], known: Mapping[str, ModelEntry]) -> list[ModelEntry]:
    """Return the entries that recipes wrote to some folders, sorted by name within each folder.

    Args:
        folders: folders of entries, as ``entries=`` names them.
        known: entries that ship with the package, and a user's own.

    Raises:
        BadSetting: a folder does not exist, or two entries carry one name.
        MissingData: see `read_card`.
        UnknownName: a card's base entry is unknown.
    """
    entries: dict[str, ModelEntry] = {}
    for folder in folders:
        if not folder.is_dir():
            raise BadSetting(f"entries={folder}: there is no such folder")
        for path in sorted(folder.glob(f"*/{CARD}")):
            entry = entry_of(read_card(path), path.with_name(WEIGHTS), known)
            if entry.name in entries or entry.name in known:
                raise BadSetting(f"{path}: the name {entry.name} is taken by another entry")
            entries[entry.name] = entry
    return list(entries.values())


def entry_of(card: Card, weights: Path, known: Mapping[str, ModelEntry]) -> ModelEntry:
    """Return the entry that a card describes.

    Args:
        card: of the entry.
        weights: its safetensors file.
        known: entries among which the card's base is looked up.

    Raises:
        UnknownName: the base entry, or one of its bands, is unknown.
    """
    if card.base not in known:
        raise UnknownName(f"base entry of {card.name}", card.base, known)
    base = known[card.base]
    places = {band.name: place for place, band in enumerate(base.bands)}
    if unknown := [name for name in card.bands if name not in places]:
        raise UnknownName(f"band of {card.base}", unknown[0], places)
    chosen = [places[name] for name in card.bands]
    normalise = base.normalise
    if normalise.kind == "affine" and normalise.shift:
        normalise = dataclasses.replace(
            normalise,
            shift=tuple(normalise.shift[place] for place in chosen),
            scale=tuple(normalise.scale[place] for place in chosen),
        )
    return dataclasses.replace(
        base,
        name=card.name,
        origin=card.origin,
        objective=card.objective,
        bands=tuple(base.bands[place] for place in chosen),
        normalise=normalise,
        parent=PARENTS_JOINED.join(card.parents) or card.base,
        parameters=card.parameters,
        depth=card.depth,
        width=card.width,
        taps=base.taps if not card.shape.blocks else (),
        weights=Weights(
            file=str(weights.resolve()), sha256=card.sha256, licence=card.licence, source=f"recipe {card.recipe}"
        ),
        trained_on=card.trained_on,
        reference=card.reference or base.reference,
        version=card.version,
        load=partial(load_made, base=base, structure=card.shape),
    )


def load_made(
    entry: ModelEntry,
    weights: Path | None,
    seed: int,
    bands: tuple[Band, ...],
    *,
    base: ModelEntry,
    structure: Structure,
) -> Backbone:
    """Return the network of an entry made by a recipe: the base's network, reshaped, with the entry's weights.

    Args:
        entry: the entry, or its random twin.
        weights: its safetensors file; None for random initial values.
        seed: seed of the random initial values.
        bands: input bands.
        base: the entry whose loader builds the network.
        structure: changes that the recipe made to its shape.

    Raises:
        Incompatible: the base cannot be brought to the structure.
        MissingWeights: see `bench.networks.checkpoints.load_state`.
    """
    from bench.networks.checkpoints import load_state
    from bench.networks.reshaped import initialise, reshape
    from bench.networks.tapped import tapped

    network = reshape(tapped(base.load(base, None, seed, bands)), structure)
    if weights is None:
        initialise(network, structure, seed)
    else:
        load_state(network, weights, entry=entry.name)
    return network


def origin_of(entry: ModelEntry) -> tuple[ModelEntry, Structure] | None:
    """Return the base of an entry that a recipe made and what differs from the base's network; None for others.

    A random twin, and a user's file of weights for such a network, count as well.
    """
    load = entry.load
    if isinstance(load, partial) and load.func is load_made:
        return load.keywords["base"], load.keywords["structure"]
    return None


def inherited(entries: Sequence[ModelEntry]) -> tuple[tuple[str, ...], str]:
    """Return the datasets that parents were trained on, and the licences of their weights, without repetition.

    The datasets end with `UNKNOWN_DATA` if the training data of a parent are unknown.
    """
    datasets = dict.fromkeys(name for entry in entries for name in entry.trained_on if name != UNKNOWN_DATA)
    if any((entry.weights and not entry.trained_on) or UNKNOWN_DATA in entry.trained_on for entry in entries):
        datasets[UNKNOWN_DATA] = None
    licences = dict.fromkeys(entry.weights.licence for entry in entries if entry.weights and entry.weights.licence)
    return tuple(datasets), "; ".join(licences)
