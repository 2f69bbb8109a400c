"""Generate weights: codes drawn from what a lineage's members have in common, decoded, and ranked on validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.foundry.contract.recipe import Recipe
from bench.foundry.generation.settings import GenerateSettings


def run(
    settings: GenerateSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Generate candidates and return the path of the best one's weights, ``<out>/<name>_0/model.safetensors``.

    The test split is never opened.

    Args:
        settings: see `GenerateSettings`.
        data: folder with the suites' data.
        out: folder of entries, to be given as ``entries=``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: called with a line per step.

    Raises:
        BadSetting: settings that contradict each other, or an unknown class.
        Incompatible: too few sound members, or a prompt of another architecture.
        UnknownName: no such entry, suite, task or generator.
    """
    from bench.foundry.generation.carry_out import generate_entries

    return generate_entries(settings, data=data, out=out, device=device, report=progress or (lambda text: None))


RECIPE = Recipe(version=1, settings=GenerateSettings, run=run)
