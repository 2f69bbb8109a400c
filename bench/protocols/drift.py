"""Drift under fine-tuning, by block and sub-module, with the controls needed to interpret it.

Stored are the activations of a fixed set of images before and after tuning (total drift), the output of each tuned part
for the input of its pretrained copy (local drift), the change of the weights, and the score with one type of part set
back to its pretrained weights. Controls: tuning on shuffled labels under the same budget; a random step of equal
relative size in every part; the other seeds of the same run. The report computes similarities from the stored arrays.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, field_validator

from bench.core import BLOCK_PARTS, ModelEntry, Outcome, Suite, Task
from bench.core.errors import Incompatible
from bench.features.work import Job, Work
from bench.finetuning.arm import Arm
from bench.finetuning.evaluation import evaluate, scores
from bench.finetuning.refusals import refusal
from bench.finetuning.settings import ArmSettings, arms, probe_moved
from bench.finetuning.work import training_work
from bench.input.recipe import InputRecipe
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol

if TYPE_CHECKING:
    from torch import nn

    from bench.input.batches import ImageExamples

SHUFFLE_STREAM = 3
"""Second word of the seed of the order of shuffled labels; see `bench.finetuning.fit` for the others."""


class Settings(ArmSettings):
    """Settings of the drift study; those of training are `bench.finetuning.settings.ArmSettings`.

    Attributes:
        samples: most images whose activations are stored, the same for all models.
        split: which split they are of.
        controls: ``shuffled`` labels, equal relative ``step``.
        rewind: set each type of part back, one at a time, and score again.
    """

    tuning: tuple[str, ...] = ("full",)
    samples: int = Field(512, ge=8)
    split: str = "val"
    controls: tuple[str, ...] = ("shuffled", "step")
    rewind: bool = True

    @field_validator("controls")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in ("shuffled", "step"):
                raise ValueError(f"no control {name!r}; known: shuffled, step")
        return value


def work(job: Job, settings: Settings) -> Work:
    """Return what a run does: the arm's trainings, those of its controls, and the scores with parts set back."""
    rates = len(settings.learning_rates)
    trained = training_work(job, settings, trainings=rates + ("shuffled" in settings.controls))
    images = min(settings.samples, job.images[settings.split])
    compared = images * (4 + 2 * len(settings.controls))
    rewound = job.tested * (len(BLOCK_PARTS) + 1) if settings.rewind else 0
    return replace(trained, forwards=trained.forwards + compared + rewound)


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why the drift of this entry cannot be studied, or ``""``."""
    if reason := refusal(entry, task, settings):
        return reason
    if entry.origin == "baseline":
        return f"{entry.name} has no parameters to tune"
    if settings.tuning[0] in ("frozen", "lora", "scratch"):
        return (
            f"tuning={settings.tuning[0]} has no weights before and after to compare; use full, or one type of module"
        )
    known = ", ".join(suite.splits)
    return "" if settings.split in suite.splits else f"{suite.name} has no split {settings.split}; known: {known}"


def run(context: Context) -> Outcome:
    """Return activations before and after tuning, with controls.

    Arrays: ``ids`` (n,), ``blocks`` (n,); for each layer and each ``block.part`` (n, at most n), centred and rotated
    (`bench.features.activations.relative`), under ``before/`` and ``after/``, and for parts ``local/``; of the controls
    ``shuffled/``, ``shuffled_local/`` and ``step_local/``. Curves: one row per part with the change of its weights.
    Scores of each test split: ``tuned``, ``rewound <part>``, ``rewound all``.
    """
    from bench.features.activations import activations, parts_of, relative
    from bench.finetuning.cost import cost_of
    from bench.finetuning.rate_search import search_rates
    from bench.finetuning.weight_change import weight_change

    workbench, settings = context.workbench, context.settings
    assert workbench is not None
    arm = Arm(context.task, workbench, settings=settings, seed=context.seed, device=context.device)
    start = time.perf_counter()  # the samples have been opened
    chosen = search_rates(arm)
    task_model = arm.build()
    task_model.load_state_dict(chosen.trained.state, strict=False)
    before: Any = workbench.own_backbone()
    before.to(context.device)
    parts = {name: path for name, path in parts_of(before, ["*"]).items() if name.rpartition(".")[2] in BLOCK_PARTS}
    if not parts:
        raise Incompatible(f"{workbench.entry.name} names no sub-modules in its blocks, so drift has no parts to show")
    examples = workbench.images(settings.split, most=settings.samples)

    def activations_of(network: Any, other: Any = None) -> Mapping[str, np.ndarray]:
        return activations(network, examples, workbench.recipe, parts, batch=settings.batch, other=other)

    tuned: Any = task_model.backbone
    kept = {f"before/{name}": values for name, values in activations_of(before, tuned).items()}
    kept |= {f"after/{name}": values for name, values in activations_of(tuned).items()}
    rows, notes = weight_change(before, tuned, parts), list(chosen.notes)
    if "shuffled" in settings.controls:
        other = _shuffled(arm, chosen.rate)
        kept |= _local("shuffled_", activations_of(before, other))
        kept |= {f"shuffled/{name}": values for name, values in activations_of(other).items()}
        for row, control in zip(rows, weight_change(before, other, parts), strict=True):
            row["shuffled_relative_change"] = control["relative_change"]
    if "step" in settings.controls:
        size = float(np.median([float(row["relative_change"]) for row in rows]))
        kept |= _local("step_", activations_of(before, _stepped(before, parts, size, context.seed)))
        notes.append(f"random step of {size:.3g} of each parameter's norm, the median change of tuning")
    scores_by_split = _scores(context, arm, task_model, before, parts if settings.rewind else {})
    arrays = {_named(name): relative(values) for name, values in kept.items()}
    arrays |= {"ids": np.array(examples.ids), "blocks": np.array(examples.blocks)}
    choice = {"setting": chosen.rate, "val": chosen.trained.score, "step": chosen.trained.step}
    cost = cost_of(task_model, chosen.trained, workbench) | {"fit_seconds": time.perf_counter() - start}
    return Outcome(
        scores=scores_by_split,
        choices={"tuned": choice},
        curves=[dict(row) for row in rows],
        arrays=arrays,
        notes=tuple(dict.fromkeys(notes)),
        cost=cost,
    )


def _local(prefix: str, answers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs of a second network's parts under the name of a control."""
    return {f"{prefix}{name}": values for name, values in answers.items() if name.startswith("local/")}


