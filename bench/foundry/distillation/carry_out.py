"""Distillation on a task carried out: teacher, student, training, scores and the entry that is left."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import save

from bench.catalogue.cards import NAME
from bench.catalogue.suites import load as load_suite
from bench.catalogue.suites import select_bands
from bench.core import Record
from bench.core.errors import BadSetting, Incompatible
from bench.finetuning.arm import Arm
from bench.finetuning.evaluation import evaluate, scores
from bench.finetuning.loop import restore
from bench.finetuning.rate_search import ChosenRate, search_rates
from bench.finetuning.refusals import refusal
from bench.finetuning.settings import arms
from bench.finetuning.task_model import TaskModel
from bench.foundry.contract.workbench import RecipeWorkbench, TaskData, open_task
from bench.foundry.distillation.objective import Distillation, matched_layers
from bench.foundry.distillation.outputs import TeacherOutputs, outputs_of, without_labels
from bench.foundry.distillation.settings import DistillSettings
from bench.foundry.distillation.students import Student, student_of, write_student
from bench.foundry.distillation.teacher import (
    Teacher,
    recorded,
    recorded_teacher,
    teacher_parent,
    tuned_teacher,
)
from bench.input.batches import ImageExamples
from bench.input.recipe import match
from bench.input.splits import Splits
from bench.metrics import METRICS
from bench.networks.reshaped import ShortenedBackbone
from bench.networks.tapped import tapped
from bench.store import FeatureCache, default_cache, write_atomic
from bench.store.tensors import with_checksum

Report = Callable[[str], None]
HEAD = "head.safetensors"
REST = "rest"
NONE_LEFT = "unlabelled=rest: all training images are labelled; give labels= below 1, or a suite"
REMEDY = "lower training.learning_rates, or strength=, feature_weight= and relations="


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Unlabelled images, as the student and as the teacher read them."""

    student: ImageExamples
    outputs: TeacherOutputs


def distil_on_task(settings: DistillSettings, *, data: Path, out: Path, device: str, report: Report) -> Path:
    """Distil a student on a task and return the path of the new entry's weights; see `bench.foundry.distill.run`."""
    started = time.perf_counter()
    record = _checked(settings)
    parent = teacher_parent(settings, record)
    student = student_of(settings.student, parent, weights=settings.weights, entries=settings.entries)
    name = settings.name or f"{parent.entry.name}.{student.label}.distilled"
    if not NAME.fullmatch(name):
        raise BadSetting(f"{name!r} cannot name an entry; give name=")
    task_data = open_task(settings.suite, settings.task, settings.bands, data, settings.labels)
    teacher = (
        recorded_teacher(record, parent, task_data, device)
        if record
        else tuned_teacher(parent, task_data, settings, device, report)
    )
    with tempfile.TemporaryDirectory() as folder:
        arm = student_arm(student, task_data, settings, teacher, folder=Path(folder), device=device)
        addition = objective(arm, student, teacher, settings, data)
        try:
            chosen = search_rates(arm, addition)
        except Incompatible as error:
            raise Incompatible(f"{error}; {REMEDY}") from error
        finally:
            for outputs in addition.outputs.values():
                outputs.close()
        model = arm.build()
        restore(model, chosen.trained.state)
    for note in chosen.notes:
        report(note)
    scored = _scores(arm, model, teacher, chosen)
    report(", ".join(f"{split} {arm.task.metric} {value:.4f}" for split, value in scored.items()))
    write_head(out / name, arm, model)
    backbone = tapped(model.backbone)
    backbone.cpu().eval().requires_grad_(False)
    return write_student(
        student,
        backbone,
        bands=arm.workbench.recipe.bands,
        out=out,
        name=name,
        parents=[student.parent] if student.parent is parent else [student.parent, parent],
        settings=settings.model_dump(mode="json"),
        seed=settings.seed,
        seen=[task_data.suite.dataset, *(outputs.dataset for outputs in addition.outputs.values())],
        facts=_facts(arm, task_data, addition, teacher),
        cost={
            "seconds": round(time.perf_counter() - started, 1),
            "student_seconds": round(chosen.trained.seconds, 1),
            "student_steps": float(chosen.trained.history[-1][0]),
            "teacher_images": float(sum(outputs.images for outputs in addition.outputs.values())),
            "teacher_parameters": float(parent.entry.parameters),
            **teacher.cost,
        },
        scores=scored,
        notes=[*teacher.notes, *chosen.notes],
    )


