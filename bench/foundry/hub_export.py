"""Export: write an entry as a folder that model hubs take, with weights, configuration and model card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.foundry.contract.recipe import Recipe
from bench.foundry.sharing.settings import ExportSettings


def run(
    settings: ExportSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Export an entry and return the path of its weights, ``<out>/<name>/model.safetensors``.

    Args:
        settings: see `ExportSettings`.
        data: not used.
        out: the folder that the entry's folder goes below.
        device: not used.
        progress: not used.

    Raises:
        BadSetting, MissingData, UnknownName: see `bench.foundry.sharing.folder.export_entry`.
    """
    from bench.foundry.sharing.folder import export_entry

    return export_entry(settings.model, settings.entries, out)


RECIPE = Recipe(version=1, settings=ExportSettings, run=run)
