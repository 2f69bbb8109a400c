"""Collection: gather models, find duplicates and lineage from their weights, and report what there is to learn.

Leaves ``catalogue.parquet``, ``lineage.csv``, ``spectra.csv`` and ``rejects.csv`` in the folder ``out=``, sealed by
``collection.json``. Nothing is trained and no code of a checkpoint is run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.foundry.collection.settings import CollectSettings
from bench.foundry.contract.recipe import Recipe


def run(
    settings: CollectSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Collect models and return the path of the catalogue.

    Args:
        settings: see `CollectSettings`.
        data: not used.
        out: folder of the collection.
        device: not used: files are read on the CPU.
        progress: receives one line per step.

    Raises:
        BadSetting: a source does not exist, or fewer than two models could be read.
        UnknownName: ``models=`` names nothing in the registry.
    """
    from bench.foundry.collection.carry_out import collect

    return collect(settings, out=out, report=progress or (lambda text: None))


RECIPE = Recipe(version=1, settings=CollectSettings, run=run)
