"""What fine-tuning changes, block by block and part by part, beside the controls that say what of it means anything.

Kept are the activations of a fixed set of images before and after (total drift), what each tuned part answers to the
input its pretrained self gets (local drift), how far weights moved, and what the score loses where one type of part is
put back. Controls: tuning on shuffled labels under the same budget; a random step of equal relative size in every part;
the other seeds of the same run. Similarities are computed from the stored arrays, by the report.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, field_validator

from bench.core import ModelEntry, Outcome, Suite, Task
from bench.core.errors import Incompatible
from bench.finetuning.arm import Arm, scores
from bench.finetuning.settings import ArmSettings, arms, probe_moved
from bench.input.recipe import InputRecipe
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol

if TYPE_CHECKING:
    from torch import nn

    from bench.input.batches import ImageExamples

PARTS = ("norm1", "qkv", "q", "k", "v", "proj", "norm2", "fc1", "fc2", "fc3")


class Settings(ArmSettings):
    """Settings of the drift study; those of training are `bench.finetuning.settings.ArmSettings`.

    Attributes:
        samples: most images whose activations are kept, the same for all models.
        split: which split they are of.
        controls: ``shuffled`` labels, equal relative ``step``.
        rewind: put each type of part back, one at a time, and score again.
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


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why the drift of this entry cannot be studied, or ``""``."""
    if entry.vectors or entry.origin == "baseline":
        return f"{entry.name} has no parameters to tune"
    if settings.tuning[0] in ("frozen", "lora", "scratch"):
        return (
            f"tuning={settings.tuning[0]} has no weights before and after to compare; use full, or one type of module"
        )
    known = ", ".join(suite.splits)
    return "" if settings.split in suite.splits else f"{suite.name} has no split {settings.split}; known: {known}"


def run(context: Context) -> Outcome:
    """Return activations before and after tuning, with controls.

    Arrays: ``ids`` (n,), ``blocks`` (n,); for each layer and each ``block.part`` (n, at most n), less their mean and
    rotated (`bench.features.activations.relative`), under ``before/`` and ``after/``, and for parts ``local/``; of the
    controls ``shuffled/``, ``shuffled_local/`` and ``step_local/``. Curves: a row a part with its weights' change.
    Scores of each test split: ``tuned``, ``rewound <part>``, ``rewound all``.
    """
    import torch

    from bench.features.activations import activations, parts_of, relative
    from bench.finetuning.weight_change import stepped, weight_change

    network, settings = context.network, context.settings
    assert network is not None
    start = time.perf_counter()
    arm = Arm(context.task, network, settings=settings, seed=context.seed, device=context.device)
    chosen = arm.best()
    assembly = arm.assemble()
    assembly.load_state_dict(chosen.trained.state, strict=False)
    before: Any = network.load(False).to(context.device)  # type: ignore[attr-defined]
    tuned: Any = assembly.backbone
    parts = {name: path for name, path in parts_of(before, ["*"]).items() if name.rpartition(".")[2] in PARTS}
    if not parts:
        raise Incompatible(f"{network.entry.name} names no sub-modules in its blocks; its drift cannot be told apart")
    examples = network.images(settings.split, (), settings.samples)
    recipe, batch = network.recipe, settings.batch
    kept = {
        f"before/{name}": rows
        for name, rows in activations(before, examples, recipe, parts, batch=batch, other=tuned).items()
    }
    kept |= {f"after/{name}": rows for name, rows in activations(tuned, examples, recipe, parts, batch=batch).items()}
    rows = weight_change(before, tuned, parts)
    notes = list(chosen.notes)
    if "shuffled" in settings.controls:
        other = _shuffled(arm, chosen.rate)
        answers = activations(before, examples, recipe, parts, batch=batch, other=other)
        kept |= {f"shuffled_{name}": one for name, one in answers.items() if name.startswith("local/")}
        kept |= {f"shuffled/{n}": one for n, one in activations(other, examples, recipe, parts, batch=batch).items()}  # type: ignore[arg-type]
        for row, same in zip(rows, weight_change(before, other, parts), strict=True):
            row["shuffled_relative_change"] = same["relative_change"]
    if "step" in settings.controls:
        size = float(np.median([float(row["relative_change"]) for row in rows]))
        moved = copy.deepcopy(before)
        stepped(moved, parts, size, torch.Generator().manual_seed(context.seed))
        answers = activations(before, examples, recipe, parts, batch=batch, other=moved)
        kept |= {f"step_{name}": one for name, one in answers.items() if name.startswith("local/")}
        notes.append(f"random step of {size:.3g} of each parameter's norm, the median change of tuning")
    found = _scores(context, arm, assembly, before, parts if settings.rewind else {})
    arrays = {_named(name): relative(values) for name, values in kept.items()}
    arrays |= {"ids": np.array(examples.ids), "blocks": np.array(examples.blocks)}
    choice = {"setting": chosen.rate, "val": chosen.trained.score, "step": chosen.trained.step}
    cost = arm.cost(assembly, chosen.trained) | {"fit_seconds": time.perf_counter() - start}
    return Outcome(
        scores=found,
        choices={"tuned": choice},
        curves=[dict(row) for row in rows],
        arrays=arrays,
        notes=tuple(dict.fromkeys(notes)),
        cost=cost,
    )


def _named(name: str) -> str:
    """Return ``local/x`` for ``before/local/x``: what a tuned part answers to its pretrained self's input."""
    return name.removeprefix("before/") if name.startswith("before/local/") else name


def _shuffled(arm: Arm, rate: float) -> nn.Module:
    """Return the backbone tuned in the same way on the same images with each other's labels."""
    order = np.random.default_rng((arm.seed, 3)).permutation(len(arm.train))
    given: Any = _permuted(arm.train, order)  # type: ignore[arg-type]
    _, assembly = arm.fit(len(arm.settings.learning_rates), rate, given)
    assert assembly.backbone is not None
    return assembly.backbone


def _permuted(examples: ImageExamples, order: np.ndarray) -> ImageExamples:
    """Return the same images with the targets of others."""
    real = examples.sample
    partner = {
        int(place): int(examples.positions[other]) for place, other in zip(examples.positions, order, strict=True)
    }
    return replace(examples, sample=lambda row: real(row)._replace(target=real(partner[row]).target))


def _scores(
    context: Context, arm: Arm, assembly: Any, before: nn.Module, parts: Mapping[str, str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the scores of the tuned network, and with one type of part, or all, put back to what it was."""
    from bench.finetuning.weight_change import put_back, rewind

    types: dict[str, dict[str, str]] = {}
    for name, path in parts.items():
        types.setdefault(name.rpartition(".")[2], {})[name] = path
    found: dict[str, dict[str, dict[str, float]]] = {}
    for split in context.tests:
        examples = arm.samples(split)
        found[split] = {"tuned": scores(context.task, arm.outcome(assembly, examples))}
        for part, paths in [*types.items(), ("all", dict(parts))] if parts else []:
            kept = rewind(assembly.backbone, before, paths)
            found[split][f"rewound {part}"] = scores(context.task, arm.outcome(assembly, examples))
            put_back(assembly.backbone, kept)
    return found


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
    runs_network=True,
    on_board=False,
    seeds=(0, 1, 2),
)
