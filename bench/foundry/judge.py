"""Judge generated weights against control arms on a request: one budget, frozen and fine-tuned, a record per run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bench.foundry.contract.recipe import Recipe
from bench.foundry.generation.settings import JudgeSettings


def run(
    settings: JudgeSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
    environment: Mapping[str, object] | None = None,
) -> Path:
    """Make and score the arms and return the folder of the records, ``<out>/generation/<request>``.

    Args:
        settings: see `JudgeSettings`.
        data: folder with the suites' data.
        out: the results folder.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: called with a line per step.
        environment: software and machine, for the records.

    Raises:
        BadSetting: settings that contradict each other, or a request for unknown classes.
        Incompatible: too few sound members.
        UnknownName: no such suite or task.
    """
    from bench.foundry.generation.judgement import judge

    report = progress or (lambda text: None)
    return judge(settings, data=data, out=out, device=device, report=report, environment=environment or {})


RECIPE = Recipe(version=1, settings=JudgeSettings, run=run)
