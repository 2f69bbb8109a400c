"""Import the networks of terratorch without terratorch as a whole. Imports no torch by itself."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def terratorch_module(name: str) -> ModuleType:
    """Return a module of terratorch, imported without the ``__init__`` of the packages above it.

    Importing terratorch as a whole takes seconds and sets torch's float32 matrix products to "medium" precision for the
    whole process, which would change the results of every other model on a GPU. Therefore empty packages take the place
    of the packages above the module while it is imported. If terratorch has been imported as a whole, its own packages
    are used.

    Args:
        name: path of the module below ``terratorch``, joined by dots.

    Raises:
        ModuleNotFoundError: terratorch is not installed.
    """
    full_name = f"terratorch.{name}"
    if full_name in sys.modules:
        return sys.modules[full_name]
    installed = importlib.util.find_spec("terratorch")
    if installed is None or not installed.submodule_search_locations:
        raise ModuleNotFoundError("this network comes from terratorch: pip install 'geobench-run[terratorch]'")
    root = installed.submodule_search_locations[0]
    parts = full_name.split(".")
    above = [".".join(parts[:end]) for end in range(1, len(parts))]
    placeholders = [package for package in above if package not in sys.modules]
    for package in placeholders:
        empty = ModuleType(package)
        empty.__path__ = [str(Path(root, *package.split(".")[1:]))]
        sys.modules[package] = empty
    try:
        return importlib.import_module(full_name)
    finally:
        for package in placeholders:
            del sys.modules[package]