def _checked(settings: DistillSettings) -> Record | None:
    """Return the record that is the teacher, if one is, once the settings agree with each other."""
    if len(settings.teacher) != 1:
        raise BadSetting("method=task learns from one teacher; name one, or use method=features")
    if settings.training.tuning[0] not in ("full", "head-then-full", "scratch"):
        raise BadSetting(f"training.tuning={settings.training.tuning[0]}: the student is trained as a whole; use full")
    if settings.training.augment not in (("views",), ("none",)):
        raise BadSetting(
            f"training.augment={','.join(settings.training.augment)}: the teacher's outputs belong to deterministic "
            "views of an image; use views or none"
        )
    if settings.unlabelled == REST and settings.labels == 1:
        raise BadSetting(NONE_LEFT)
    if settings.start == "teacher" and settings.tuned.tuning[0] not in ("full", "head-then-full"):
        raise BadSetting(f"start=teacher with tuned.tuning={settings.tuned.tuning[0]}: only full leaves plain weights")
    if settings.start == "teacher" and ":" not in settings.student:
        raise BadSetting(f"start=teacher: {settings.student} is another network; use it with first:N or every:K")
    return recorded(settings.teacher[0])


def student_arm(
    student: Student, data: TaskData, settings: DistillSettings, teacher: Teacher | None, *, folder: Path, device: str
) -> Arm:
    """Return the arm that trains a student on a task.

    Args:
        student: the student.
        data: the task.
        settings: of the recipe.
        teacher: whose tuned blocks it starts from under ``start=teacher``.
        folder: of checkpoints.
        device: torch device.

    Raises:
        BadSetting: the settings stand for several arms.
        Incompatible: student and task do not fit together.
    """
    training = settings.training
    if student.random and training.tuning == ("full",):
        training = training.model_copy(update={"tuning": ("scratch",)})  # one rate for all of a random network
    (training, *others) = arms(training, data.task)  # type: ignore[assignment]
    if others:
        raise BadSetting("training= stands for several arms; give one decoder, one tuning and one choice of taps")
    entry = replace(student.parent.entry, taps=() if student.blocks else student.parent.entry.taps)
    if reason := refusal(entry, data.task, training):
        raise Incompatible(reason)
    bands = match(entry, data.suite, data.task, data.bands).bands
    network = student.network(bands, seed=settings.seed)
    if settings.start == "teacher" and teacher is not None:
        network = ShortenedBackbone(copy.deepcopy(tapped(teacher.model.backbone)).cpu(), student.blocks)
    workbench = RecipeWorkbench(
        entry=entry,
        data=data,
        network=lambda scratch: copy.deepcopy(network),
        folder=folder,
        cache=FeatureCache(default_cache()),
        device=device,
    )
    return Arm(data.task, workbench, settings=training, seed=settings.seed, device=device)


def objective(arm: Arm, student: Student, teacher: Teacher, settings: DistillSettings, data: Path) -> Distillation:
    """Return what distillation adds to a student's training.

    Raises:
        BadSetting: unlabelled images that cannot be, or features of images that are cut into windows.
        Incompatible: start=teacher with another decoder.
    """
    workbench = arm.workbench
    assert isinstance(workbench, RecipeWorkbench) and isinstance(teacher.arm.workbench, RecipeWorkbench)
    assert isinstance(arm.train, ImageExamples)
    wanted = bool(settings.strength or settings.relations or settings.features != "none")
    compares = settings.features != "none" or settings.relations > 0
    if compares and (workbench.recipe.windows or teacher.arm.workbench.recipe.windows):
        raise BadSetting("images are cut into windows here, whose features cannot be aligned: use strength= alone")
    matched = (
        matched_layers(workbench.layers, teacher.arm.workbench.layers, settings.feature_depths)
        if settings.features != "none"
        else []
    )
    layers, vector = [pair.teacher for pair in matched], settings.relations > 0
    sources, pool = dict[str, TeacherOutputs](), None
    if wanted:
        own = teacher.arm.workbench
        sources[""] = outputs_of(teacher, own, arm.train, "train", layers, vector=vector, cache=settings.cache)
        if settings.unlabelled:
            pool = unlabelled_pool(arm, teacher, settings, data, layers, vector=vector)
            sources[pool.student.source] = pool.outputs
    head = None
    if settings.start == "teacher":
        if arm.settings.decoders != teacher.arm.settings.decoders or arm.settings.taps != teacher.arm.settings.taps:
            raise Incompatible("start=teacher takes over the head: give tuned and training the same decoders and taps")
        head = teacher.model.decoder.state_dict()
    scale = (teacher.arm.centre, teacher.arm.spread)
    return Distillation(
        arm, settings, sources, scale=scale, matched=matched, unlabelled=pool.student if pool else None, head=head
    )


