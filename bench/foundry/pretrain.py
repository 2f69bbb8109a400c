"""Pretraining: train an entry's network on unlabelled images and leave weights with a card.

The objective of the entry says which method: ``reconstruction`` is a masked autoencoder, ``joint-embedding`` is DINO,
``multimodal`` is CROMA. All three share the loop in `train`. With equal settings, data, number of threads and kind of
machine, two runs give the same weights bit for bit on a CPU.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import save
from torch import Generator, Tensor, nn

from bench import lookup
from bench.backbones import seeded
from bench.bands import match
from bench.config import Settings as BaseSettings
from bench.core import ModelEntry, Suite, Task
from bench.errors import BadSetting, UnknownName
from bench.foundry._pretrain_croma import CROMASettings, CrossModal
from bench.foundry._pretrain_dino import DINOSettings, SelfDistillation
from bench.foundry._pretrain_mae import MAESettings, MaskedAutoencoder
from bench.models import tiny
from bench.prepare import prepare
from bench.store import write_atomic


class Settings(BaseSettings):
    """What to pretrain, on what, and how.

    Attributes:
        model: the entry whose network is trained.
        suite: where the images come from.
        task: the name they are opened by; targets are not looked at.
        split: split of that task.
        images: how many images of the split, evenly spaced; 0 for all.
        epochs: passes over the images; 0 for the method's own number.
        batch: images a step, 0 for the method's own; what is left over at the end of an epoch waits for the next.
        seed: of the init, the order of the images and their views.
        learning_rate: of AdamW at its highest, after the warm-up; then a cosine down to 0.
        warmup: share of the steps in which the learning rate rises.
        weight_decay: on matrices; biases, norms and tokens have none.
        clip: largest norm of the gradient.
        mae: of the reconstruction.
        dino: of the joint embedding.
        croma: of the multimodal objective.
    """

    model: str
    suite: str = "demo"
    task: str = "unlabelled"
    split: str = "train"
    images: int = Field(default=0, ge=0)
    epochs: int = Field(default=0, ge=0)
    batch: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.1, ge=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
    clip: float = Field(default=3.0, gt=0)
    mae: MAESettings = MAESettings()
    dino: DINOSettings = DINOSettings()
    croma: CROMASettings = CROMASettings()


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


def method_of(entry: ModelEntry, settings: Settings) -> Any:
    """Return the `Method` for an entry's objective around the entry's network, drawn at ``settings.seed``."""
    name, kind = METHODS[entry.objective]

    def build() -> nn.Module:
        made: nn.Module = kind(tiny.network(entry, entry.bands), getattr(settings, name))
        return made

    method: Any = seeded(build, settings.seed).train()
    for path, weight in method.named_parameters():
        weight.requires_grad_(not path.startswith(method.fixed))
    return method


def completed(entry: ModelEntry, settings: Settings) -> Settings:
    """Return settings in which numbers left at 0 have become the method's own."""
    own = getattr(settings, METHODS[entry.objective][0])
    return settings.model_copy(update={"epochs": settings.epochs or own.epochs, "batch": settings.batch or own.batch})


def read_pool(entry: ModelEntry, suite: Suite, settings: Settings, data: Path) -> dict[str, Tensor]:
    """Return the images as the entry's network takes them: sensor -> (n, C, H, W) float16.

    Raises:
        UnknownName: the suite has no such task or split.
        BadSetting: the suite gives several dates, or fewer images than a batch.
        Incompatible: see `bench.bands.match`.
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
    settings: Settings,
    progress: Callable[[str], None] | None = None,
) -> list[float]:
    """Train a method in place and return the mean loss of each epoch.

    Args:
        method: see `Method`; on the device of the images.
        images: sensor -> (n, C, H, W).
        settings: see `completed`.
        progress: told a line an epoch.

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


def run(
    settings: Settings, *, data: Path, out: Path, device: str = "cpu", progress: Callable[[str], None] | None = None
) -> Path:
    """Pretrain an entry and return the path of its weights, float16 safetensors with a JSON card beside them.

    Args:
        settings: see `Settings`.
        data: folder with the suites' data.
        out: weights folder; the file goes where the entry looks for it below a ``weights=`` folder.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: told a line an epoch.

    Raises:
        UnknownName: no such model, suite or task.
        BadSetting: see `read_pool` and `train`.
        MissingData: the suite's images are not at hand.
    """
    known = {one.name: one for one in tiny.ENTRIES}
    if settings.model not in known:
        raise UnknownName("model that can be pretrained", settings.model, known)
    entry = known[settings.model]
    suite: Suite = lookup.module("suites", settings.suite, kind="suite").SUITE
    settings = completed(entry, settings)
    began = time.monotonic()
    images = {sensor: values.to(device) for sensor, values in read_pool(entry, suite, settings, data).items()}
    method = method_of(entry, settings).to(device)
    losses = train(method, images, settings, progress)
    state = {name: value.detach().cpu().half().contiguous() for name, value in method.encoder.state_dict().items()}
    content = save(state)
    assert entry.weights is not None
    own = getattr(settings, METHODS[entry.objective][0])
    card = {
        "name": entry.name,
        "origin": entry.origin,
        "objective": entry.objective,
        "recipe": "pretrain",
        "settings": settings.model_dump(mode="json", exclude={"mae", "dino", "croma"}),
        "method": {"name": type(method).__name__, **own.model_dump(mode="json")},
        "data": {
            "suite": suite.name,
            "version": suite.version,
            "generated": suite.generated,
            "task": settings.task,
            "split": settings.split,
            "images": len(next(iter(images.values()))),
            "bands": [band.name for band in entry.bands],
            **moments(images),
        },
        "seed": settings.seed,
        "epochs": settings.epochs,
        "losses": [round(loss, 5) for loss in losses],
        "final_loss": round(losses[-1], 5),
        "seconds": round(time.monotonic() - began, 1),
        "device": device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "parameters": sum(value.numel() for value in state.values()),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": entry.weights.licence,
        "reference": entry.reference,
    }
    path = out / entry.weights.file
    write_atomic(path, content)
    write_atomic(path.with_suffix(".json"), json.dumps(card, indent=1).encode() + b"\n")
    return path
