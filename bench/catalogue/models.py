"""Catalogue of model entries: those of all families, and a random twin of each with weights. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from bench.catalogue.cards import PARENTS_JOINED, made_entries, origin_of
from bench.catalogue.local_entries import LOCAL, local_entries
from bench.catalogue.user_models import OWN, file_hash, own_entries
from bench.core import ModelEntry, lookup
from bench.core.errors import BadSetting, UnknownName

CATEGORIES = ("origin", "objective")


def twin(entry: ModelEntry) -> ModelEntry:
    """Return the random twin of an entry, a control: same architecture and input contract, random initial weights."""
    return dataclasses.replace(
        entry,
        name=f"{entry.name}.random",
        origin="random",
        objective="none",
        parent=entry.name,
        weights=None,
        trained_on=(),
    )


def entries() -> dict[str, ModelEntry]:
    """Return every entry by name: families sorted by file name, each entry followed by its random twin.

    A file `OWN` in the working folder counts as one more family.

    Raises:
        BadSetting: two files claim one name, or `OWN` is no such file.
    """
    return _entries(Path.cwd(), file_hash(Path.cwd() / OWN))


def user_file(entry: ModelEntry) -> str:
    """Return the SHA-256 of the user's file that an entry, its twin or its architecture comes from, ``""`` for none."""
    origin = origin_of(entry)
    lineage = {entry.name, entry.name.removesuffix(".random"), *entry.parent.split(PARENTS_JOINED)}
    lineage |= {origin[0].name} if origin else set()
    own = {member.name for member in own_entries(Path.cwd())}
    return file_hash(Path.cwd() / OWN) if lineage & own else ""


@lru_cache(maxsize=2)
def _entries(folder: Path, content: str) -> dict[str, ModelEntry]:
    """Return all entries, cached by the content of `OWN` in a folder: it is run again only when its content changes."""
    families = {
        f"bench/models/{family}.py": lookup.module("bench.models", family, kind="model family").ENTRIES
        for family in lookup.names("bench.models")
    }
    entries: dict[str, ModelEntry] = {}
    for file, facts in (families | {str(folder / OWN): own_entries(folder)}).items():
        for entry in facts:
            for named in (entry, twin(entry)) if entry.weights else (entry,):
                if named.name in entries:
                    raise BadSetting(f"{file}: the name {named.name} is taken by another file")
                entries[named.name] = named
    return entries


def select(words: Iterable[str], folders: Sequence[Path] = ()) -> tuple[list[ModelEntry], bool]:
    """Return the entries that words name, in catalogue order, and whether every word is the full name of an entry.

    Args:
        words: names, globs, ``all``, ``origin:NAME``, ``objective:NAME``, and a user's own models (see
            `bench.catalogue.local_entries.local_entries`). A glob does not reach random twins unless it
            names them (``tiny_*`` is the three models, ``tiny_*.random`` their twins).
        folders: ``entries=``: folders with entries that recipes left, see `bench.catalogue.cards`.

    Raises:
        UnknownName: a word that names nothing.
        BadSetting, MissingWeights: a file that cannot be used, see `local_entries`.
    """
    known = dict(entries())
    for entry in made_entries(folders, known):
        known |= {entry.name: entry, f"{entry.name}.random": twin(entry)}
    words = list(words)
    local = local_entries([word for word in words if word.partition(":")[0] in LOCAL and ":" in word], known)
    wanted = {entry.name for entry in local.values()}
    explicit = set(wanted)
    for word in words:
        category, colon, value = word.partition(":")
        if word in local:
            continue
        if word == "all":
            wanted.update(known)
        elif colon:
            if category not in CATEGORIES:
                raise UnknownName("way to select models", category, (*CATEGORIES, *LOCAL), "Write origin:random, say")
            values = {getattr(entry, category) for entry in known.values()}
            if value not in values:
                raise UnknownName(category, value, values)
            wanted.update(name for name, entry in known.items() if getattr(entry, category) == value)
        else:
            twins = ".random" in word
            reach = [name for name, entry in known.items() if twins or entry.origin != "random"]
            hits = lookup.match([word], reach if "*" in word or "?" in word else list(known), kind="model")
            wanted.update(hits)
            explicit.update(hits)
    known |= {entry.name: entry for entry in local.values()}
    return [entry for name, entry in known.items() if name in wanted], bool(wanted) and wanted <= explicit
