"""Every suite there is: the files of `suites`, a user's own file, and named groups of them. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from bench import lookup
from bench.core import Suite
from bench.errors import BadSetting, UnknownName
from bench.local import run_file

OWN = "geobench_suites.py"


@lru_cache(maxsize=2)
def own_suites(folder: Path) -> dict[str, Suite]:
    """Return the suites of `OWN` in a folder by name: its ``SUITES``, or its one ``SUITE``; none without the file.

    Raises:
        BadSetting: the file cannot be run, or has neither.
    """
    path = folder / OWN
    if not path.is_file():
        return {}
    module = run_file(path)
    suites = getattr(module, "SUITES", None) or [getattr(module, "SUITE", None)]
    if not all(isinstance(suite, Suite) for suite in suites):
        raise BadSetting(f"{path} has no SUITE (or SUITES) of bench.core.Suite, as the files of suites/ have")
    return {suite.name: suite for suite in suites}


def names() -> list[str]:
    """Return the name of every suite, sorted; a user's own take part."""
    return sorted({*lookup.names("suites"), *own_suites(Path.cwd())})


def load(name: str) -> Suite:
    """Return a suite by name; one of the working folder's `OWN` goes before one of ours.

    Raises:
        UnknownName: lists the suites and groups there are.
    """
    if suite := own_suites(Path.cwd()).get(name):
        return suite
    if name not in names():
        raise UnknownName("suite", name, [*names(), *groups()])
    suite = lookup.module("suites", name, kind="suite").SUITE
    assert isinstance(suite, Suite)
    return suite


def groups() -> dict[str, tuple[str, ...]]:
    """Return the named groups, with the suites of each that there are."""
    known = set(names())
    wanted: dict[str, tuple[str, ...]] = importlib.import_module("suites._groups").GROUPS
    return {group: tuple(name for name in members if name in known) for group, members in wanted.items()}


def expand(words: Sequence[str]) -> list[str]:
    """Return the suites that names, globs and groups name, each once, in the order given.

    Raises:
        UnknownName: a word that names none.
    """
    known, grouped = names(), groups()
    found: dict[str, None] = {}
    for word in words:
        if word in grouped and word not in known:
            found |= dict.fromkeys(grouped[word])
        elif "*" in word or "?" in word:
            found |= dict.fromkeys(lookup.match([word], known, kind="suite"))
        else:
            found[load(word).name] = None
    return list(found)
