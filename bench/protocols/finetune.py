"""Fine-tuning: decoder x taps x tuning under one budget; rate and checkpoint chosen on validation, test read once.

Every arm gets the same learning rates and steps, whatever it trains. A backbone that stays frozen is not run again: its
features come from the store, unless images are augmented or dates are folded in a way of their own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core import ModelEntry, Outcome, Suite, Task
from bench.finetuning.arm import Arm, decoder_of, scores
from bench.finetuning.settings import ArmSettings, arms, label, probe_moved
from bench.input.augment import names_of
from bench.input.recipe import InputRecipe
from bench.metrics import metric
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol

if TYPE_CHECKING:
    from bench.finetuning.task_model import TaskModel


class Settings(ArmSettings):
    """Settings of fine-tuning; see `bench.finetuning.settings.ArmSettings`."""


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why an arm makes no sense for this entry and task, or ``""``."""
    decoder, tuning, taps = settings.decoders[0], settings.tuning[0], settings.taps[0]
    reader = decoder_of(decoder)
    if task.kind not in reader.kinds:
        return f"decoder {decoder} serves {', '.join(reader.kinds)}, not {task.kind}"
    if entry.vectors:
        return "ready-made embeddings cannot be tuned, and have no layers; probe them"
    if entry.origin == "baseline" and tuning != "frozen":
        return f"{entry.name} has no parameters to tune"
    if taps == "published" and not entry.taps:
        return f"its authors publish no taps for {entry.name}; use quarters"
    if reader.layers_read == 1 and taps in ("quarters", "published"):
        return f"decoder {decoder} reads one layer: taps={taps} would be its last; use last or profile"
    if reader.layers_read == 0 and taps != "last":
        return f"decoder {decoder} reads every layer whatever the taps; use taps=last"
    names_of(task.kind, settings.augment)
    return ""


def run(context: Context) -> Outcome:
    """Return the outcome of one arm: trained at each learning rate, the best on validation scored on test.

    Arrays, with a leading axis of one layer: those of `bench.protocols.probe`; of boxes ``<split>.detected`` and
    ``<split>.truth``, see `bench.metrics.boxes.matched`; ``history`` (rates, evaluations, 3) of step, training loss and
    validation score; ``panel.*`` of some images with predictions.
    """
    import torch

    assert context.network is not None
    start = time.perf_counter()
    settings: Settings = context.settings
    arm = Arm(context.task, context.network, settings=settings, seed=context.seed, device=context.device)
    chosen = arm.best()
    trained = chosen.trained
    assembly = arm.assemble()
    assembly.load_state_dict(trained.state, strict=False)
    if settings.keep:
        context.network.keep({name: v for name, v in trained.state.items() if torch.is_tensor(v)})
    cost = arm.cost(assembly, trained) | {"fit_seconds": time.perf_counter() - start}
    return _report(
        context,
        arm,
        assembly,
        rate=chosen.rate,
        val=trained.score,
        step=trained.step,
        notes=chosen.notes,
        histories=chosen.histories,
        cost=cost,
    )


def _report(
    context: Context,
    arm: Arm,
    assembly: TaskModel,
    *,
    rate: float,
    val: float,
    step: int,
    notes: Sequence[str],
    histories: Sequence[Sequence[tuple[int, float, float]]],
    cost: Mapping[str, float],
) -> Outcome:
    """Return the outcome of the chosen state: only now are the test splits opened."""
    from bench.finetuning.panels import kept_images

    settings, rule = arm.settings, arm.settings.taps[0]
    found: dict[str, dict[str, dict[str, float]]] = {}
    arrays: dict[str, np.ndarray] = {"history": _padded(histories)}
    all_notes = list(notes)
    for name in context.tests:
        examples = arm.samples(name)
        all_notes += examples.notes
        outcome = arm.outcome(assembly, examples)
        found[name] = {rule: scores(context.task, outcome)}
        for what, values in outcome.items():
            if what not in ("chance", "boundary"):
                arrays[f"{name}.{what}"] = values if what in ("target", "truth") else values[None]
        arrays[f"{name}.ids"], arrays[f"{name}.blocks"] = np.array(examples.ids), np.array(examples.blocks)
        if settings.write:
            all_notes += _written(assembly, examples, context, name)
        if name == "test":
            arrays |= kept_images(assembly, examples, outcome, context.task, context.network)
    layers = list(dict.fromkeys(context.network.layers[index].name for index in arm.levels)) if context.network else []
    choice = {
        "index": 0,
        "layer": " ".join(layers),
        "pool": settings.decoders[0],
        "setting": rate,
        "edge": len(settings.learning_rates) > 1 and rate in (settings.learning_rates[0], settings.learning_rates[-1]),
        "val": metric(context.task.metric).sign * val,
        "step": step,
    }
    return Outcome(
        scores=found,
        choices={rule: choice},
        curves=[],
        arrays=arrays,
        notes=tuple(dict.fromkeys(all_notes)),
        cost=dict(cost),
    )


def _written(assembly: TaskModel, examples: Any, context: Context, name: str) -> list[str]:
    """Write the predictions of a split as GeoTIFFs; return why some are not."""
    from bench.finetuning.task_model import predictions

    assert context.network is not None
    if context.task.kind not in ("segmentation", "change", "dense_regression"):
        return [f"write=true: {context.task.kind} has no maps to write"]
    problems = []
    for batch, found in predictions(assembly, examples, context.task, 1):
        for row, one in zip(batch.rows, found, strict=True):
            values = one.cpu().numpy() if one.ndim == 2 else one.argmax(0).cpu().numpy()
            problems.append(context.network.write(name, int(examples.positions[row]), values))
    return sorted({problem for problem in problems if problem})


def _padded(histories: Sequence[Sequence[tuple[int, float, float]]]) -> np.ndarray:
    """Return training histories as one array (rates, evaluations, 3), NaN after an early stop."""
    longest = max((len(one) for one in histories), default=0)
    found = np.full((len(histories), longest, 3), np.nan, np.float32)
    for row, one in zip(found, histories, strict=True):
        row[: len(one)] = np.asarray(one, np.float32).reshape(-1, 3)
    return found


def version_of(suite: Suite, task: Task, recipe: InputRecipe, settings: Settings) -> int:
    """Return the version of a run: 2 where its taps follow a probe whose version 3 chooses other layers."""
    return 2 if probe_moved(suite, task, recipe, settings) else 1


PROTOCOL = Protocol(
    version=2,
    version_of=version_of,
    settings=Settings,
    refuses=refuses,
    run=run,
    arms=arms,
    arm_facts=label,
    runs_network=True,
    seeds=(0, 1, 2),
)
