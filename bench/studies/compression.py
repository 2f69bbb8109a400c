"""What does each way of making a smaller network buy, next to its controls? Arm x budget x seed.

Published compression results rarely show the student from the same pretrained init on the task loss alone, the small
pretrained network, or the same budget of steps for all. Here every arm gets the same optimiser steps, the teacher is
fine-tuned under a budget of its own, and the report states a verdict with its paired interval per claim.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.compression.arms import ARMS, cost_text
from bench.compression.settings import CompressSettings
from bench.config import RunConfig, Study, validate
from bench.core.errors import BadSetting

OWN = ("arms", "budgets", "steps", "teacher_steps", "learning_rates", "student")
"""Words of the study that are settings of the protocol ``compress``."""
FEWEST_SEEDS = 3


def read(words: Sequence[str]) -> list[str]:
    """Return the words of the study as words of a run: ``teacher=`` and ``small=`` are models, ``budgets=`` a setting.

    Raises:
        BadSetting: ``teacher=`` and ``models=`` are both given.
    """
    names: list[str] = []
    small: list[str] = []
    rest: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if key == "teacher" and equals:
            names += _listed(value)
        elif key == "small" and equals:
            small += _listed(value)
        elif key == "task" and equals:
            rest.append(f"tasks={value}")
        elif key in OWN and equals:
            rest.append(f"compress.{key}={value}")
        else:
            rest.append(word)
    if names and any(word.startswith("models=") for word in words):
        raise BadSetting("study=compression: teacher= names the model; leave models= out")
    if small and not names:
        raise BadSetting("study=compression: small= needs teacher=NAME")
    if names:
        rest.append(f"models=[{','.join([*names, *small])}]")
    if small:
        rest.append(f"compress.small=[{','.join(small)}]")
    return rest


def _listed(value: str) -> list[str]:
    return [name.strip() for name in value.strip("[]").split(",") if name.strip()]


def notes(config: RunConfig) -> list[str]:
    """Return the arms with their budgets of steps, and a warning where there are too few seeds for a verdict.

    Raises:
        BadSetting: no teacher is named.
    """
    if config.models == ("all",):
        raise BadSetting("study=compression needs teacher=NAME; geobench-list models shows the entries")
    settings = validate(CompressSettings, config.settings.get("compress", {}), where=" of protocol compress")
    chosen = [name for name in settings.arms if settings.small or ARMS[name].making != "small"]
    lines = cost_text(chosen, settings.steps, settings.steps_of_teacher, settings.batch)
    shares = ", ".join(f"{budget:g}" for budget in settings.budgets)
    lines.append(f"budgets: {shares} of the teacher's multiply-adds (of its weights where single weights are removed)")
    if not settings.small:
        lines.append("no small network: give small=NAME for the arms small_scratch and small_pretrained")
    if 0 < len(config.seeds) < FEWEST_SEEDS:
        count = f"{len(config.seeds)} seed" + ("s" if len(config.seeds) > 1 else "")
        lines.append(f"warning: {count}: no claim can be tested; a verdict needs {FEWEST_SEEDS}, seeds=[0,1,2]")
    return lines


STUDY = Study(
    words={"protocols": ["compress"], "seeds": [0, 1, 2]},
    demo={
        "models": ["tiny_mae", "tiny_croma"],
        "tasks": ["landcover"],
        "protocols": ["compress"],
        "seeds": [0, 1, 2],
        "compress": {
            "small": ["tiny_croma"],
            "steps": 60,
            "batch": 8,
            "evaluations": 2,
            "learning_rates": [3e-3],
            "images": 64,
        },
    },
    read=read,
    notes=notes,
)
