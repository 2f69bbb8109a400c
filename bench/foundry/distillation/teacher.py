"""Teachers: an entry tuned on a task by the fine-tuning arm, or the kept weights of a record."""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bench.core import Record, sha256_of
from bench.core.errors import BadSetting, Incompatible, MissingWeights
from bench.finetuning.arm import Arm
from bench.finetuning.loop import restore, trained_names
from bench.finetuning.rate_search import search_rates
from bench.finetuning.refusals import refusal
from bench.finetuning.settings import ArmSettings, arms
from bench.finetuning.task_model import TaskModel
from bench.foundry.contract.resolved import Parent, parent_of
from bench.foundry.contract.workbench import RecipeWorkbench, TaskData
from bench.foundry.distillation.settings import DistillSettings
from bench.input.content import Contents, hash_of
from bench.input.recipe import match
from bench.metrics import METRICS
from bench.store import FeatureCache, default_cache, discard, read_record, write_atomic
from bench.store.tensors import tensors_fault, with_checksum

Report = Callable[[str], None]
RECORD = ".json"


class Facts(TypedDict):
    """What is kept with the weights of a tuned teacher."""

    validation: float
    teacher_seconds: float
    teacher_steps: int
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A network that was tuned on the task, frozen.

    Attributes:
        parent: its entry.
        arm: its settings and samples.
        model: the task model, in evaluation mode.
        validation: its headline metric on validation.
        cost: what its training took, ``teacher_seconds`` and ``teacher_steps``; empty for a record.
        notes: on its training.
    """

    parent: Parent
    arm: Arm
    model: TaskModel
    validation: float
    cost: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The hash of its weights."""
        return state_hash(self.model)


