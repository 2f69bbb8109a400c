"""Arm: one decoder, tuning and choice of taps; its samples, and the task model that is trained on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import Backbone, Layer, Task, lookup
from bench.decoders.parts.contract import Decoder
from bench.finetuning.settings import ArmSettings
from bench.finetuning.taps import choose_taps
from bench.finetuning.workbench import Workbench
from bench.input.augment import names_of

if TYPE_CHECKING:
    from torch import nn

    from bench.finetuning.task_model import TaskModel
    from bench.input.batches import Examples

LORA_STREAM = 1 << 32
"""Added to the run's seed for LoRA's init, so that it draws other numbers than the decoder's init."""


def decoder_of(name: str) -> Decoder:
    """Return a decoder by name."""
    return lookup.noun("bench.decoders", name, Decoder)


class Arm:
    """One decoder, tuning and choice of taps, with the samples it learns from.

    Args:
        task: what to predict.
        workbench: the model, its samples and its stored features.
        settings: decoder, taps, tuning and training budget.
        seed: of everything random in the arm.
        device: torch device.

    Attributes:
        decoder: the decoder's noun.
        tuning: way of tuning, see `bench.finetuning.tuning`.
        levels: indices of the layers that the decoder reads, shallow to deep.
        augmentations: names of the augmentations of training images.
        fold: way to fold dates within the task model, or ``""`` where the backbone or the input recipe does it.
        stored: the backbone does not change and sees no augmented image, so that stored features stand for it.
        train, val: samples of the learning splits.
        centre, spread: of a regression's training targets, see `bench.finetuning.target_scale`.
    """

    def __init__(self, task: Task, workbench: Workbench, *, settings: ArmSettings, seed: int, device: str) -> None:
        import torch

        from bench.finetuning.target_scale import target_scale

        self.task, self.workbench, self.settings, self.seed = task, workbench, settings, seed
        self.device = torch.device(device)
        self.decoder = decoder_of(settings.decoders[0])
        self.tuning = settings.tuning[0]
        self.levels = choose_taps(
            workbench.layers,
            settings.taps[0],
            count=self.decoder.layers_read,
            published=workbench.entry.taps,
            profile=workbench.probe_scores,
            model=workbench.entry.name,
        )
        unchanged = self.tuning == "frozen" and settings.augment == ("auto",)
        self.augmentations = () if unchanged else names_of(task.kind, settings.augment)
        folded = workbench.recipe.fold_dates and not workbench.recipe.joined and settings.dates != "mean"
        self.fold = settings.dates if folded else ""
        self.stored = self.tuning == "frozen" and not self.augmentations and not self.fold
        self.train, self.val = self.samples("train"), self.samples("val")
        self.centre, self.spread = target_scale(task, self.train)

    def samples(self, split: str) -> Examples:
        """Return the samples of a split: stored features where the backbone does not change, else images."""
        if self.stored:
            grids = self.task.dense or self.decoder.reads_grids
            layers = tuple(self.workbench.layers[index].name for index in self.levels)
            return self.workbench.stored_features(split, layers, grids=grids)
        return self.workbench.images(split, self.augmentations if split == "train" else ())

    @property
    def pass_size(self) -> int:
        """Most samples per forward pass."""
        return self.settings.micro_batch or self.settings.batch

    def build(self) -> TaskModel:
        """Return an untrained task model; its new parts are drawn from the arm's seed."""
        from bench.finetuning import dates
        from bench.finetuning.task_model import TaskModel
        from bench.networks.randomness import seeded_draws

        settings, recipe, task, layers = self.settings, self.workbench.recipe, self.task, self.workbench.layers
        backbone = self._backbone()
        image = self.workbench.input_size if task.kind == "detection" else recipe.size
        with seeded_draws(self.seed):
            decoder: nn.Module = self.decoder.build(
                self._layers_read(), task, outputs=len(task.classes) or len(self.centre), image=image
            )
            single = dict.fromkeys(self.levels)
            folds = [dates.build(settings.dates, layers[index].channels) for index in single] if self.fold else []
        task_model = TaskModel(
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
        return task_model.to(self.device)

    def _layers_read(self) -> list[Layer]:
        """Return the layers as the decoder reads them: with the channels of all dates where they are joined."""
        factor = self.workbench.dates if self.workbench.recipe.joined else 1
        read = [self.workbench.layers[index] for index in self.levels]
        return [
            Layer(name=layer.name, channels=layer.channels * factor, stride=layer.stride, depth=layer.depth)
            for layer in read
        ]

    def _backbone(self) -> Backbone | None:
        """Return a copy of the backbone with its tunable parameters marked; None where features are stored."""
        from bench.finetuning.tuning import recompute_blocks, tune
        from bench.networks.randomness import seeded_draws

        if self.stored:
            return None
        backbone = self.workbench.own_backbone(scratch=self.tuning == "scratch")
        with seeded_draws(LORA_STREAM + self.seed):
            tune(backbone, self.tuning, rank=self.settings.rank)
        if self.settings.checkpointing:
            recompute_blocks(backbone, self.workbench.entry.name)
        return backbone
