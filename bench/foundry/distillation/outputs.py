"""Outputs of a teacher for samples in views: computed block by block, kept in the cache, read by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from bench.core import Sample, sha256_of
from bench.core.errors import Incompatible
from bench.finetuning.predictions import outputs
from bench.finetuning.task_model import TaskModel
from bench.foundry.contract.workbench import RecipeWorkbench
from bench.foundry.distillation.teacher import Teacher
from bench.input.batches import Batch, ImageExamples
from bench.input.content import Contents
from bench.input.usable import usable
from bench.store import default_cache
from bench.store.row_arrays import RowArrays

BLOCK = 8  # samples that a teacher sees at a time; fixed, so that values do not depend on who asks for them
VERSION = 1  # raised when the arrays or their order change


class Compute(Protocol):
    """Prepared samples -> arrays (B, ...) by name."""

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Return the arrays of a batch."""
        ...


class TeacherOutputs:
    """What a teacher makes of each sample in each view.

    Args:
        compute: runs the teacher.
        examples: the samples, prepared for the teacher, in the order of the student's.
        digest: of everything that the outputs follow from; None keeps nothing.
        device: where outputs go.
        dataset: that the samples are of, for exposure flags.
    """

    def __init__(
        self, compute: Compute, examples: ImageExamples, *, digest: str | None, device: torch.device, dataset: str = ""
    ) -> None:
        self.compute, self.examples, self.device, self.dataset = compute, examples, device, dataset
        self.store: RowArrays | None = None
        self.images = 0
        if digest is not None:
            folder = default_cache() / "teachers" / digest
            self.store = RowArrays(folder, {"outputs": digest}, rows=len(examples), block=BLOCK)

    def read(self, batch: Batch) -> dict[str, Tensor]:
        """Return arrays (B, ...) by name; NaN where the teacher cannot use the sample.

        Args:
            batch: of the student, whose rows and views are looked up.

        Raises:
            Incompatible: the batch was not read in deterministic views, or outputs differ in shape.
        """
        if batch.views is None:
            raise Incompatible("a teacher's outputs belong to deterministic views: use augment=views or none")
        by_view: dict[int, list[int]] = {}
        for place, view in enumerate(batch.views):
            by_view.setdefault(view, []).append(place)
        parts, order = [], list[int]()
        for view, places in by_view.items():
            parts.append(self._rows(view, [batch.rows[place] for place in places]))
            order += places
        back = torch.tensor(order).argsort()
        joined = {name: torch.cat([part[name] for part in parts])[back] for name in parts[0]}
        return {name: values.to(self.device) for name, values in joined.items()}

    def close(self) -> None:
        """Write down what has been kept."""
        if self.store is not None:
            self.store.flush()

    def _rows(self, view: int, rows: Sequence[int]) -> dict[str, Tensor]:
        if self.store is None:
            return self._computed(view, rows)
        for block in sorted({row // BLOCK for row in rows}):
            if not self.store.has(view, block):
                members = range(block * BLOCK, min((block + 1) * BLOCK, len(self.examples)))
                arrays = {name: values.numpy() for name, values in self._computed(view, members).items()}
                try:
                    self.store.put(view, block, arrays)
                except ValueError as error:
                    raise Incompatible(f"samples differ in size ({error}); give cache=false") from error
        return {name: torch.from_numpy(values) for name, values in self.store.read(view, rows).items()}

    def _computed(self, view: int, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return the outputs of some samples in a view, on the CPU in float32."""
        samples = [self.examples.sample(int(self.examples.positions[row])) for row in rows]
        good = [place for place, sample in enumerate(samples) if usable(sample, self.examples.recipe.reads)]
        if not good:
            raise Incompatible("the teacher can use none of these samples: a band it needs has no valid pixel")
        self.images += len(good)
        batches = self.examples.in_views([samples[place] for place in good], good, [view] * len(good))
        with torch.no_grad():
            computed = [(batch.rows, self.compute(batch)) for batch in batches]
        arrays: dict[str, Tensor] = {}
        for name, example in computed[0][1].items():
            arrays[name] = torch.full((len(samples), *example.shape[1:]), float("nan"))
            for places, values in computed:
                arrays[name][places] = values[name].detach().float().cpu()
        return arrays


def without_labels(
    workbench: RecipeWorkbench,
    split: str,
    rows: Sequence[int],
    *,
    augmentations: tuple[str, ...] = (),
    source: str = "",
) -> ImageExamples:
    """Return samples of a split prepared for a model, their targets never looked at.

    Args:
        workbench: of the model.
        split: name of the split.
        rows: positions in it.
        augmentations: see `bench.input.augment`.
        source: name that batches carry.
    """
    data, reads, opened = workbench.data, workbench.recipe.reads, workbench.split(split)

    def sample(row: int) -> Sample:
        return data.splits.image(data.task, split, reads, row)

    return ImageExamples(
        sample=sample,
        positions=list(rows),
        ids=[opened.ids[row] for row in rows],
        blocks=[opened.blocks[row] for row in rows],
        task=data.task,
        recipe=workbench.recipe,
        statistics=workbench.statistics,
        device=workbench.device,
        augmentations=augmentations,
        workers=workbench.workers,
        labelled=False,
        source=source,
    )


def task_compute(model: TaskModel, teacher: Teacher, layers: Sequence[int], *, vector: bool) -> Compute:
    """Return the function that runs a tuned teacher.

    Its arrays are ``output``, logits or standardised values of the whole image; for boxes ``map_0`` to ``map_3`` of its
    feature pyramid; ``feature_0`` ... of further layers; and ``vector`` of the last layer.

    Args:
        model: the tuned task model.
        teacher: gives the task.
        layers: indices of the layers whose grids are read.
        vector: whether image vectors are read.
    """
    task, count = teacher.arm.task, len(model.levels)
    last = [len(teacher.arm.workbench.layers) - 1] if vector else []

    def compute(batch: Batch) -> dict[str, Tensor]:
        if not layers and not last and task.kind != "detection":
            return {"output": outputs(model, batch, task)}
        taps = model.taps(batch, [*layers, *last])
        arrays = {f"feature_{place}": taps[count + place].grid for place in range(len(layers))}
        if last:
            arrays["vector"] = taps[-1].vector
        if task.kind == "detection":
            return arrays | {f"map_{place}": grid for place, grid in enumerate(model.maps(taps[:count]).values())}
        return arrays | {"output": model.decode(batch, taps[:count])}

    return compute


def outputs_of(
    teacher: Teacher,
    workbench: RecipeWorkbench,
    student: ImageExamples,
    split: str,
    layers: Sequence[int],
    *,
    vector: bool,
    cache: bool,
) -> TeacherOutputs:
    """Return the outputs of a tuned teacher for the samples that a student learns from.

    Args:
        teacher: the teacher.
        workbench: of the teacher, for the suite of the samples.
        student: the samples as the student reads them.
        split: that they are of.
        layers: see `task_compute`.
        vector: see `task_compute`.
        cache: keep them on disk.
    """
    examples = without_labels(workbench, split, student.positions)
    facts = {"teacher": teacher.digest, "task": workbench.data.task.kind, "layers": list(layers), "vector": vector}
    digest = digest_of(workbench, examples, split, facts) if cache else None
    compute = task_compute(teacher.model, teacher, layers, vector=vector)
    dataset = workbench.data.suite.dataset
    return TeacherOutputs(compute, examples, digest=digest, device=teacher.arm.device, dataset=dataset)


def digest_of(workbench: RecipeWorkbench, examples: ImageExamples, split: str, facts: dict[str, object]) -> str:
    """Return the digest of everything that stored outputs follow from: network, input, images and their order."""
    data, recipe = workbench.data, workbench.recipe
    contents = Contents(data=data.splits, cache=workbench.cache)
    key = {
        "version": VERSION,
        "block": BLOCK,
        **facts,
        "recipe": recipe.facts(),
        "statistics": {name: list(pair) for name, pair in workbench.statistics.items()},
        "suite": [data.suite.name, data.suite.version, data.task.name, split],
        "ids": sha256_of(examples.ids),
        "images": contents.images(data.task, split, recipe.reads),
        "device": str(workbench.device).partition(":")[0],
    }
    return sha256_of(key)[:24]


def deterministic(names: tuple[str, ...]) -> bool:
    """Return whether augmentations leave samples in views that outputs can be kept of."""
    return names in ((), ("views",))
