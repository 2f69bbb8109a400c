"""Settings of the recipes that export entries to, and import them from, the layout of a model hub."""

from __future__ import annotations

from pathlib import Path

from bench.config import Settings


class ExportSettings(Settings):
    """Which entry is exported.

    Attributes:
        model: an entry that a recipe made.
        entries: folders with entries.
    """

    model: str
    entries: tuple[Path, ...] = ()


class ImportSettings(Settings):
    """Which folder is imported.

    Attributes:
        folder: with ``model.safetensors`` and ``config.json``, as ``recipe=hub_export`` leaves them.
        name: of the entry; the name in ``config.json`` if not given.
    """

    folder: Path
    name: str = ""
