"""Distillation without a task: a student learns the features of one or several teachers on images without labels."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.catalogue.suites import load as load_suite
from bench.catalogue.suites import select_bands
from bench.core import Task
from bench.core.errors import BadSetting, Incompatible
from bench.features.forward import whole_taps
from bench.finetuning.fit import budget_of, epoch_batches
from bench.finetuning.loop import Diverged, train
from bench.finetuning.trained import Trained
from bench.finetuning.tuning import parameter_groups, tune
from bench.foundry.contract.resolved import Parent, parent_of
from bench.foundry.contract.workbench import RecipeWorkbench, TaskData
from bench.foundry.distillation.outputs import TeacherOutputs, digest_of, without_labels
from bench.foundry.distillation.settings import DistillSettings
from bench.foundry.distillation.students import Student, student_of, write_student
from bench.foundry.distillation.teacher import state_hash
from bench.foundry.distillation.terms import feature_term, relation_term
from bench.input.batches import Batch, ImageExamples
from bench.input.recipe import match
from bench.input.splits import Splits
from bench.input.subsets import first_by_hash
from bench.input.usable import usable
from bench.networks.randomness import seeded_draws
from bench.networks.tapped import TappedNetwork, tapped
from bench.store import FeatureCache, default_cache

Report = Callable[[str], None]
HELD_OUT, MOST_HELD_OUT = 0.1, 256
"""Share and largest number of the images on which the best step is chosen; they are not trained on."""


class FeatureStudent(nn.Module):
    """A student and a projector per teacher, each from the student's last grid to the teacher's channels.

    Args:
        backbone: the student.
        channels: of the teachers' last layers.
        seed: of the projectors.
    """

    def __init__(self, backbone: TappedNetwork, channels: Sequence[int], seed: int) -> None:
        super().__init__()
        self.backbone = backbone
        own = backbone.layers[-1].channels
        with seeded_draws(seed):
            self.projectors = nn.ModuleList(nn.Conv2d(own, other, 1) for other in channels)


class FeatureLearning:
    """The objective of a student that learns features.

    Args:
        settings: of the recipe.
        workbench: of the student.
        outputs: of each teacher, for the images of training and for those held out.
    """

    def __init__(
        self, settings: DistillSettings, workbench: RecipeWorkbench, outputs: Mapping[str, Sequence[TeacherOutputs]]
    ) -> None:
        self.settings, self.workbench, self.outputs = settings, workbench, outputs

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Return the mean over teachers of the distance of projected features, plus that of relations.

        The channels of a teacher are divided by their spread (``mse``), so that teachers of other magnitudes weigh
        alike, as in Theia (Shang et al. 2024, arXiv 2407.20179) and AM-RADIO (Ranzinger et al. 2024, arXiv 2312.06709).
        """
        assert isinstance(module, FeatureStudent) and batch.given is not None
        last = [len(module.backbone.layers) - 1]
        (tap,) = whole_taps(self.workbench.recipe, module.backbone, batch.given, last)
        settings, terms = self.settings, []
        how = "mse" if settings.features == "none" else settings.features
        for project, outputs in zip(module.projectors, self.outputs[batch.source], strict=True):
            given = outputs.read(batch)
            term = settings.feature_weight * feature_term(project(tap.grid.float()), given["feature_0"], how)
            if settings.relations:
                term = term + settings.relations * relation_term(tap.vector, given["vector"])
            terms.append(term)
        return torch.stack(terms).mean()

    def held_out_score(self, module: FeatureStudent, examples: ImageExamples, batch: int) -> float:
        """Return minus the loss on the images held out, each as it is."""
        mode, total, count = module.training, 0.0, len(examples)
        module.eval()
        with torch.no_grad():
            for start in range(0, count, batch):
                rows = range(start, min(start + batch, count))
                for part in examples.read(rows):
                    total += float(self.loss(module, part)) * len(part.rows)
        module.train(mode)
        return -total / count