def _named(name: str) -> str:
    """Return ``local/x`` for ``before/local/x``: the output of a tuned part for the input of its pretrained copy."""
    return name.removeprefix("before/") if name.startswith("before/local/") else name


def _shuffled(arm: Arm, rate: float) -> Any:
    """Return the backbone tuned in the same way on the same images, with each other's labels."""
    from bench.finetuning.fit import fit

    order = np.random.default_rng((arm.seed, SHUFFLE_STREAM)).permutation(len(arm.train))
    examples = _permuted(arm.train, order)  # type: ignore[arg-type]
    return fit(arm, len(arm.settings.learning_rates), rate, examples).task_model.backbone


def _permuted(examples: ImageExamples, order: np.ndarray) -> ImageExamples:
    """Return the same images with the targets of others."""
    real = examples.sample
    partner = {
        int(place): int(examples.positions[other]) for place, other in zip(examples.positions, order, strict=True)
    }
    return replace(examples, sample=lambda row: real(row)._replace(target=real(partner[row]).target))


def _stepped(network: Any, parts: Mapping[str, str], size: float, seed: int) -> Any:
    """Return a copy of a network whose parts have taken a random step of equal relative size."""
    import torch

    from bench.finetuning.weight_change import stepped

    moved = copy.deepcopy(network)
    stepped(moved, parts, size, torch.Generator().manual_seed(seed))
    return moved


def _scores(
    context: Context, arm: Arm, task_model: Any, before: nn.Module, parts: Mapping[str, str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the scores of the tuned network, and with one type of part, or all, set back to its former weights."""
    from bench.finetuning.weight_change import put_back, rewind

    types: dict[str, dict[str, str]] = {}
    for name, path in parts.items():
        types.setdefault(name.rpartition(".")[2], {})[name] = path
    by_split: dict[str, dict[str, dict[str, float]]] = {}
    for split in context.tests:
        examples = arm.samples(split)
        by_split[split] = {"tuned": scores(context.task, evaluate(arm, task_model, examples))}
        for part, paths in [*types.items(), ("all", dict(parts))] if parts else []:
            kept = rewind(task_model.backbone, before, paths)
            by_split[split][f"rewound {part}"] = scores(context.task, evaluate(arm, task_model, examples))
            put_back(task_model.backbone, kept)
    return by_split


def version_of(suite: Suite, task: Task, recipe: InputRecipe, settings: Settings) -> int:
    """Return the version of a run: 3 where its taps follow a probe whose version 3 chooses other layers."""
    return 3 if probe_moved(suite, task, recipe, settings) else 2


PROTOCOL = Protocol(
    version=3,
    version_of=version_of,
    settings=Settings,
    refuses=refuses,
    run=run,
    arms=arms,
    work=work,
    runs_network=True,
    on_board=False,
    seeds=(0, 1, 2),
)
