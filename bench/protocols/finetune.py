"""Fine-tuning: decoder x taps x tuning under one budget; rate and checkpoint chosen on validation, test read once.

Every arm gets the same learning rates and steps, whatever it trains. A backbone that stays frozen is not run again: its
features come from the store, unless images are augmented or dates are folded in a way of their own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import product
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, field_validator

from bench import lookup
from bench.augment import names_of
from bench.config import Settings as Root
from bench.core import Kind, Layer, ModelEntry, Outcome, Suite, Task
from bench.errors import BadSetting, BenchError, Incompatible
from bench.labelled import Context, Network
from bench.levels import TAPS, choose_levels
from bench.metrics import METRICS, auroc, boundary_f1, metric, score

if TYPE_CHECKING:
    from torch import nn

    from bench.assembly import Assembly
    from bench.core import Backbone
    from bench.examples import Batch, Examples
    from bench.train import Trained

VERSION = 1
SEEDS = (0, 1, 2)
NETWORK = True  # it runs the network itself
USUAL: dict[Kind, str] = {"detection": "faster_rcnn"}  # decoder of a kind of task where none is asked for, else linear


class Settings(Root):
    """Settings of fine-tuning.

    Attributes:
        decoders: file names in ``bench/decoders``; the usual one of the task's kind if not given.
        tuning: ``frozen``, ``lora``, ``full``, ``head-then-full``; ``scratch``, the same architecture from random init
            with one rate for all of it; or one type of module alone: ``norms``, ``attention``, ``mlp``, ``qkv``,
            ``proj``, ``fc1``, ``fc2`` ...
        taps: which layers a decoder reads: ``last``, the model's ``published`` ones, even ``quarters`` of its depth, or
            ``profile``, those that the probe's validation scores prefer.
        dates: how the features of several dates become one: ``mean``, ``max``, ``ltae``; models with their own way
            with time keep it.
        learning_rates: of decoder and LoRA; each gets the same steps.
        backbone_rate: of a tuned backbone's last block, as a share of that.
        layer_decay: factor a block below.
        weight_decay: of matrices.
        steps: optimiser steps of each learning rate.
        batch: samples a step.
        micro_batch: most samples a forward pass, 0 for the whole batch; gradients are accumulated.
        evaluations: how often validation is scored on the way.
        patience: evaluations without a gain after which an arm stops, 0 for never.
        warmup: share of the steps over which the rate rises.
        head_share: of the steps, before ``head-then-full`` tunes the backbone.
        rank: of LoRA.
        loss: by name, the usual one of the task's kind if not given.
        augment: ``none``, ``flips``, ``crop``; ``auto`` is none for frozen backbones, else what is usual for the kind.
        checkpointing: trade computation for memory in the backbone.
        keep: keep the tuned weights in the cache.
    """

    decoders: tuple[str, ...] = ()
    tuning: tuple[str, ...] = ("frozen",)
    taps: tuple[str, ...] = ("last",)
    dates: str = "mean"
    learning_rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)
    backbone_rate: float = Field(0.1, gt=0)
    layer_decay: float = Field(0.75, gt=0, le=1)
    weight_decay: float = Field(0.05, ge=0)
    steps: int = Field(400, ge=1)
    batch: int = Field(16, ge=1)
    micro_batch: int = Field(0, ge=0)
    evaluations: int = Field(10, ge=1)
    patience: int = Field(4, ge=0)
    warmup: float = Field(0.1, ge=0, le=1)
    head_share: float = Field(0.25, ge=0, le=1)
    rank: int = Field(8, ge=1)
    loss: str = ""
    augment: tuple[str, ...] = ("auto",)
    checkpointing: bool = False
    keep: bool = False

    @field_validator("decoders", "tuning", "taps", "learning_rates", "augment", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return (value,) if isinstance(value, str | int | float) else value

    @field_validator("decoders")
    @classmethod
    def _decoders(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(lookup.match(value, lookup.names("bench.decoders"), kind="decoder")) if value else ()

    @field_validator("taps")
    @classmethod
    def _taps(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(lookup.match(value, TAPS, kind="taps"))

    @field_validator("learning_rates")
    @classmethod
    def _rates(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(one <= 0 for one in value):
            raise ValueError("needs one or more positive numbers")
        return tuple(sorted(value))

    @field_validator("tuning")
    @classmethod
    def _tunings(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from bench.tuning import check_tuning

        return tuple(check_tuning(name) for name in value)

    @field_validator("dates")
    @classmethod
    def _dates(cls, value: str) -> str:
        return lookup.match([value], ("mean", "max", "ltae"), kind="fold over dates")[0]


def arms(settings: Settings, task: Task) -> list[Settings]:
    """Return one set of settings for each decoder, way of tuning and choice of taps; each is a run of its own.

    Of decoders named by a glob, those for other kinds of task are left out.
    """
    decoders = settings.decoders or (USUAL.get(task.kind, "linear"),)
    fit = [name for name in decoders if task.kind in _decoder(name).KINDS] or list(decoders)
    return [
        settings.model_copy(update={"decoders": (decoder,), "tuning": (tuning,), "taps": (taps,)})
        for decoder, tuning, taps in product(fit, settings.tuning, settings.taps)
    ]


def label(settings: Settings) -> dict[str, str]:
    """Return what sets an arm apart, for tables."""
    return {"decoder": settings.decoders[0], "tuning": settings.tuning[0], "taps": settings.taps[0]}


def _decoder(name: str) -> ModuleType:
    return lookup.module("bench.decoders", name, kind="decoder")


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why an arm makes no sense for this entry and task, or ``""``."""
    decoder, tuning, taps = settings.decoders[0], settings.tuning[0], settings.taps[0]
    module = _decoder(decoder)
    if task.kind not in module.KINDS:
        return f"decoder {decoder} serves {', '.join(module.KINDS)}, not {task.kind}"
    if entry.vectors:
        return "ready-made embeddings cannot be tuned, and have no layers; probe them"
    if entry.origin == "baseline" and tuning != "frozen":
        return f"{entry.name} has no parameters to tune"
    if taps == "published" and not entry.taps:
        return f"its authors publish no taps for {entry.name}; use quarters"
    if module.LEVELS == 1 and taps in ("quarters", "published"):
        return f"decoder {decoder} reads one layer: taps={taps} would be its last; use last or profile"
    if module.LEVELS == 0 and taps != "last":
        return f"decoder {decoder} reads every layer whatever the taps; use taps=last"
    names_of(task.kind, settings.augment)
    return ""


