"""Training of a method on unlabelled images: the pool of images, the loop, and the weights with their card."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Generator, Tensor, nn

from bench.core import ModelEntry, Suite, Task
from bench.core.errors import BadSetting
from bench.foundry.pretraining.croma import CrossModal
from bench.foundry.pretraining.dino import SelfDistillation
from bench.foundry.pretraining.mae import MaskedAutoencoder
from bench.foundry.pretraining.settings import PretrainSettings
from bench.input.prepare import prepare
from bench.input.recipe import match
from bench.networks.backbones import seeded
from bench.networks.tiny import tiny_network


class Method(Protocol):
    """A way to learn from images alone; also an ``nn.Module``."""

    encoder: Any
    """The network that is kept."""
    fixed: tuple[str, ...]
    """Starts of the names of the parameters that no gradient reaches."""

    def loss(self, images: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """Return the loss of a batch, sensor -> (B, C, H, W), its views drawn from `generator`."""
        ...

    def after_step(self, share: float) -> None:
        """Do what follows an optimiser step; `share` of the training is done, 0..1."""
        ...


METHODS: dict[str, tuple[str, Any]] = {
    "reconstruction": ("mae", MaskedAutoencoder),
    "joint-embedding": ("dino", SelfDistillation),
    "multimodal": ("croma", CrossModal),
}
"""Objective -> the name of a method's settings, and the method."""


def method_of(entry: ModelEntry, settings: PretrainSettings) -> Any:
    """Return the `Method` for an entry's objective around the entry's network, drawn at ``settings.seed``."""
    name, kind = METHODS[entry.objective]

    def build() -> nn.Module:
        method: nn.Module = kind(tiny_network(entry, entry.bands), getattr(settings, name))
        return method

    method: Any = seeded(build, settings.seed).train()
    for path, weight in method.named_parameters():
        weight.requires_grad_(not path.startswith(method.fixed))
    return method


def completed(entry: ModelEntry, settings: PretrainSettings) -> PretrainSettings:
    """Return settings in which numbers left at 0 have become the method's own."""
    own = getattr(settings, METHODS[entry.objective][0])
    return settings.model_copy(update={"epochs": settings.epochs or own.epochs, "batch": settings.batch or own.batch})


def read_pool(entry: ModelEntry, suite: Suite, settings: PretrainSettings, data: Path) -> dict[str, Tensor]:
    """Return the images as the entry's network takes them: sensor -> (n, C, H, W) float16.

    Raises:
        UnknownName: the suite has no such task or split.
        BadSetting: the suite gives several dates, or fewer images than a batch.
        Incompatible: see `bench.input.recipe.match`.
    """
    if suite.dates != 1:
        raise BadSetting(f"suite={suite.name} gives several dates a sample; pretraining takes single images")
    wanted = {band.name for band in entry.bands}
    task = Task(name=settings.task, kind="classification", metric="accuracy")  # images are read whole, not in windows
    recipe = match(entry, suite, task, [band for band in suite.bands if band.name in wanted])
    split = suite.open(data, task.name, settings.split, recipe.reads)
    count = min(settings.images or len(split), len(split))
    if count < settings.batch:
        raise BadSetting(f"batch={settings.batch} is more than the {count} images of {suite.name}")
    parts: dict[str, list[Tensor]] = {}
    for chosen in np.array_split(np.linspace(0, len(split) - 1, count).round().astype(int), max(1, count // 64)):
        samples = [split[int(index)].images for index in chosen]
        raw = {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}
        for sensor, values in prepare(raw, recipe, {}).items():
            parts.setdefault(sensor, []).append(values[:, 0].half())
    return {sensor: torch.cat(values) for sensor, values in parts.items()}


def moments(images: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Return each band's mean and standard deviation over all images, near 0 and 1 if the entry's statistics fit them.

    Args:
        images: sensor -> (n, C, H, W), as `read_pool` gives them; bands in that order.
    """
    # A band at a time: the whole pool in double precision would be several gigabytes.
    pairs = [torch.var_mean(band.double()) for values in images.values() for band in values.unbind(1)]
    return {
        "normalised_mean": [round(float(mean), 5) for _, mean in pairs],
        "normalised_deviation": [round(float(variance.sqrt()), 5) for variance, _ in pairs],
    }


def learning_rate_factor(share: float, warmup: float) -> float:
    """Return the factor on the learning rate when `share` of the steps is done: a linear rise, then half a cosine."""
    if share < warmup:
        return share / warmup
    return (1 + math.cos(math.pi * (share - warmup) / max(1 - warmup, 1e-9))) / 2


def batches(images: Mapping[str, Tensor], size: int, generator: Generator) -> Iterator[dict[str, Tensor]]:
    """Yield one epoch of batches in random order, float32; the last, incomplete one is left out."""
    count = len(next(iter(images.values())))
    order = torch.randperm(count, generator=generator).to(next(iter(images.values())).device)
    for start in range(0, count - size + 1, size):
        chosen = order[start : start + size]
        yield {sensor: values[chosen].float() for sensor, values in images.items()}


def train(
    method: Any,
    images: Mapping[str, Tensor],
    settings: PretrainSettings,
    progress: Callable[[str], None] | None = None,
) -> list[float]:
    """Train a method in place and return the mean loss of each epoch.

    Args:
        method: see `Method`; on the device of the images.
        images: sensor -> (n, C, H, W).
        settings: see `completed`.
        progress: receives one line per epoch.

    Raises:
        BadSetting: the loss is no longer finite.
    """
    generator = Generator().manual_seed(settings.seed)
    weights = [weight for weight in method.parameters() if weight.requires_grad]
    # The published recipes of all three decay matrices only.
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95))
    steps, done = settings.epochs * (len(next(iter(images.values()))) // settings.batch), 0
    losses: list[float] = []
    for epoch in range(settings.epochs):
        total, before = 0.0, done
        for chosen in batches(images, settings.batch, generator):
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor((done + 1) / steps, settings.warmup)
            loss = method.loss(chosen, generator)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, settings.clip)
            optimiser.step()
            done += 1
            method.after_step(done / steps)
            total += float(loss.detach())
        losses.append(total / (done - before))
        if not math.isfinite(losses[-1]):
            raise BadSetting(f"loss not finite in epoch {epoch + 1}; lower learning_rate={settings.learning_rate:g}")
        if progress:
            progress(f"epoch {epoch + 1} of {settings.epochs}: loss {losses[-1]:.4f}")
    return losses
