"""Every suite there is: the files of `suites`, a user's own file, and named groups of them. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from bench.catalogue.user_models import file_hash, run_file
from bench.core import Band, Suite, Task, lookup
from bench.core.errors import BadSetting, UnknownName
from bench.core.lookup import match as match_names
from bench.core.soundness import check_suite
from bench.metrics import METRICS

OWN = "geobench_suites.py"


def own_suites(folder: Path) -> dict[str, Suite]:
    """Return the suites of `OWN` in a folder by name: its ``SUITES``, or its one ``SUITE``; none without the file.

    Raises:
        BadSetting: the file cannot be run, or has neither.
    """
    path = folder / OWN
    return _own_suites(path, file_hash(path))


def user_file(suite: Suite) -> str:
    """Return the SHA-256 of the user's file that a suite comes from, ``""`` for none."""
    return file_hash(Path.cwd() / OWN) if suite.name in own_suites(Path.cwd()) else ""


@lru_cache(maxsize=2)
def _own_suites(path: Path, content: str) -> dict[str, Suite]:
    """Return the suites of a file while it has some content; once it changes, it is run again."""
    if not content:
        return {}
    module = run_file(path)
    suites = getattr(module, "SUITES", None) or [getattr(module, "SUITE", None)]
    if not isinstance(suites, tuple | list) or not all(isinstance(suite, Suite) for suite in suites):
        raise BadSetting(f"{path} has no SUITE (or SUITES) of bench.core.Suite, as the files of suites/ have")
    for suite in suites:
        check_suite(suite, METRICS, source=str(path))
    return {suite.name: suite for suite in suites}


NOT_COLLECTIONS = ("maker", "reading")  # rooms of `suites` that hold no suites


@lru_cache(maxsize=1)
def shipped() -> dict[str, str]:
    """Return the suites that ship with the package: name -> the package that holds its file, sorted by name."""
    collections = [name for name in lookup.packages("suites") if name not in NOT_COLLECTIONS]
    places = {
        name: f"suites.{collection}" for collection in collections for name in lookup.names(f"suites.{collection}")
    }
    return dict(sorted(places.items()))


def names() -> list[str]:
    """Return the name of every suite, sorted; a user's own take part."""
    return sorted({*shipped(), *own_suites(Path.cwd())})


def load(name: str) -> Suite:
    """Return a suite by name; one of the working folder's `OWN` goes before one of ours.

    Raises:
        UnknownName: lists the suites and groups there are.
    """
    if suite := own_suites(Path.cwd()).get(name):
        return suite
    if name not in names():
        raise UnknownName("suite", name, [*names(), *groups()])
    suite = lookup.module(shipped()[name], name, kind="suite").SUITE
    assert isinstance(suite, Suite)
    return suite


def groups() -> dict[str, tuple[str, ...]]:
    """Return the named groups, with the suites of each that there are."""
    known = set(names())
    wanted: dict[str, tuple[str, ...]] = importlib.import_module("suites.groups").GROUPS
    return {group: tuple(name for name in members if name in known) for group, members in wanted.items()}


def expand(words: Sequence[str]) -> list[str]:
    """Return the suites that names, globs and groups name, each once, in the order given.

    Raises:
        UnknownName: a word that names none.
    """
    known, grouped = names(), groups()
    expanded: dict[str, None] = {}
    for word in words:
        if word in grouped and word not in known:
            expanded |= dict.fromkeys(grouped[word])
        elif "*" in word or "?" in word:
            expanded |= dict.fromkeys(lookup.match([word], known, kind="suite"))
        else:
            expanded[load(word).name] = None
    return list(expanded)


def select_bands(suite: Suite, patterns: Sequence[str]) -> tuple[Band, ...]:
    """Return the bands that patterns name (the suite's default if there are none); a bare sensor means all of its own.

    Raises:
        UnknownName: a pattern that names no band of the suite.
    """
    names = [band.name for band in suite.bands]
    sensors = {band.sensor for band in suite.bands}
    words = [f"{word}.*" if word in sensors else word for word in (patterns or suite.default_bands or ("*",))]
    chosen = set(match_names(words, names, kind=f"band of {suite.name}"))
    return tuple(band for band in suite.bands if band.name in chosen)


def select_tasks(suite: Suite, patterns: Sequence[str]) -> list[Task]:
    """Return the tasks that patterns name, all if there are none."""
    names = match_names(patterns or ("*",), [task.name for task in suite.tasks], kind=f"task of {suite.name}")
    return [task for task in suite.tasks if task.name in names]
