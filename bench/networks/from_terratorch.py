"""Import networks of terratorch without terratorch. Imports no torch by itself."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def terratorch_module(name: str) -> ModuleType:
    """Return a module of terratorch, imported without the ``__init__`` of the packages above it.

    Importing terratorch as a whole takes seconds and sets torch's float32 matrix products to "medium" precision for the
    whole process, which would change the numbers of every other model on a GPU. So empty packages stand in for those
    above the module while it is imported; where terratorch has been imported as a whole, its own are used.

    Args:
        name: its path below ``terratorch``, joined by dots.

    Raises:
        ModuleNotFoundError: terratorch is not installed.
    """
    full = f"terratorch.{name}"
    if full in sys.modules:
        return sys.modules[full]
    found = importlib.util.find_spec("terratorch")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("this network comes from terratorch: pip install 'geobench-run[terratorch]'")
    parts = full.split(".")
    above = [".".join(parts[:end]) for end in range(1, len(parts))]
    standing_in = [package for package in above if package not in sys.modules]
    for package in standing_in:
        empty = ModuleType(package)
        empty.__path__ = [str(Path(found.submodule_search_locations[0], *package.split(".")[1:]))]
        sys.modules[package] = empty
    try:
        return importlib.import_module(full)
    finally:
        for package in standing_in:
            del sys.modules[package]