def state_hash(module: nn.Module) -> str:
    """Return the SHA-256 of the names, types, shapes and values of a module's parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def recorded(word: str) -> Record | None:
    """Return the record that a teacher is named by, None where the word is an entry's name.

    Raises:
        Damaged: the file is no record.
        BadSetting: the record is not of a fine-tuned network.
    """
    path = Path(word)
    if path.suffix != RECORD:
        return None
    record = read_record(path)
    if record.key.protocol != "finetune" or record.status != "ok":
        raise BadSetting(
            f"teacher={word} is a record of {record.key.protocol} with status {record.status}; give one of a "
            "fine-tuned run (protocols=finetune finetune.tuning=full finetune.keep=true), or an entry's name"
        )
    return record


def teacher_parent(settings: DistillSettings, record: Record | None) -> Parent:
    """Return the entry of a teacher."""
    name = record.key.model if record else settings.teacher[0]
    return parent_of(name, weights=settings.weights, entries=settings.entries)


def arm_for(parent: Parent, data: TaskData, settings: ArmSettings, *, folder: Path, seed: int, device: str) -> Arm:
    """Return the arm that tunes an entry's network on a task.

    Raises:
        BadSetting: the settings stand for several arms, or leave the network as it is.
        Incompatible: the entry and the task do not fit together.
    """
    (training, *others) = arms(settings, data.task)
    if others:
        raise BadSetting("tuned= stands for several arms; give one decoder, one tuning and one choice of taps")
    if training.tuning[0] == "frozen":
        raise BadSetting("a frozen network with a trained head is too weak a teacher: use tuned.tuning=full or lora")
    if reason := refusal(parent.entry, data.task, training):
        raise Incompatible(reason)
    bands = match(parent.entry, data.suite, data.task, data.bands).bands
    whole = parent.network(bands)
    workbench = RecipeWorkbench(
        entry=parent.entry,
        data=data,
        network=lambda scratch: parent.network(bands, seed=seed, random=True) if scratch else copy.deepcopy(whole),
        folder=folder,
        cache=FeatureCache(default_cache()),
        device=device,
    )
    return Arm(data.task, workbench, settings=training, seed=seed, device=device)


def tuned_teacher(parent: Parent, data: TaskData, settings: DistillSettings, device: str, report: Report) -> Teacher:
    """Return an entry tuned on the task; its weights are kept in the cache and not trained again.

    Raises:
        BadSetting, Incompatible: see `arm_for`; or training diverges.
    """
    with tempfile.TemporaryDirectory() as folder:
        arm = arm_for(parent, data, settings.tuned, folder=Path(folder), seed=settings.teacher_seed, device=device)
        path = default_cache() / "tuned" / f"teacher_{_key(parent, data, arm, device)}.safetensors"
        kept = _kept(path)
        if kept is None:
            chosen = search_rates(arm)
            facts: Facts = {
                "validation": METRICS[arm.task.metric].sign * chosen.trained.score,
                "teacher_seconds": round(chosen.trained.seconds, 1),
                "teacher_steps": chosen.trained.history[-1][0],
                "notes": chosen.notes,
            }
            state = dict(chosen.trained.state)
            write_atomic(path, with_checksum(save(state, {"facts": json.dumps(facts)})))
            kept = state, facts
        else:
            report(f"teacher: tuned before, taken from {path}")
    state, facts = kept
    teacher = Teacher(
        parent=parent,
        arm=arm,
        model=_frozen(arm, state),
        validation=facts["validation"],
        cost={"teacher_seconds": facts["teacher_seconds"], "teacher_steps": float(facts["teacher_steps"])},
        notes=tuple(f"teacher: {note}" for note in facts["notes"]),
    )
    report(f"teacher {parent.entry.name}: validation {arm.task.metric} {teacher.validation:.4f}")
    return teacher


def recorded_teacher(record: Record, parent: Parent, data: TaskData, device: str) -> Teacher:
    """Return the fine-tuned network of a record whose weights were kept.

    Raises:
        Incompatible: it predicts another task.
        MissingWeights: its weights are not in the cache, or damaged.
    """
    key = record.key
    if (key.suite, key.task) != (data.suite.name, data.task.name):
        raise Incompatible(
            f"the teacher predicts {key.suite} {key.task}, the student is to learn {data.suite.name} {data.task.name}: "
            "their outputs do not fit; name a record of the same task, or an entry to be tuned on it"
        )
    path = default_cache() / "tuned" / f"{record.digest}.safetensors"
    if not path.is_file():
        raise MissingWeights(f"the weights of record {record.digest} were not kept: run it with finetune.keep=true")
    if fault := tensors_fault(path):
        raise MissingWeights(f"{fault}; run record {record.digest} again with finetune.keep=true")
    learned = replace(data, labels=key.fraction, subset=key.subset)
    settings = ArmSettings.model_validate(dict(key.settings))
    with tempfile.TemporaryDirectory() as folder:
        arm = arm_for(parent, learned, settings, folder=Path(folder), seed=key.seed, device=device)
    choice = next(iter(record.choices.values()), {})
    return Teacher(
        parent=parent,
        arm=arm,
        model=_frozen(arm, load_file(path)),
        validation=float(choice.get("val", float("nan"))),
        cost={},
        notes=(f"teacher: record {record.digest}",),
    )


def _frozen(arm: Arm, state: Mapping[str, Tensor]) -> TaskModel:
    """Return the arm's task model with a trained state, in evaluation mode and without gradients."""
    model = arm.build()
    if missing := (trained_names(model) & set(model.state_dict())) - set(state):
        raise MissingWeights(f"the kept weights of {arm.workbench.entry.name} lack {sorted(missing)[0]}; tune it again")
    restore(model, state)
    model.eval().requires_grad_(False)
    return model


def _kept(path: Path) -> tuple[dict[str, Tensor], Facts] | None:
    """Return the state and the facts of a teacher that was tuned before; a damaged file is removed."""
    if not path.is_file():
        return None
    if tensors_fault(path):
        discard(path)
        return None
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    return load_file(path), facts


def _key(parent: Parent, data: TaskData, arm: Arm, device: str) -> str:
    """Return the digest of everything that the weights of a tuned teacher follow from."""
    contents = Contents(data=data.splits, cache=FeatureCache(default_cache()))
    reads = arm.workbench.recipe.reads
    facts = {
        "model": [parent.entry.name, parent.entry.version],
        "network": state_hash(_module(arm)),
        "recipe": arm.workbench.recipe.facts(),
        "suite": [data.suite.name, data.suite.version, data.task.name, data.labels, data.subset],
        "ids": [sha256_of(examples.ids) for examples in (arm.train, arm.val)],
        "images": [contents.images(data.task, split, reads) for split in ("train", "val")],
        "targets": [
            sha256_of([hash_of(target) for target in examples.targets(range(len(examples)))])
            for examples in (arm.train, arm.val)
        ],
        "settings": arm.settings.model_dump(mode="json"),
        "seed": arm.seed,
        "device": device.partition(":")[0],
    }
    return sha256_of(facts)[:20]


def _module(arm: Arm) -> nn.Module:
    backbone = arm.workbench.shared_backbone()
    assert isinstance(backbone, nn.Module)
    return backbone
