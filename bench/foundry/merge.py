"""Merging: one network from several of the same shape, or a smaller one selected from a larger, without retraining.

Average, TIES, DARE, learned coefficients over task vectors, and weight selection
(`bench.foundry.merging.settings.MergeSettings`). Batch-norm statistics are measured anew on images. The lineage of the
members is read from their weights, and unrelated ones are named.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.foundry.contract.recipe import Recipe
from bench.foundry.merging.settings import MergeSettings


def run(
    settings: MergeSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Merge entries and return the path of the new entry's weights, ``<out>/<name>/model.safetensors``.

    Args:
        settings: see `MergeSettings`.
        data: folder with the suites' data.
        out: folder of entries, to be given as ``entries=``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: receives one line per step.

    Raises:
        BadSetting: settings that contradict each other, or batch norms without images.
        Incompatible: networks of different shapes, a base that is no ancestor, weights that are not finite.
        MissingWeights: an entry has no weights, or they are not at hand.
        UnknownName: no such entry, suite or task.
    """
    from bench.foundry.merging.carry_out import merge_entries

    return merge_entries(settings, data=data, out=out, device=device, report=progress or (lambda text: None))


RECIPE = Recipe(version=1, settings=MergeSettings, run=run)
