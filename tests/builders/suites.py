"""Suites by name, and the tiny copies of their published layouts."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from bench.catalogue.suites import load, shipped
from bench.core import Suite

NAMES = list(shipped())


def suite_of(name: str) -> Suite:
    """Return a suite that ships with the package."""
    return load(name)


def suite_module(name: str) -> ModuleType:
    """Return the module that holds a suite."""
    return import_module(f"{shipped()[name]}.{name}")


def fixture_module(name: str) -> ModuleType:
    """Return the module that writes a suite's tiny copy: ``tests/fixtures/<collection>/<name>.py``."""
    return import_module(f"tests.fixtures.{shipped()[name].partition('.')[2]}.{name}")


def write(name: str, root: Path) -> Path:
    """Put the tiny copy of a suite below root; return the suite's own folder."""
    if suite_of(name).generated:
        return root
    written: Path = fixture_module(name).write(root)
    return written
