"""Find a name in a folder of modules without importing the rest; match patterns; suggest the near name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from types import ModuleType

from bench.errors import UnknownName


def names(package: str) -> list[str]:
    """Return the public module names of a package, sorted, importing none of them."""
    found = importlib.import_module(package)
    return sorted(info.name for info in pkgutil.iter_modules(found.__path__) if not info.name.startswith("_"))


def module(package: str, name: str, *, kind: str) -> ModuleType:
    """Return the module ``package.name``.

    Raises:
        UnknownName: if there is no such file; lists those there are.
    """
    known = names(package)
    if name not in known:
        raise UnknownName(kind, name, known)
    return importlib.import_module(f"{package}.{name}")


def match(patterns: Iterable[str], known: Sequence[str], *, kind: str) -> list[str]:
    """Return the known names that the patterns name, in the order of `known`, each once.

    Args:
        patterns: names, or globs with ``*``, ``?`` and ``[...]``.
        known: every name there is.
        kind: what is looked for, for the message.

    Raises:
        UnknownName: for the first pattern that names nothing.
    """
    wanted: set[str] = set()
    for pattern in patterns:
        hits = [name for name in known if name == pattern or fnmatchcase(name, pattern)]
        if not hits:
            raise UnknownName(kind, pattern, known)
        wanted.update(hits)
    return [name for name in known if name in wanted]
