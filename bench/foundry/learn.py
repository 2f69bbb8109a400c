"""Learning: train the transformer autoencoder of weight tokens on a collection of models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.foundry.autoencoder.settings import LearnSettings, describe
from bench.foundry.contract.recipe import Recipe


def run(
    settings: LearnSettings,
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Train an autoencoder and return the path of its weights, ``<out>/autoencoder.safetensors``.

    Leaves ``reconstruction.csv`` too: the coefficient of determination by role and depth, for the models trained on and
    for the lineages held out, with the rate bound and with principal components of the same rate.

    Args:
        settings: see `LearnSettings`.
        data: not used.
        out: folder of the autoencoder.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: receives lines of progress.

    Raises:
        BadSetting: nothing is left to train on, or a checkpoint of other settings lies in `out`.
        MissingData: there is no collection.
        UnknownName: a lineage that is to be held out is not in it.
    """
    from bench.foundry.autoencoder.carry_out import learn

    return learn(settings, out=out, device=device, report=progress or (lambda text: None))


RECIPE = Recipe(version=1, settings=LearnSettings, run=run, describe=describe)
