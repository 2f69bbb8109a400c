"""One decoder, tuning and choice of taps: its samples, how it is put together, trained and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core import Layer, Task, lookup
from bench.core.errors import Incompatible
from bench.decoders.parts.contract import Decoder
from bench.finetuning.settings import ArmSettings
from bench.finetuning.taps import choose_taps
from bench.finetuning.workbench import Workbench
from bench.input.augment import names_of
from bench.metrics import METRICS, auroc, boundary_f1, score

if TYPE_CHECKING:
    from torch import nn

    from bench.core import Backbone
    from bench.finetuning.loop import Trained
    from bench.finetuning.task_model import TaskModel
    from bench.input.batches import Batch, Examples


def decoder_of(name: str) -> Decoder:
    """Return a decoder by name."""
    return lookup.noun("bench.decoders", name, Decoder)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What validation chose among learning rates.

    Attributes:
        rate: the learning rate.
        trained: what came of it.
        notes: of every rate.
        histories: of every rate, empty where it diverged.
    """

    rate: float
    trained: Trained
    notes: list[str]
    histories: list[list[tuple[int, float, float]]]


class Arm:
    """One decoder, tuning and choice of taps: its samples, and how it is put together and trained.

    Args:
        task: what to predict.
        network: the workbench: the model, its samples and features.
        settings: decoder, taps, tuning and training budget.
        seed: of everything random in the arm.
        device: torch device.
    """

    def __init__(self, task: Task, network: Workbench, *, settings: ArmSettings, seed: int, device: str) -> None:
        import torch

        self.task, self.network, self.settings, self.seed = task, network, settings, seed
        self.decoder = decoder_of(self.settings.decoders[0])
        self.tuning = self.settings.tuning[0]
        self.levels = choose_taps(
            network.layers,
            self.settings.taps[0],
            count=self.decoder.layers_read,
            published=network.entry.taps,
            profile=network.profile,
            model=network.entry.name,
        )
        names = names_of(self.task.kind, self.settings.augment)
        self.augmentations = () if self.tuning == "frozen" and self.settings.augment == ("auto",) else names
        folded = network.recipe.fold_dates and not network.recipe.joined and self.settings.dates != "mean"
        self.fold = self.settings.dates if folded else ""
        self.stored = self.tuning == "frozen" and not self.augmentations and not self.fold
        self.train, self.val = self.samples("train"), self.samples("val")
        self.device = torch.device(device)
        self.centre, self.spread = self._scale()

    def samples(self, name: str) -> Examples:
        """Return the samples of a split: stored features where the backbone does not change, else images."""
        if self.stored:
            grids = self.task.dense or self.decoder.reads_grids
            layers = tuple(self.network.layers[index].name for index in self.levels)
            stored: Examples = self.network.features(name, layers, grids)
            return stored
        images: Examples = self.network.images(name, self.augmentations if name == "train" else ())
        return images

    def _scale(self) -> tuple[Any, Any]:
        """Return the mean and standard deviation of a regression's training targets; 0 and 1 of other tasks."""
        import torch

        if self.task.kind not in ("regression", "dense_regression"):
            return torch.zeros(1), torch.ones(1)
        targets = [np.asarray(one, np.float64) for one in self.train.targets(range(len(self.train)))]
        if self.task.kind == "regression":
            values = torch.from_numpy(np.stack(targets))
        else:
            values = torch.from_numpy(np.concatenate([one[np.isfinite(one)] for one in targets]))[:, None]
        if not len(values):
            raise Incompatible(f"no training sample of {self.task.name} has a value")
        spread = values.std(0, correction=0)
        return values.mean(0).float(), torch.where(spread > 0, spread, torch.ones_like(spread)).float()

    def backbone(self) -> Backbone | None:
        """Return a backbone of its own to train, or to run; None where features are stored."""
        from bench.finetuning.tuning import recompute_blocks, tune

        if self.stored:
            return None
        found = self.network.load(self.tuning == "scratch")
        tune(found, self.tuning, rank=self.settings.rank)
        if self.settings.checkpointing:
            recompute_blocks(found, self.network.entry.name)
        return found

    def assemble(self) -> TaskModel:
        """Return the module, as random in its new parts as the seed says."""
        import torch

        from bench.finetuning import dates
        from bench.finetuning.task_model import TaskModel

        settings, recipe, task = self.settings, self.network.recipe, self.task
        backbone = self.backbone()
        layers = [self.network.layers[index] for index in self.levels]
        factor = self.network.dates if recipe.joined else 1
        layers = [
            Layer(name=one.name, channels=one.channels * factor, stride=one.stride, depth=one.depth) for one in layers
        ]
        outputs = len(task.classes) or len(self.centre)
        image = self.network.input_size if task.kind == "detection" else recipe.size
        single = dict.fromkeys(self.levels)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            decoder: nn.Module = self.decoder.build(layers, task, outputs=outputs, image=image)
            widths = {index: self.network.layers[index].channels for index in single}
            folds = [dates.build(settings.dates, widths[index]) for index in single] if self.fold else []
        assembly = TaskModel(
            backbone,
            decoder,
            folds,
            levels=self.levels,
            recipe=recipe,
            tuned=self.tuning != "frozen",
            boxes=task.kind == "detection",
            centre=self.centre,
            spread=self.spread,
        )
        return assembly.to(self.device)

    def best(self) -> Chosen:
        """Return what training at the learning rate that validation prefers comes to.

        Raises:
            Incompatible: no rate trains it.
        """
        from bench.finetuning.loop import Diverged

        found: Chosen | None = None
        notes, histories = list(self.train.notes + self.val.notes), list[list[tuple[int, float, float]]]()
        for place, rate in enumerate(self.settings.learning_rates):
            try:
                trained, _ = self.fit(place, rate)
            except Diverged as problem:
                notes.append(f"learning rate {rate:g} left out: {problem}")
                histories.append([])
                continue
            notes += trained.notes
            histories.append(trained.history)
            if found is None or trained.score > found.trained.score:
                found = Chosen(rate=rate, trained=trained, notes=notes, histories=histories)
        if found is None:
            raise Incompatible(f"no learning rate trains {self.network.entry.name}: {'; '.join(notes[-3:])}")
        return found

    def fit(self, place: int, rate: float, given: Examples | None = None) -> tuple[Trained, TaskModel]:
        """Return what training at one learning rate comes to, and the module in its best state.

        Args:
            place: number of the training, which names its checkpoint.
            rate: learning rate.
            given: samples to learn from, if not the arm's own.
        """
        from bench.finetuning.loop import Budget, train
        from bench.finetuning.tuning import parameter_groups

        settings, assembly = self.settings, self.assemble()
        assembly.train()
        groups = parameter_groups(
            assembly.backbone,
            [assembly.decoder, assembly.folds],
            rate=rate,
            # What starts from nothing learns everywhere at one rate.
            backbone_rate=1.0 if self.tuning == "scratch" else settings.backbone_rate,
            decay=1.0 if self.tuning == "scratch" else settings.layer_decay,
            weight_decay=settings.weight_decay,
        )
        later = self.tuning == "head-then-full"
        budget = Budget(
            steps=settings.steps,
            evaluations=settings.evaluations,
            patience=settings.patience,
            warmup=settings.warmup,
            head_steps=round(settings.head_share * settings.steps) if later else 0,
        )

        def head_only(alone: bool) -> None:
            assert assembly.backbone is not None
            assembly.backbone.requires_grad_(not alone)
            assembly.train()

        trained = train(
            assembly,
            groups,
            budget,
            batches=self._batches(given or self.train),
            loss=self._loss(),
            evaluate=lambda: self.value(assembly),
            micro=settings.micro_batch or settings.batch,
            seed=self.seed,
            place=self.network.place(place),
            head_only=head_only if later else None,
        )
        return trained, assembly

    def _batches(self, given: Examples) -> Any:
        """Return step -> batches: epochs in an order of their own, augmented as the step says, read one step ahead."""
        from bench.finetuning.prefetch import Prefetch

        count, batch, seed = len(given), min(self.settings.batch, len(given)), self.seed

        def rows(step: int) -> list[int]:
            wanted = range(step * batch, (step + 1) * batch)
            epochs = {place // count for place in wanted}
            order = {epoch: np.random.default_rng((seed, 1, epoch)).permutation(count) for epoch in epochs}
            return [int(order[place // count][place % count]) for place in wanted]

        return Prefetch(lambda step: given.read(rows(step), np.random.default_rng((seed, 2, step))))

    def _loss(self) -> Any:
        from bench.finetuning.losses import loss_of

        if self.task.kind == "detection":
            return lambda module, batch: sum(module(batch).values())
        loss = loss_of(self.task, self.settings.loss)
        dense = self.task.kind == "dense_regression"

        def of(module: TaskModel, batch: Batch) -> Any:
            target = batch.target
            if self.task.kind in ("regression", "dense_regression"):
                centre, spread = (module.centre[0], module.spread[0]) if dense else (module.centre, module.spread)
                target = (target - centre) / spread
            found = module(batch)
            if found.ndim > 2:  # a window may be wider than what is left of the image
                found = found[..., : target.shape[-2], : target.shape[-1]]
            return loss(found, target)

        return of

    def outcome(self, assembly: TaskModel, examples: Examples) -> dict[str, np.ndarray]:
        """Return per-sample outcomes, with their targets."""
        from bench.finetuning.task_model import outcomes

        return outcomes(assembly, examples, self.task, self.settings.micro_batch or self.settings.batch)

    def value(self, assembly: TaskModel) -> float:
        """Return the validation score, higher is better."""
        found = scores(self.task, self.outcome(assembly, self.val))
        return METRICS[self.task.metric].sign * found[self.task.metric]

    def cost(self, assembly: TaskModel, trained: Trained) -> dict[str, float]:
        """Return what the arm costs: trained parameters, seconds a step, multiply-adds of one image."""
        from bench.finetuning.task_model import flops

        seconds = trained.seconds / max(1, trained.history[-1][0])
        count = sum(p.numel() for p in assembly.parameters() if p.requires_grad)
        return {
            "trained_parameters": float(count),
            "decoder_parameters": float(sum(p.numel() for p in assembly.decoder.parameters())),
            "step_seconds": seconds,
            "flops": flops(assembly, self.network),
        }


def scores(task: Task, outcome: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return every score of per-sample outcomes, with those that only fine-tuning has the means for."""
    found = score(task, outcome)
    if "boundary" in outcome:
        found["boundary_f1"] = boundary_f1(outcome["boundary"])
    if "chance" in outcome:
        found["auroc"] = auroc(outcome["chance"], outcome["target"])
    return found
