"""Distillation: a small student learns from a large teacher, and is left as an entry that needs the teacher no more.

Students are the first or every k-th block of the teacher, or any smaller entry, pretrained or from random init
(`bench.foundry.distillation.students`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.core.errors import BadSetting
from bench.foundry.contract.recipe import Recipe
from bench.foundry.distillation.settings import DistillSettings


def run(
    settings: DistillSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Distil a student and return the path of the new entry's weights, ``<out>/<name>/model.safetensors``.

    Args:
        settings: see `DistillSettings`.
        data: folder with the suites' data.
        out: folder of entries, to be given as ``entries=``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: receives one line per step.

    Raises:
        BadSetting: settings that contradict each other, or a student larger than its teacher.
        Incompatible: teacher and student do not fit together or to the task, or training diverges.
        MissingWeights: weights are not at hand.
        UnknownName: no such entry, suite or task.
    """
    report = progress or (lambda text: None)
    if settings.method == "task":
        from bench.foundry.distillation.carry_out import distil_on_task

        return distil_on_task(settings, data=data, out=out, device=device, report=report)
    if settings.method == "features":
        from bench.foundry.distillation.agnostic import distil_features

        return distil_features(settings, data=data, out=out, device=device, report=report)
    from bench.foundry.distillation.students import initial_student

    if len(settings.teacher) != 1:
        raise BadSetting("method=init takes one teacher")
    return initial_student(
        settings.student,
        settings.teacher[0],
        out=out,
        name=settings.name,
        weights=settings.weights,
        entries=settings.entries,
        seed=settings.seed,
    )


RECIPE = Recipe(version=1, settings=DistillSettings, run=run)
