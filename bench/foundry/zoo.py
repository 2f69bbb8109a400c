"""A zoo with a branching fraction: a shared trunk, then branches per condition and seed, each an entry.

Structure that a generator could learn lies between identical networks (branch near 0) and unrelated ones (branch 1).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.foundry.contract.recipe import Recipe
from bench.foundry.zoos.settings import ZooSettings


def run(
    settings: ZooSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Train the zoo and return the path of its trunk's weights; entries that are there already are kept.

    Args:
        settings: see `ZooSettings`.
        data: folder with the suites' data.
        out: folder of entries, to be given as ``entries=`` and ``zoo=``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: called with a line per entry.

    Raises:
        BadSetting: settings that contradict each other, or an entry of other settings has a name that is needed.
        MissingWeights: the trunk's weights are not at hand.
        UnknownName: no such entry, suite or task.
    """
    from bench.foundry.zoos.branching import make_zoo

    return make_zoo(settings, data=data, out=out, device=device, report=progress or (lambda text: None))


RECIPE = Recipe(version=1, settings=ZooSettings, run=run)
