"""Every entry that ships with the package, and test parameters over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bench.core import Band, ModelEntry, lookup

RGB = tuple(Band(name=f"rgb.{colour}", unit="uint8") for colour in ("red", "green", "blue"))
ENTRIES = {
    entry.name: entry
    for family in lookup.names("bench.models")
    for entry in lookup.module("bench.models", family, kind="model family").ENTRIES
}


HEAVY = 50_000_000  # parameters


def cases(names: Sequence[str]) -> list[Any]:
    """Return test parameters; entries of one network with an earlier one are marked again, other large ones heavy.

    Networks that differ in the number of bands alone count as one: their facts are held to the network for every entry.
    """
    seen: set[Any] = set()
    found = []
    for name in names:
        entry = ENTRIES[name]
        loader: Any = entry.load
        network = (getattr(loader, "func", loader), str(getattr(loader, "keywords", "")), entry.depth, entry.width)
        # One worker for all tests of an entry: its network is built once.
        marks = [pytest.mark.xdist_group(name)]
        if network in seen:
            marks.append(pytest.mark.again)
        elif entry.parameters > HEAVY:
            marks.append(pytest.mark.heavy)
        seen.add(network)
        found.append(pytest.param(name, marks=marks))
    return found


def bands_of(entry: ModelEntry) -> tuple[Band, ...]:
    return entry.bands or RGB