def unlabelled_pool(
    arm: Arm, teacher: Teacher, settings: DistillSettings, data: Path, layers: Sequence[int], *, vector: bool
) -> Pool:
    """Return the unlabelled images of the settings.

    Raises:
        BadSetting: ``rest`` where no training image is left.
        Incompatible: a suite whose bands feed other channels of a network.
        UnknownName: no such suite.
    """
    workbench, other = arm.workbench, teacher.arm.workbench
    assert isinstance(workbench, RecipeWorkbench) and isinstance(other, RecipeWorkbench)
    assert isinstance(arm.train, ImageExamples)
    if settings.unlabelled == REST:
        taken = set(arm.train.positions)
        rows = [row for row in range(len(workbench.split("train"))) if row not in taken]
        if not rows:
            raise BadSetting(NONE_LEFT)
    else:
        workbench, other = (_on_suite(each, settings.unlabelled, data) for each in (workbench, other))
        rows = list(range(len(workbench.split("train"))))
    examples = without_labels(workbench, "train", rows, augmentations=arm.augmentations, source=settings.unlabelled)
    outputs = outputs_of(teacher, other, examples, "train", layers, vector=vector, cache=settings.cache)
    return Pool(student=examples, outputs=outputs)


def _on_suite(workbench: RecipeWorkbench, name: str, data: Path) -> RecipeWorkbench:
    """Return a workbench that reads the images of another suite for the same network."""
    name, _, task_name = name.partition(":")
    suite = load_suite(name)
    task = replace(workbench.data.task, name=task_name or suite.tasks[0].name)
    facts = TaskData(suite=suite, task=task, splits=Splits(suite=suite, root=data), bands=select_bands(suite, ()))
    moved = replace(workbench, data=facts, _rows={})
    if [band.name for band in moved.recipe.bands] != [band.name for band in workbench.recipe.bands]:
        raise Incompatible(
            f"unlabelled={name} gives {workbench.entry.name} other bands than {workbench.data.suite.name}: "
            "choose bands that both have with bands="
        )
    return moved


def _scores(arm: Arm, model: TaskModel, teacher: Teacher, chosen: ChosenRate) -> dict[str, float]:
    """Return the headline metric of student and teacher; test is read only here, once everything is chosen."""
    metric = arm.task.metric
    return {
        "val": METRICS[metric].sign * chosen.trained.score,
        "teacher_val": teacher.validation,
        "test": scores(arm.task, evaluate(arm, model, arm.samples("test")))[metric],
        "teacher_test": scores(arm.task, evaluate(teacher.arm, teacher.model, teacher.arm.samples("test")))[metric],
    }


def write_head(folder: Path, arm: Arm, model: TaskModel) -> None:
    """Write decoder and folds of a trained task model next to the entry's weights, with a checksum."""
    parts = {"decoder": model.decoder, "folds": model.folds}
    state = {
        f"{part}.{name}": value.detach().cpu().contiguous()
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    state |= {"centre": arm.centre, "spread": arm.spread}
    write_atomic(folder / HEAD, with_checksum(save(state)))


def _facts(arm: Arm, data: TaskData, addition: Distillation, teacher: Teacher) -> dict[str, object]:
    counts = {source or "labelled": len(outputs.examples) for source, outputs in addition.outputs.items()}
    return {
        "suite": data.suite.name,
        "version": data.suite.version,
        "task": data.task.name,
        "metric": data.task.metric,
        "labels": data.labels,
        "generated": data.suite.generated,
        "images": counts or {"labelled": len(arm.train)},
        "teacher": teacher.digest,
        "head": HEAD,
        "arm": arm.settings.model_dump(mode="json"),
    }