def run(context: Context) -> Outcome:
    """Return the outcome of one arm: trained at each learning rate, the best on validation scored on test.

    Arrays, with a leading axis of one layer: those of `bench.protocols.probe`; of boxes ``<split>.detected`` and
    ``<split>.truth``, see `bench.boxes.matched`; ``history`` (rates, evaluations, 3) of step, training loss and
    validation score; ``panel.*`` of some images with predictions.
    """
    import torch

    assert context.network is not None
    start = time.perf_counter()
    settings: Settings = context.settings
    arm = _Arm(context, context.network)
    best: tuple[float, float, Trained] | None = None
    notes = list(arm.train.notes + arm.val.notes)
    histories: list[list[tuple[int, float, float]]] = []
    for place, rate in enumerate(settings.learning_rates):
        try:
            trained = arm.fit(place, rate)
        except BenchError as problem:
            if type(problem).__name__ != "Diverged":
                raise
            notes.append(f"learning rate {rate:g} left out: {problem}")
            histories.append([])
            continue
        notes += trained.notes
        histories.append(trained.history)
        if best is None or trained.score > best[1]:
            best = rate, trained.score, trained
    if best is None:
        raise Incompatible(f"no learning rate trains {context.network.entry.name}: {'; '.join(notes[-3:])}")
    rate, value, trained = best
    assembly = arm.assemble()
    assembly.load_state_dict(trained.state, strict=False)
    if settings.keep:
        context.network.keep({name: v for name, v in trained.state.items() if torch.is_tensor(v)})
    cost = arm.cost(assembly, trained) | {"fit_seconds": time.perf_counter() - start}
    return _report(
        context, arm, assembly, rate=rate, val=value, step=trained.step, notes=notes, histories=histories, cost=cost
    )


