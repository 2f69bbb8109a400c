"""Import: read a folder in the layout of a model hub, check it without running anything in it, and leave an entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.foundry.contract.recipe import Recipe
from bench.foundry.sharing.settings import ImportSettings


def run(
    settings: ImportSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Import an entry and return the path of its weights, ``<out>/<name>/model.safetensors``.

    Args:
        settings: see `ImportSettings`.
        data: not used.
        out: folder of entries, to be given as ``entries=``.
        device: not used.
        progress: not used.

    Raises:
        BadSetting, MissingData, UnknownName: see `bench.foundry.sharing.folder.import_entry`.
    """
    from bench.foundry.sharing.folder import import_entry

    return import_entry(settings.folder, settings.name, out)


RECIPE = Recipe(version=1, settings=ImportSettings, run=run)
