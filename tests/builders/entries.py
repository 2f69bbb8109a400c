"""Every entry that ships with the package, and test parameters for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bench.catalogue.weights import lacks
from bench.core import Band, ModelEntry, lookup

RGB = tuple(Band(name=f"rgb.{colour}", unit="uint8") for colour in ("red", "green", "blue"))
ENTRIES = {
    entry.name: entry
    for family in lookup.names("bench.models")
    for entry in lookup.module("bench.models", family, kind="model family").ENTRIES
}
HEAVY = 50_000_000  # number of parameters


def cases(names: Sequence[str]) -> list[Any]:
    """Return test parameters, marked ``again`` for a network of an earlier entry and ``heavy`` for other large ones.

    Networks that differ only in their number of bands count as one, because other tests compare the facts of every
    entry with its network.

    Args:
        names: names of entries.
    """
    seen: set[Any] = set()
    parameters = []
    for name in names:
        entry = ENTRIES[name]
        loader: Any = entry.load
        network = (getattr(loader, "func", loader), str(getattr(loader, "keywords", "")), entry.depth, entry.width)
        # One worker runs all tests of an entry, so that its network is built once.
        marks = [pytest.mark.xdist_group(name)]
        marks += skipped_without_package(entry)
        if network in seen:
            marks.append(pytest.mark.again)
        elif entry.parameters > HEAVY:
            marks.append(pytest.mark.heavy)
        seen.add(network)
        parameters.append(pytest.param(name, marks=marks))
    return parameters


def skipped_without_package(entry: ModelEntry) -> list[Any]:
    """Return a mark that skips tests of an entry whose network needs a package that is not installed."""
    if not lacks(entry):
        return []
    return [pytest.mark.skip(reason=f"its network is part of {entry.requires}, which is not installed")]


def bands_of(entry: ModelEntry) -> tuple[Band, ...]:
    """Return the bands of an entry, or true colour for one that takes any bands."""
    return entry.bands or RGB
