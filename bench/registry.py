"""Every entry there is: the families' facts, and the random twin of each entry that has weights. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import lru_cache

from bench import lookup
from bench.core import ModelEntry
from bench.errors import UnknownName

CATEGORIES = ("origin", "objective")


def twin(entry: ModelEntry) -> ModelEntry:
    """Return the control of an entry: its architecture at random init, its input contract unchanged."""
    return dataclasses.replace(
        entry,
        name=f"{entry.name}.random",
        origin="random",
        objective="none",
        parent=entry.name,
        weights=None,
        trained_on=(),
    )


@lru_cache(maxsize=1)
def entries() -> dict[str, ModelEntry]:
    """Return every entry by name: families in file order of their names, each followed by its random twin.

    Raises:
        ValueError: if two files claim one name.
    """
    found: dict[str, ModelEntry] = {}
    for family in lookup.names("bench.models"):
        for entry in lookup.module("bench.models", family, kind="model family").ENTRIES:
            for one in (entry, twin(entry)) if entry.weights else (entry,):
                if one.name in found:
                    raise ValueError(f"bench/models/{family}.py: the name {one.name} is taken")
                found[one.name] = one
    return found


def select(words: Iterable[str]) -> tuple[list[ModelEntry], bool]:
    """Return the entries that words name, in registry order, and whether each was asked for by its full name.

    Args:
        words: names, globs, ``all``, ``origin:NAME``, ``objective:NAME``. A glob does not reach random twins unless it
            names them (``tiny_*`` is the three models, ``tiny_*.random`` their twins).

    Raises:
        UnknownName: a word that names nothing.
    """
    known = entries()
    wanted: set[str] = set()
    explicit: set[str] = set()
    for word in words:
        category, colon, value = word.partition(":")
        if word == "all":
            wanted.update(known)
        elif colon:
            if category not in CATEGORIES:
                raise UnknownName("way to select models", category, CATEGORIES, "Write origin:random, say")
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
    return [entry for name, entry in known.items() if name in wanted], bool(wanted) and wanted <= explicit
