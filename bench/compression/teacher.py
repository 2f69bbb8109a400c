"""The fine-tuned teacher of a run: trained once per seed, kept in the cache, and shared by all arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors import safe_open
from safetensors.torch import save

from bench.compression.settings import CompressSettings
from bench.core import Task
from bench.finetuning.arm import Arm
from bench.finetuning.loop import restore
from bench.finetuning.rate_search import search_rates
from bench.finetuning.settings import ArmSettings
from bench.finetuning.task_model import TaskModel
from bench.finetuning.workbench import Workbench
from bench.store import write_atomic
from bench.store.tensors import tensors_fault, with_checksum


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A network fine-tuned on the task.

    Attributes:
        arm: that trained it.
        task_model: backbone and head in their best state on validation, in evaluation mode.
        score: on validation, higher is better.
        rate, step: learning rate and step that validation chose.
        seconds: of its training steps.
        notes: on its samples and rates.
        histories: of every rate; empty where the teacher was read from the cache.
    """

    arm: Arm
    task_model: TaskModel
    score: float
    rate: float
    step: int
    seconds: float
    notes: tuple[str, ...]


def training_settings(settings: CompressSettings, **changes: object) -> ArmSettings:
    """Return the settings of one training, without those of the study."""
    fields = {name: getattr(settings, name) for name in ArmSettings.model_fields}
    return ArmSettings.model_validate(fields | changes)


def fine_tuned(workbench: Workbench, settings: CompressSettings, *, task: Task, seed: int, device: str) -> Teacher:
    """Return the teacher: from the cache if it was trained before with the same settings, data and seed.

    Raises:
        Incompatible: training diverges at every rate.
    """
    training = training_settings(settings, steps=settings.steps_of_teacher)
    arm = Arm(task, workbench, settings=training, seed=seed, device=device)
    task_model = arm.build()
    path = workbench.shared_file({"teacher": training.model_dump(mode="json"), "torch": torch.__version__})
    if not path.is_file() or tensors_fault(path):
        chosen = search_rates(arm)
        facts = {
            "score": repr(chosen.trained.score),
            "rate": repr(chosen.rate),
            "step": repr(chosen.trained.step),
            "seconds": repr(chosen.trained.seconds),
            "notes": "\n".join(dict.fromkeys(chosen.notes)),
        }
        state = {name: value.contiguous() for name, value in chosen.trained.state.items()}
        write_atomic(path, with_checksum(save(state, metadata=facts)))
    with safe_open(path, framework="pt") as file:
        stored: Mapping[str, str] = file.metadata()
        restore(task_model, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 no mapping
    task_model.eval().requires_grad_(False)
    return Teacher(
        arm=arm,
        task_model=task_model,
        score=float(stored["score"]),
        rate=float(stored["rate"]),
        step=int(stored["step"]),
        seconds=float(stored["seconds"]),
        notes=tuple(filter(None, stored["notes"].split("\n"))),
    )