def distil_features(settings: DistillSettings, *, data: Path, out: Path, device: str, report: Report) -> Path:
    """Distil features without labels and return the path of the new entry's weights.

    Raises:
        BadSetting: settings that mean nothing without a task.
        Incompatible: a teacher cannot read the images, or training diverges.
    """
    started = time.perf_counter()
    _check(settings)
    parents = [parent_of(name, weights=settings.weights, entries=settings.entries) for name in settings.teacher]
    student = student_of(settings.student, parents[0], weights=settings.weights, entries=settings.entries)
    facts = _image_facts(settings, data)
    bands = match(student.parent.entry, facts.suite, facts.task, facts.bands).bands
    network = student.network(bands, seed=settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        workbench = _workbench(student.parent, facts, network, Path(folder), device)
        learned, held = _images(workbench, settings.training.augment)
        report(f"{len(learned)} images to learn from, {len(held)} held out")
        teachers = [_outputs(parent, facts, settings, (learned, held), Path(folder), device) for parent in parents]
        objective = FeatureLearning(
            settings, workbench, {"": [pair[0] for pair in teachers], "held": [pair[1] for pair in teachers]}
        )
        channels = [pair[2] for pair in teachers]
        trained, backbone = _trained(settings, student, workbench, objective, (learned, held), channels, device)
    for outputs in (*objective.outputs[""], *objective.outputs["held"]):
        outputs.close()
    report(f"distance to the teachers' features on images held out: {-trained.score:.4f} at step {trained.step}")
    return write_student(
        student,
        backbone,
        bands=bands,
        out=out,
        name=settings.name or f"{settings.teacher[0]}.{student.label}.features",
        parents=[student.parent, *(parent for parent in parents if parent is not student.parent)],
        settings=settings.model_dump(mode="json"),
        seed=settings.seed,
        seen=[facts.suite.dataset],
        facts=_facts(facts, len(learned), len(held)),
        cost={
            "seconds": round(time.perf_counter() - started, 1),
            "student_seconds": round(trained.seconds, 1),
            "student_steps": float(trained.history[-1][0]),
            "teacher_images": float(sum(outputs.images for pair in teachers for outputs in pair[:2])),
        },
        scores={"held_out_distance": -trained.score},
        notes=trained.notes,
    )


def _image_facts(settings: DistillSettings, data: Path) -> TaskData:
    """Return the images of a suite, opened by the name of a task: the one given, or the suite's first.

    Images are read whole and targets never; the kind stated here decides nothing else.
    """
    suite = load_suite(settings.suite)
    task = Task(name=settings.task or suite.tasks[0].name, kind="classification", metric="accuracy")
    return TaskData(
        suite=suite, task=task, splits=Splits(suite=suite, root=data), bands=select_bands(suite, settings.bands)
    )


def _check(settings: DistillSettings) -> None:
    if not settings.suite:
        raise BadSetting("method=features needs images: give suite=")
    if settings.start == "teacher" or settings.unlabelled or settings.labels < 1:
        raise BadSetting("method=features reads no labels: start=, unlabelled= and labels= belong to method=task")
    if settings.training.augment not in (("views",), ("none",)):
        raise BadSetting("training.augment: stored features belong to deterministic views; use views or none")
    if settings.training.tuning[0] not in ("full", "scratch") or len(settings.training.learning_rates) > 1:
        raise BadSetting("method=features trains the whole student at one rate: one of training.learning_rates")


def _workbench(parent: Parent, data: TaskData, network: TappedNetwork, folder: Path, device: str) -> RecipeWorkbench:
    return RecipeWorkbench(
        entry=parent.entry,
        data=data,
        network=lambda scratch: network,
        folder=folder,
        cache=FeatureCache(default_cache()),
        device=device,
    )


def _images(workbench: RecipeWorkbench, augment: tuple[str, ...]) -> tuple[ImageExamples, ImageExamples]:
    """Return the usable training images in two parts: to learn from, and held out by the hash of their ids."""
    split, reads, data = workbench.split("train"), workbench.recipe.reads, workbench.data
    rows = [row for row in range(len(split)) if usable(data.splits.image(data.task, "train", reads, row), reads)]
    count = min(MOST_HELD_OUT, round(HELD_OUT * len(rows)))
    if count < 1:
        raise BadSetting(f"suite={data.suite.name} has {len(rows)} usable training images: too few to learn features")
    held = [int(row) for row in first_by_hash(split.ids, np.asarray(rows), count)]
    views = ("views",) if augment == ("views",) else ()
    learned = without_labels(workbench, "train", sorted(set(rows) - set(held)), augmentations=views)
    return learned, without_labels(workbench, "train", held, source="held")


def _outputs(
    parent: Parent,
    data: TaskData,
    settings: DistillSettings,
    examples: tuple[ImageExamples, ImageExamples],
    folder: Path,
    device: str,
) -> tuple[TeacherOutputs, TeacherOutputs, int]:
    """Return the features of a frozen teacher for both parts of the images, and its channels."""
    bands = match(parent.entry, data.suite, data.task, data.bands).bands
    network = tapped(parent.network(bands)).to(device)
    workbench = _workbench(parent, data, network, folder, device)
    last = len(network.layers) - 1

    def compute(batch: Batch) -> dict[str, Tensor]:
        assert batch.given is not None
        (tap,) = whole_taps(workbench.recipe, network, batch.given, [last])
        return {"feature_0": tap.grid, "vector": tap.vector}

    facts = {"teacher": state_hash(network), "layers": [last]}
    parts = []
    for part in examples:
        own = without_labels(workbench, "train", part.positions)
        digest = digest_of(workbench, own, "train", dict(facts)) if settings.cache else None
        parts.append(TeacherOutputs(compute, own, digest=digest, device=torch.device(device)))
    return parts[0], parts[1], network.layers[last].channels


def _trained(
    settings: DistillSettings,
    student: Student,
    workbench: RecipeWorkbench,
    objective: FeatureLearning,
    examples: tuple[ImageExamples, ImageExamples],
    channels: Sequence[int],
    device: str,
) -> tuple[Trained, TappedNetwork]:
    """Train a student and its projectors with the loop of fine-tuning; return the student in its best state.

    Raises:
        Incompatible: the loss is not finite.
    """
    training, (learned, held) = settings.training, examples
    backbone = tapped(workbench.own_backbone())
    tune(backbone, "full")
    module = FeatureStudent(backbone, channels, settings.seed).to(device).train()
    random = student.random or training.tuning == ("scratch",)
    groups = parameter_groups(
        backbone,
        [module.projectors],
        rate=training.learning_rates[0],
        backbone_rate=1.0 if random else training.backbone_rate,
        decay=1.0 if random else training.layer_decay,
        weight_decay=training.weight_decay,
    )
    try:
        trained = train(
            module,
            groups,
            budget_of(training, head_first=False),
            batches=epoch_batches(learned, batch=training.batch, seed=settings.seed),
            loss=objective.loss,
            evaluate=lambda: objective.held_out_score(module, held, training.batch),
            micro=training.micro_batch or training.batch,
            seed=settings.seed,
        )
    except Diverged as error:
        raise Incompatible(f"{error}; lower training.learning_rates, feature_weight= or relations=") from error
    backbone.cpu().eval().requires_grad_(False)
    return trained, backbone


def _facts(data: TaskData, learned: int, held: int) -> dict[str, object]:
    return {
        "suite": data.suite.name,
        "version": data.suite.version,
        "task": data.task.name,
        "split": "train",
        "generated": data.suite.generated,
        "images": {"unlabelled": learned, "held_out": held},
    }
