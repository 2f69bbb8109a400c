"""Pretraining: train an entry's network on unlabelled images and write weights with a card.

The objective of the entry determines the method: ``reconstruction`` is a masked autoencoder, ``joint-embedding`` is
DINO, ``multimodal`` is CROMA. All three share the loop in `bench.foundry.pretraining.training.train`. With equal
settings, data, number of threads and kind of machine, two runs give the same weights bit for bit on a CPU.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from bench.catalogue import models as model_catalogue
from bench.catalogue.suites import load as load_suite
from bench.core import ModelEntry
from bench.core.errors import UnknownName
from bench.foundry.contract.recipe import Recipe
from bench.foundry.pretraining.settings import PretrainSettings
from bench.models.tiny import load_tiny
from bench.store import write_atomic


def pretrained_entry(name: str) -> ModelEntry:
    """Return the entry that is trained: one whose network the recipe knows, `bench.models.tiny.load_tiny`.

    Raises:
        UnknownName: there is no such entry, or its network is another; lists those that can be trained.
    """
    known = {
        entry.name: entry for entry in model_catalogue.entries().values() if entry.load is load_tiny and entry.weights
    }
    if name not in known:
        raise UnknownName("model that can be pretrained", name, known)
    return known[name]


def run(
    settings: PretrainSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Pretrain an entry and return the path of its weights, float16 safetensors with a JSON card next to them.

    Args:
        settings: see `PretrainSettings`.
        data: folder with the suites' data.
        out: weights folder; the file goes where the entry looks for it below a ``weights=`` folder.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: receives one line per epoch.

    Raises:
        UnknownName: no such model, suite or task.
        BadSetting: see `read_pool` and `train`.
        MissingData: the suite's images are not at hand.
    """
    import torch
    from safetensors.torch import save

    from bench.foundry.pretraining.training import METHODS, completed, method_of, moments, read_pool, train

    entry = pretrained_entry(settings.model)
    suite = load_suite(settings.suite)
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


RECIPE = Recipe(version=1, settings=PretrainSettings, run=run)
