"""Pruning: remove single weights, heads and channels, blocks, or width from an entry, and leave a smaller one.

Six methods (`bench.foundry.pruning.settings.PruneSettings`), one-shot or in rounds, to a share or to a budget of
multiply-adds, parameters or latency that is counted on the network itself. With ``suite=`` the network is tuned on a
task before and recovers on it after; without, nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.foundry.contract.recipe import Recipe
from bench.foundry.pruning.settings import PruneSettings


def run(
    settings: PruneSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Prune an entry and return the path of the new entry's weights, ``<out>/<name>/model.safetensors``.

    Args:
        settings: see `PruneSettings`.
        data: folder with the suites' data.
        out: folder of entries, to be given as ``entries=``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: receives one line per step.

    Raises:
        BadSetting: settings that contradict each other.
        Incompatible: the network cannot be pruned this way, or a budget cannot be met.
        MissingWeights: the entry's weights are not at hand.
        UnknownName: no such entry, suite or task.
    """
    from bench.foundry.pruning.carry_out import prune_entry

    return prune_entry(settings, data=data, out=out, device=device, report=progress or (lambda text: None))


RECIPE = Recipe(version=1, settings=PruneSettings, run=run)
