"""Catalogue of suites: the files of `suites`, a user's own file, and named groups. Imports no torch."""

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
    """Return the suites of a file, cached by its content: it is run again only when its content changes."""
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
    """Return the names of all suites, a user's own included, sorted."""
    return sorted({*shipped(), *own_suites(Path.cwd())})


def load(name: str) -> Suite:
    """Return a suite by name; one defined in `OWN` in the working folder takes precedence over a shipped one.

    Raises:
        UnknownName: there is no such suite; the message lists all suites and groups.
    """
    if suite := own_suites(Path.cwd()).get(name):
        return suite
    if name not in names():
        raise UnknownName("suite", name, [*names(), *groups()])
    suite = lookup.module(shipped()[name], name, kind="suite").SUITE
    assert isinstance(suite, Suite)
    return suite


def groups() -> dict[str, tuple[str, ...]]:
    """Return group name -> names of its available suites."""
    known = set(names())
    wanted: dict[str, tuple[str, ...]] = importlib.import_module("suites.groups").GROUPS
    return {group: tuple(name for name in members if name in known) for group, members in wanted.items()}


def expand(words: Sequence[str]) -> list[str]:
    """Return the suites that names, globs and groups refer to, without repetition, in the order given.

    Raises:
        UnknownName: a word refers to no suite.
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
    """Return the bands that patterns match; without patterns the suite's default bands. A sensor stands for its bands.

    Raises:
        UnknownName: a pattern matches no band of the suite.
    """
    names = [band.name for band in suite.bands]
    sensors = {band.sensor for band in suite.bands}
    words = [f"{word}.*" if word in sensors else word for word in (patterns or suite.default_bands or ("*",))]
    chosen = set(match_names(words, names, kind=f"band of {suite.name}"))
    return tuple(band for band in suite.bands if band.name in chosen)


def select_tasks(suite: Suite, patterns: Sequence[str]) -> list[Task]:
    """Return the tasks that patterns match; without patterns all tasks."""
    names = match_names(patterns or ("*",), [task.name for task in suite.tasks], kind=f"task of {suite.name}")
    return [task for task in suite.tasks if task.name in names]
