"""Images of a task prepared once, and what networks of one architecture are measured by on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bench.core import Task
from bench.finetuning.arm import Arm
from bench.finetuning.fit import fit
from bench.finetuning.settings import ArmSettings
from bench.foundry.contract.workbench import RecipeWorkbench
from bench.input.batches import Batch, Examples, ImageExamples
from bench.input.prepared import PreparedInput
from bench.input.recipe import InputRecipe, match
from bench.networks.batch_norms import LEAST_IMAGES, average_statistics
from bench.networks.tapped import TappedNetwork
from bench.probes.pooled import fit_logistic, predict, standardise

STRENGTHS = (1e-2, 1e-1, 1.0, 10.0)
"""Inverse penalties of the probe that validation chooses from."""
PASS = 64  # images per forward pass


@dataclass(kw_only=True)
class PreparedExamples:
    """Samples held in memory as the network takes them; otherwise `bench.input.batches.Examples`.

    Attributes:
        whole: all samples as one batch.
        ids, blocks, notes: of the samples.
    """

    whole: Batch
    ids: list[str]
    blocks: list[str]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def targets(self, rows: Sequence[int]) -> list[Tensor]:
        """Return the targets of some samples."""
        return [self.whole.target[row] for row in rows]

    def read(
        self, rows: Sequence[int], rng: np.random.Generator | None = None, epochs: Sequence[int] | None = None
    ) -> list[Batch]:
        """Return samples as one batch; nothing is augmented."""
        chosen, given = torch.as_tensor(list(rows)), self.whole.given
        assert given is not None
        part = PreparedInput(
            {sensor: values[chosen] for sensor, values in given.images.items()},
            None if given.when is None else given.when[chosen],
            None if given.where is None else given.where[chosen],
        )
        target = self.whole.target[chosen]
        return [Batch(given=part, taps=None, target=target, size=self.whole.size, rows=list(rows))]

    def some(self, rows: Sequence[int]) -> PreparedExamples:
        """Return some of the samples."""
        return PreparedExamples(
            whole=self.read(rows)[0],
            ids=[self.ids[row] for row in rows],
            blocks=[self.blocks[row] for row in rows],
            notes=self.notes,
        )


def prepared(examples: ImageExamples) -> Examples:
    """Return samples held in memory where they form one batch of single tensors; otherwise as they are."""
    batches = examples.read(list(range(len(examples))))
    if len(batches) > 1 or not isinstance(batches[0].target, Tensor) or examples.recipe.windows:
        return examples
    return PreparedExamples(whole=batches[0], ids=examples.ids, blocks=examples.blocks, notes=examples.notes)


@dataclass
class PreparedWorkbench(RecipeWorkbench):
    """A recipe's workbench whose images are prepared once per split.

    Attributes:
        pool: split -> its samples; shared by the workbenches of several networks.
        precision: arithmetic of the network.
    """

    pool: dict[str, Examples] = field(default_factory=dict)
    precision: Literal["fp32", "bf16"] = "fp32"

    @cached_property
    def recipe(self) -> InputRecipe:
        """How images become the model's input."""
        data = self.data
        return dataclasses.replace(match(self.entry, data.suite, data.task, data.bands), precision=self.precision)

    def images(self, split: str, augmentations: tuple[str, ...] = (), most: int = 0) -> ImageExamples:
        """Return the usable samples of a split; augmented ones are read anew."""
        if augmentations or most:
            return super().images(split, augmentations, most)
        if split not in self.pool:
            self.pool[split] = prepared(super().images(split))
        return self.pool[split]  # type: ignore[return-value]


def pass_images(network: TappedNetwork, batch: Batch, bench: RecipeWorkbench) -> Tensor:
    """Return the image vectors (B, D) of the last layer."""
    assert batch.given is not None
    with torch.autocast(torch.device(bench.device).type, torch.bfloat16, enabled=bench.recipe.precision == "bf16"):
        images = batch.given.images
        tap = network(images, [len(network.layers) - 1], when=batch.given.when, where=batch.given.where)[0]
    vector: Tensor = tap.vector.float()
    return vector


def features(network: TappedNetwork, examples: Examples, bench: RecipeWorkbench) -> tuple[Tensor, Tensor]:
    """Return the image vectors (n, D) of samples and their targets (n, ...), in their order."""
    vectors, targets = [], []
    with torch.no_grad():
        for start in range(0, len(examples), PASS):
            for batch in examples.read(list(range(start, min(start + PASS, len(examples))))):
                vectors.append(pass_images(network, batch, bench))
                targets.append(torch.as_tensor(batch.target))
    return torch.cat(vectors), torch.cat(targets)


def measure_statistics(network: TappedNetwork, bench: RecipeWorkbench, examples: Examples, most: int) -> int:
    """Measure the batch norms of a network on images of the training split, in place; return how many were used.

    Args:
        network: changed in place.
        bench: how images become input.
        examples: training images; labels are not used.
        most: images, `LEAST_IMAGES` or more where the split has them.
    """
    # Splits are often sorted by class: the images are drawn from all of it, the same ones for every network.
    rows = np.random.default_rng(0).permutation(len(examples))[: max(most, LEAST_IMAGES)].tolist()

    def run(part: list[int]) -> None:
        for batch in examples.read(part):
            pass_images(network, batch, bench)

    average_statistics(network, [rows[at : at + PASS] for at in range(0, len(rows), PASS)], run)
    return len(rows)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A logistic probe of image vectors, its strength chosen on validation.

    Attributes:
        score: accuracy on validation.
        mean: (D,) of the training vectors.
        scale: (D,) of them; infinite where constant.
        weight: (K, D) of the standardised vectors.
        bias: (K,) of them.
    """

    score: float
    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def logits(self, vectors: Tensor) -> Tensor:
        """Return the logits (n, K) of vectors (n, D)."""
        return ((vectors - self.mean) / self.scale) @ self.weight.T + self.bias


def fit_probe(train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], task: Task) -> Probe:
    """Return a probe fitted to training vectors and classes; the strength with the best validation accuracy is kept."""
    mean, scale = standardise(train[0][None])
    path = fit_logistic(
        (train[0][None].double() - mean) / scale, train[1], classes=len(task.classes), c=STRENGTHS, tol=1e-4
    )

    logits = predict(path, (val[0][None].double() - mean) / scale)[0]
    hits = [float((values.argmax(1) == val[1]).float().mean()) for values in logits]
    best = int(np.argmax(hits))
    return Probe(
        score=hits[best],
        mean=mean[0, 0].float(),
        scale=scale[0, 0].float(),
        weight=path.weight[0, best].float(),
        bias=path.bias[0, best].float(),
    )


def validation_score(network: TappedNetwork, bench: RecipeWorkbench, training: ArmSettings, seed: int) -> float:
    """Return how well a network does on validation after learning from the training labels; higher is better.

    A probe of the last layer for a classification; for other tasks a short training of network and head.

    Args:
        network: measured; not changed.
        bench: of the network, see `PreparedWorkbench`; its test split is not opened.
        training: budget for tasks other than classification.
        seed: of the head.
    """
    if bench.data.task.kind == "classification":
        train, val = (features(network, bench.images(split), bench) for split in ("train", "val"))
        return fit_probe(train, val, bench.data.task).score
    arm = Arm(bench.data.task, bench, settings=training, seed=seed, device=bench.device)
    return fit(arm, 0, training.learning_rates[0]).trained.score
