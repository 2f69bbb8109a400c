"""Find a name in a folder of modules without importing the rest; match patterns; suggest similar names."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from types import ModuleType
from typing import TypeVar

from bench.core.errors import BadSetting, UnknownName

N = TypeVar("N")


def names(package: str) -> list[str]:
    """Return the public module names of a package, sorted, importing none of them; its sub-packages are no names."""
    return sorted(info.name for info in _public(package) if not info.ispkg)


def packages(package: str) -> list[str]:
    """Return the public sub-packages of a package, sorted, importing none of them."""
    return sorted(info.name for info in _public(package) if info.ispkg)


def _public(package: str) -> list[pkgutil.ModuleInfo]:
    path = importlib.import_module(package).__path__
    return [info for info in pkgutil.iter_modules(path) if not info.name.startswith("_")]


def module(package: str, name: str, *, kind: str) -> ModuleType:
    """Return the module ``package.name``.

    Raises:
        UnknownName: if there is no such file; lists those there are.
    """
    known = names(package)
    if name not in known:
        raise UnknownName(kind, name, known)
    return importlib.import_module(f"{package}.{name}")


def noun(package: str, name: str, kind: type[N]) -> N:
    """Return the constant that the file ``package.name`` exports: an instance of `kind`, named in capitals.

    Args:
        package: where the files are, e.g. ``"bench.decoders"``.
        name: of the file.
        kind: the class of the constant, e.g. ``Decoder`` for ``DECODER``.

    Raises:
        UnknownName: there is no such file; lists those there are.
        BadSetting: the file exports no such constant.
    """
    constant = kind.__name__.upper()
    exported = getattr(module(package, name, kind=kind.__name__.lower()), constant, None)
    if not isinstance(exported, kind):
        raise BadSetting(
            f"{package}.{name} exports no {constant}: the file must end with {constant} = {kind.__name__}(...), "
            f"see {kind.__module__}"
        )
    return exported


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