class _Arm:
    """One decoder, tuning and choice of taps: its samples, and how it is put together and trained."""

    def __init__(self, context: Context, network: Network) -> None:
        import torch

        self.context, self.network = context, network
        self.settings: Settings = context.settings
        self.task = context.task
        self.decoder = _decoder(self.settings.decoders[0])
        self.tuning = self.settings.tuning[0]
        self.levels = choose_levels(
            network.layers,
            self.settings.taps[0],
            count=self.decoder.LEVELS,
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
        self.device = torch.device(context.device)
        self.centre, self.spread = self._scale()

    def samples(self, name: str) -> Examples:
        """Return the samples of a split: stored features where the backbone does not change, else images."""
        if self.stored:
            grids = self.task.dense or getattr(self.decoder, "GRIDS", True)
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
        parts = []
        for start in range(0, len(self.train), 64):
            for batch in self.train.read(range(start, min(start + 64, len(self.train)))):
                values = batch.target.flatten() if self.task.kind == "dense_regression" else batch.target
                parts.append(values[values.isfinite()][:, None] if values.ndim == 1 else values)
        values = torch.cat(parts).double()
        if not len(values):
            raise Incompatible(f"no training sample of {self.task.name} has a value")
        spread = values.std(0, correction=0)
        return values.mean(0).float(), torch.where(spread > 0, spread, torch.ones_like(spread)).float()

    def backbone(self) -> Backbone | None:
        """Return a backbone of its own to train, or to run; None where features are stored."""
        from bench.tuning import tune

        if self.stored:
            return None
        found = self.network.load(self.tuning == "scratch")
        tune(found, self.tuning, rank=self.settings.rank)
        if self.settings.checkpointing:
            _checkpoint(found, self.network.entry.name)
        return found

    def assemble(self) -> Assembly:
        """Return the module, as random in its new parts as the seed says."""
        import torch

        from bench import temporal
        from bench.assembly import Assembly

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
            torch.default_generator.manual_seed(self.context.seed)
            decoder: nn.Module = self.decoder.build(layers, task, outputs=outputs, image=image)
            widths = {index: self.network.layers[index].channels for index in single}
            folds = [temporal.build(settings.dates, widths[index]) for index in single] if self.fold else []
        assembly = Assembly(
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

    def fit(self, place: int, rate: float) -> Trained:
        """Return what training at one learning rate comes to."""
        from bench.train import Budget, train
        from bench.tuning import parameter_groups

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

        return train(
            assembly,
            groups,
            budget,
            batches=self._batches(),
            loss=self._loss(),
            evaluate=lambda: self.value(assembly),
            micro=settings.micro_batch or settings.batch,
            seed=self.context.seed,
            place=self.network.place(place),
            head_only=head_only if later else None,
        )

    def _batches(self) -> Any:
        """Return step -> batches: epochs in an order of their own, augmented as the step says, read one step ahead."""
        from bench.ahead import Ahead

        count, batch, seed = len(self.train), min(self.settings.batch, len(self.train)), self.context.seed

        def rows(step: int) -> list[int]:
            wanted = range(step * batch, (step + 1) * batch)
            epochs = {place // count for place in wanted}
            order = {epoch: np.random.default_rng((seed, 1, epoch)).permutation(count) for epoch in epochs}
            return [int(order[place // count][place % count]) for place in wanted]

        return Ahead(lambda step: self.train.read(rows(step), np.random.default_rng((seed, 2, step))))

    def _loss(self) -> Any:
        from bench.losses import loss_of

        if self.task.kind == "detection":
            return lambda module, batch: sum(module(batch).values())
        loss = loss_of(self.task, self.settings.loss)
        dense = self.task.kind == "dense_regression"

        def of(module: Assembly, batch: Batch) -> Any:
            target = batch.target
            if self.task.kind in ("regression", "dense_regression"):
                centre, spread = (module.centre[0], module.spread[0]) if dense else (module.centre, module.spread)
                target = (target - centre) / spread
            found = module(batch)
            if found.ndim > 2:  # a window may be wider than what is left of the image
                found = found[..., : target.shape[-2], : target.shape[-1]]
            return loss(found, target)

        return of

    def outcome(self, assembly: Assembly, examples: Examples) -> dict[str, np.ndarray]:
        """Return per-sample outcomes, with their targets."""
        from bench.assembly import outcomes

        found = outcomes(assembly, examples, self.task, self.settings.micro_batch or self.settings.batch)
        if self.task.kind in ("classification", "multilabel", "regression"):
            parts: dict[int, np.ndarray] = {}
            for start in range(0, len(examples), 256):
                for batch in examples.read(range(start, min(start + 256, len(examples)))):
                    parts.update(zip(batch.rows, batch.target.cpu().numpy(), strict=True))
            found["target"] = np.stack([parts[row] for row in range(len(examples))])
        return found

    def value(self, assembly: Assembly) -> float:
        """Return the validation score, higher is better."""
        sign = 1.0 if METRICS[self.task.metric].direction == "max" else -1.0
        return sign * scores(self.task, self.outcome(assembly, self.val))[self.task.metric]

    def cost(self, assembly: Assembly, trained: Trained) -> dict[str, float]:
        """Return what the arm costs: trained parameters, seconds a step, multiply-adds of one image."""
        from bench.assembly import flops

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


def _report(
    context: Context,
    arm: _Arm,
    assembly: Assembly,
    *,
    rate: float,
    val: float,
    step: int,
    notes: Sequence[str],
    histories: Sequence[Sequence[tuple[int, float, float]]],
    cost: Mapping[str, float],
) -> Outcome:
    """Return the outcome of the chosen state: only now are the test splits opened."""
    from bench.panels import panel

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
        if name == "test":
            arrays |= panel(assembly, examples, outcome, context.task, context.network)
    layers = list(dict.fromkeys(context.network.layers[index].name for index in arm.levels)) if context.network else []
    sign = 1.0 if metric(context.task.metric).direction == "max" else -1.0
    choice = {
        "index": 0,
        "layer": " ".join(layers),
        "pool": settings.decoders[0],
        "setting": rate,
        "edge": len(settings.learning_rates) > 1 and rate in (settings.learning_rates[0], settings.learning_rates[-1]),
        "val": sign * val,
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


def _padded(histories: Sequence[Sequence[tuple[int, float, float]]]) -> np.ndarray:
    """Return training histories as one array (rates, evaluations, 3), NaN after an early stop."""
    longest = max((len(one) for one in histories), default=0)
    found = np.full((len(histories), longest, 3), np.nan, np.float32)
    for row, one in zip(found, histories, strict=True):
        row[: len(one)] = np.asarray(one, np.float32).reshape(-1, 3)
    return found


def _checkpoint(backbone: Any, model: str) -> None:
    """Have a network compute its blocks again on the way back instead of keeping what they hold."""
    inner = getattr(backbone, "network", backbone)
    if not hasattr(inner, "set_grad_checkpointing"):
        raise BadSetting(f"checkpointing=true: the network of {model} has no way to; leave it out")
    inner.set_grad_checkpointing(True)
